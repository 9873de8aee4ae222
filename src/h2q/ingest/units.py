"""Units of work: what one worker does in one go, and what is recorded as finished."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from h2q.ingest.photo_files import PhotoFile
from h2q.ingest.report import Skipped
from h2q.rowfiles.shards import Shard, row_ranges, shard_rows_at_a_time
from h2q.rowfiles.storage import FoundFile


@dataclass(frozen=True)
class RowUnit:
    """Some consecutive rows of a shard."""

    number: int
    shard: Shard
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Number of items."""
        return self.stop - self.start

    @property
    def fingerprint(self) -> str:
        """Names the content: another file, another version of it or other rows give another."""
        file = self.shard.file
        # Not the URL: a folder may be copied elsewhere between two runs.
        return _digest([file.name, file.size, file.version, self.shard.key, self.start, self.stop])


@dataclass(frozen=True)
class PhotoUnit:
    """Some photos below one folder (or prefix of an object store)."""

    number: int
    files: tuple[PhotoFile, ...]

    @property
    def size(self) -> int:
        """Number of items."""
        return len(self.files)

    @property
    def fingerprint(self) -> str:
        """Names the content."""
        return _digest([[file.name, file.size, str(file.version)] for file in self.files])


Unit: TypeAlias = RowUnit | PhotoUnit


def row_units(shards: Sequence[Shard], size: int | None = None) -> list[RowUnit]:
    """Cut shards into units of at most `size` rows, by default 32 MiB of float32 or 20,000."""
    size = shard_rows_at_a_time(shards) if size is None else size
    ranges = [(shard, *part) for shard in shards for part in row_ranges(shard, size)]
    return [RowUnit(i, *each) for i, each in enumerate(ranges)]


def photo_units(files: Sequence[PhotoFile], size: int = 256) -> list[PhotoUnit]:
    """Cut a listing of photos into units of at most `size`."""
    starts = range(0, len(files), size)
    return [PhotoUnit(i, tuple(files[s : s + size])) for i, s in enumerate(starts)]


def unit_to_json(unit: Unit) -> str:
    """Return a unit as text, to be sent to a worker."""
    return json.dumps({"photos": isinstance(unit, PhotoUnit), **asdict(unit)})


def unit_from_json(text: str) -> Unit:
    """Read what `unit_to_json` wrote."""
    fields = json.loads(text)
    if fields.pop("photos"):
        files = tuple(PhotoFile(**file) for file in fields.pop("files"))
        return PhotoUnit(files=files, **fields)
    shard = fields.pop("shard")
    return RowUnit(shard=Shard(file=FoundFile(**shard.pop("file")), **shard), **fields)


@dataclass(frozen=True, eq=False)
class Result:
    """What a worker made of a unit.

    Attributes
    ----------
    number : int
        Of the unit.
    ids : list of str or int
        Of the items made; skipped ones are left out.
    arrays : dict of str to ndarray
        ``codes`` (n, ceil(n_bits / 8)) and ``rows`` (n, d), where they were asked for.
    payloads : list of dict or None
        One an item, or None for all.
    labels : list of str or None
        One an item.
    skipped : list of Skipped
        Photos that could not be read, and rows that have no code.
    error : str or None
        Why the whole unit could not be done; nothing else is filled in then.
    written : int or None
        Items of a part file the worker has written itself.
    unlabelled : int
        Items without a label, of a file that has labels.
    """

    number: int
    ids: list[str] | list[int] = field(default_factory=list)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    payloads: list[dict[str, Any] | None] | None = None
    labels: list[str] | None = None
    skipped: list[Skipped] = field(default_factory=list)
    error: str | None = None
    written: int | None = None
    unlabelled: int = 0

    def to_bytes(self) -> bytes:
        """Return the result as bytes (safetensors), to be sent from a worker."""
        facts = {**self.__dict__, "skipped": [asdict(each) for each in self.skipped]}
        del facts["arrays"]
        arrays = {name: np.ascontiguousarray(values) for name, values in self.arrays.items()}
        return safetensors.numpy.save(arrays, metadata={"result": json.dumps(facts)})

    @classmethod
    def from_bytes(cls, data: bytes) -> Result:
        """Read what `to_bytes` wrote."""
        length = int.from_bytes(data[:8], "little")
        facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["result"])
        facts["skipped"] = [Skipped(**each) for each in facts["skipped"]]
        return cls(arrays=safetensors.numpy.load(data), **facts)


def total_size(units: Sequence[Unit]) -> int:
    """Count the items of units."""
    return sum(unit.size for unit in units)


def in_order(results: Iterator[Result], units: Sequence[Unit]) -> Iterator[tuple[Unit, Result]]:
    """Pair results with their units, and check that none is missing or out of order."""
    for unit, result in zip(units, results, strict=True):
        if unit.number != result.number:
            raise RuntimeError(f"unit {result.number} came in the place of {unit.number}")
        yield unit, result


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
