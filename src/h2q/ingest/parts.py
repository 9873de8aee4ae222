"""Folders of part files: one part a unit, written whole, and a manifest when all are there.

codes/
part-000000-5f0c….npz     what unit 0 became; the name holds the unit's fingerprint
part-000000-5f0c….json    rows and skipped photos of that part: written after it
manifest.json             written last; takes the place of the small .json files
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np

from h2q.codes import BIT_ORDER
from h2q.codes.files import write_codes_file
from h2q.errors import FormatError, InvalidInputError
from h2q.ingest.report import Skipped
from h2q.ingest.units import Result, Unit
from h2q.rowfiles.embeddings import Embeddings, write_embeddings
from h2q.rowfiles.parquet import parquet_bytes
from h2q.rowfiles.rows import Rows
from h2q.rowfiles.shards import MANIFEST
from h2q.rowfiles.storage import join, list_names, read_bytes, remove_file, write_file

FORMATS: Final = ("npz", "npy", "parquet")
_FORMAT: Final = "h2q-parts"
_FORMAT_VERSION: Final = 1


@dataclass(frozen=True)
class PartFormat:
    """Where and how parts are written.

    Attributes
    ----------
    folder : str
        Path or URL.
    suffix : {"npz", "npy", "parquet"}
        ``npy`` keeps rows alone; the others keep ids, and labels where known.
    maker : str
        Fingerprint of the model or quantizer: parts made by another are other parts.
    n_bits : int or None
        Length of the codes; None for embeddings.
    """

    folder: str
    suffix: str
    maker: str
    n_bits: int | None

    @property
    def kind(self) -> Literal["embeddings", "codes"]:
        """What the parts hold."""
        return "embeddings" if self.n_bits is None else "codes"

    def stem(self, unit: Unit) -> str:
        """Name of a unit's part, without suffix."""
        made = hashlib.sha256(f"{unit.fingerprint} {self.maker}".encode()).hexdigest()[:16]
        return f"part-{unit.number:06d}-{made}"

    def name(self, unit: Unit) -> str:
        """Name of a unit's part."""
        return f"{self.stem(unit)}.{self.suffix}"


@dataclass(frozen=True)
class Part:
    """A part that is finished.

    Attributes
    ----------
    name : str
        File in the folder.
    rows : int
    skipped : list of Skipped
    """

    name: str
    rows: int
    skipped: list[Skipped]


def write_part(form: PartFormat, unit: Unit, result: Result) -> None:
    """Write the part of a unit, whole."""
    values = result.arrays["rows" if form.n_bits is None else "codes"]
    write_file(join(form.folder, form.name(unit)), _content(form, values, result))


def finish_part(form: PartFormat, unit: Unit, part: Part) -> None:
    """Record that the part of a unit is there."""
    write_file(join(form.folder, f"{form.stem(unit)}.json"), json.dumps(asdict(part)).encode())


def finished_parts(form: PartFormat, units: list[Any]) -> dict[int, Part]:
    """Return the parts of these units that are there, by the number of the unit.

    Raises
    ------
    InvalidInputError
        If the folder holds parts of something else.
    """
    names = list_names(form.folder)
    mine = {form.name(unit): unit for unit in units}
    foreign = sorted(n for n in names if n.startswith("part-") and _part_name(n, form) not in mine)
    if foreign:
        raise InvalidInputError(
            f"{form.folder} holds parts of another run ({foreign[0]}): other inputs, or another "
            "model or format; give another folder, or remove these files"
        )
    listed = _read_manifest(form) if MANIFEST in names else {}
    done: dict[int, Part] = {}
    for name, unit in mine.items():
        if name not in names:
            continue
        record = f"{form.stem(unit)}.json"
        if name in listed:
            done[unit.number] = listed[name]
        elif record in names:
            done[unit.number] = _as_part(json.loads(read_bytes(join(form.folder, record))))
    return done


def write_manifest(form: PartFormat, parts: list[Part], units: list[Any]) -> None:
    """List the parts, and remove the records that the manifest replaces."""
    manifest: dict[str, Any] = {
        "format": _FORMAT,
        "format_version": _FORMAT_VERSION,
        "kind": form.kind,
        "made_by": form.maker,
        "rows": sum(part.rows for part in parts),
        "parts": [asdict(part) for part in parts],
    }
    if form.n_bits is not None:
        manifest |= {"n_bits": form.n_bits, "bit_order": BIT_ORDER}
    write_file(join(form.folder, MANIFEST), json.dumps(manifest, indent=1).encode())
    names = list_names(form.folder)
    for unit in units:
        record = f"{form.stem(unit)}.json"
        if record in names:
            remove_file(join(form.folder, record))


def _content(form: PartFormat, values: Any, result: Result) -> bytes:
    buffer = io.BytesIO()
    if form.suffix == "npy":
        np.save(buffer, values, allow_pickle=False)
        return buffer.getvalue()
    if form.suffix == "parquet":
        return parquet_bytes(Rows(values, list(result.ids), result.payloads), form.n_bits)
    if form.n_bits is None:
        labels = None if result.labels is None else np.array(result.labels, dtype=np.str_)
        write_embeddings(buffer, Embeddings(values, result.ids, labels))
    else:
        write_codes_file(buffer, values, form.n_bits, result.ids)
    return buffer.getvalue()


def _part_name(name: str, form: PartFormat) -> str:
    return f"{name.removesuffix('.json')}.{form.suffix}" if name.endswith(".json") else name


def _read_manifest(form: PartFormat) -> dict[str, Part]:
    url = join(form.folder, MANIFEST)
    try:
        manifest: Mapping[str, Any] = json.loads(read_bytes(url))
        if manifest["format"] != _FORMAT or manifest["format_version"] != _FORMAT_VERSION:
            raise ValueError(f"format {manifest['format']!r} {manifest['format_version']!r}")
        return {part["name"]: _as_part(part) for part in manifest["parts"]}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"{url}: not a manifest of h2q, or a damaged one ({error})") from error


def _as_part(fields: Mapping[str, Any]) -> Part:
    skipped = [Skipped(**each) for each in fields["skipped"]]
    return Part(str(fields["name"]), int(fields["rows"]), skipped)
