"""What every collection does, whichever engine keeps it.

`Collection` is the base of all of them: it checks what it is handed, codes real rows, chooses the
rank, keeps the artifacts, and has the public methods and their documentation. An engine supplies
the primitives, which get checked and plain values: `_insert`, `_remove`, `_nearest`, `_within`,
`_read`, `_count`, `_scan`, `_chunks`, `_size`, and `close`.
"""

from __future__ import annotations

import hashlib
import json
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from h2q._closing import Closing
from h2q._files import written_whole
from h2q._foreign import naming, parse_json
from h2q._progress import OnProgress
from h2q._typing import Array, CodeArray, StrPath
from h2q.collections import inputs
from h2q.collections.artifacts import (
    ArtifactFacts,
    Source,
    as_decoder,
    as_quantizer,
    proven,
)
from h2q.collections.artifacts import Decoder as Decoder
from h2q.collections.artifacts import Quantizer as Quantizer
from h2q.collections.conditions import Node, parse_where
from h2q.collections.index_spec import IndexKind as IndexKind
from h2q.collections.inputs import Id as Id
from h2q.collections.neighbours import Neighbours as Neighbours
from h2q.collections.request import Facts, Mode
from h2q.collections.shortlists import Asked, Shortlist, by_distance, ranked, shortlist_size
from h2q.collections.values import rows_of
from h2q.errors import CollectionError, CompatibilityError, FormatError, InvalidInputError
from h2q.ranks import Keep as Keep
from h2q.ranks import Queries, RankSpec, choose_rank

#: What may be stored beside a code: a JSON object.
Payload: TypeAlias = Mapping[str, Any]
#: A condition on payloads; the forms are those of `h2q.collections.filters`.
Where: TypeAlias = Mapping[str, Any]
#: How `search` orders: the name of a rank in the table `h2q.ranks.RANKS`.
Rank: TypeAlias = str


class Item(NamedTuple):
    """One item of a collection."""

    id: Id
    #: Packed code, shape (ceil(n_bits / 8),), uint8.
    code: CodeArray
    payload: dict[str, Any] | None


class Batch(NamedTuple):
    """Consecutive items of a collection."""

    ids: list[Id]
    #: Packed codes, shape (len(ids), ceil(n_bits / 8)), uint8.
    codes: CodeArray
    payloads: list[dict[str, Any] | None]


class Texts(NamedTuple):
    """Payloads of consecutive items, as JSON (`compact_json`); None of an item without one."""

    ids: Sequence[Id]
    payloads: Sequence[str | None]


@dataclass(frozen=True)
class NewItems:
    """Items to be stored, checked: of equal ids the last alone is here.

    Attributes
    ----------
    ids : list of n ids
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    payloads : list of n JSON texts or None
    records : ndarray of shape (n, record_width(keep, n_bits)), uint8, or None
        Where the collection keeps something of the rows.
    """

    ids: list[Id]
    codes: CodeArray
    payloads: list[str | None]
    records: NDArray[np.uint8] | None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class CollectionInfo:
    """Facts about a collection, as `h2q info` prints them.

    Attributes
    ----------
    uri : str
    engine : str
    format_version : int
    n_bits : int
    bit_order : str
    count : int
        Items held.
    size_bytes : int
        Bytes on disk.
    created_by : str
        Version of h2q that made it.
    fingerprints : dict
        Of each artifact kept (`"quantizer"`, `"model"`, `"decoder"`): SHA-256 in hex.
    keep : str
        What is kept of each real row beside its code.
    index : str
        How items are found.
    """

    uri: str
    engine: str
    format_version: int
    n_bits: int
    bit_order: str
    count: int
    size_bytes: int
    created_by: str
    fingerprints: dict[str, str]
    keep: Keep = "codes"
    index: IndexKind = "flat"


class Collection(Closing):
    """Ids, codes and payloads that can be searched; made by `h2q.open_collection`.

    Parameters
    ----------
    uri : str
        Where the collection lives, without any password.
    mode : {"a", "r"}
    facts : Facts
        What it is made of.
    learner : quantizer, optional
        One that is not fitted: the first real rows that are added fit it.

    Examples
    --------
    >>> import h2q, numpy as np, tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> embeddings = np.random.default_rng(0).standard_normal((500, 96)).astype(np.float32)
    >>> with h2q.open_collection(f"{folder.name}/items.h2q", n_bits=64) as items:
    ...     items.add(range(500), embeddings, [{"year": 2000 + i % 25} for i in range(500)])
    ...     found = items.search(embeddings[7], k=3, where={"year": {"$gte": 2005}})
    >>> found.ids[0][0]
    7
    >>> folder.cleanup()
    """

    #: What an engine is called in messages that say it has no such thing.
    engine_title: ClassVar[str] = "this engine"

    def __init__(self, uri: str, mode: Mode, facts: Facts, learner: Any = None) -> None:
        self._uri = uri
        self._mode: Mode = mode
        self._facts = facts
        self._learner = learner
        self._artifacts: dict[str, ArtifactFacts] = dict(facts.artifacts)
        self._loaded: dict[str, Any] = {}
        self._artifact_lock = threading.RLock()

    # What it is

    @property
    def uri(self) -> str:
        """Where the collection lives."""
        return self._uri

    @property
    def n_bits(self) -> int:
        """Length of its codes in bits."""
        return self._facts.n_bits

    @property
    def keep(self) -> Keep:
        """What is kept of each item's real row beside its code."""
        return self._facts.keep

    @property
    def quantizer(self) -> Quantizer | None:
        """The quantizer that makes the codes; None where none is kept."""
        quantizer: Quantizer | None = self._artifact("quantizer", as_quantizer)
        return quantizer

    @property
    def decoder(self) -> Decoder | None:
        """What tells rows from codes, if it was given when the collection was made."""
        decoder: Decoder | None = self._artifact("decoder", as_decoder)
        return decoder

    @property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprint (hex) of each artifact kept: `"quantizer"`, `"model"`, `"decoder"`."""
        return {name: facts.fingerprint for name, facts in self._artifacts.items()}

    def model_bytes(self) -> bytes | None:
        """Return the model file kept with the codes, or None."""
        return self.artifact_bytes("model")

    def artifact_bytes(self, name: str) -> bytes | None:
        """Return the content of an artifact ("quantizer", "model", "decoder"), None if not kept."""
        return b"".join(self._content(name)) if name in self._artifacts else None

    def write_model(self, path: StrPath) -> None:
        """Write the model file kept with the codes to `path`, whole or not at all.

        Raises
        ------
        InvalidInputError
            If none is kept.
        FormatError
            If it is damaged.
        """
        if "model" not in self._artifacts:
            raise InvalidInputError("the collection holds no model")
        with written_whole(path) as file:
            for chunk in self._content("model"):
                file.write(chunk)

    def _content(self, name: str) -> Iterator[bytes]:
        return proven(self.uri, name, self._chunks(name), self._artifacts[name].sha256)

    def _artifact(self, name: str, read: Callable[[bytes], Any]) -> Any:
        if name not in self._artifacts:
            return None
        with self._artifact_lock:
            if name not in self._loaded:
                with naming(self.uri):
                    self._loaded[name] = read(b"".join(self._content(name)))
            return self._loaded[name]

    def info(self) -> CollectionInfo:
        """Facts about the collection."""
        facts = self._facts
        return CollectionInfo(
            uri=self.uri,
            engine=facts.engine,
            format_version=facts.format_version,
            n_bits=facts.n_bits,
            bit_order=facts.bit_order,
            count=len(self),
            size_bytes=self._size(),
            created_by=facts.created_by,
            fingerprints=self.fingerprints,
            keep=facts.keep,
            index=facts.index.kind,
        )

    # Writing

    def add(
        self,
        ids: Sequence[Id],
        codes: Array | None = None,
        payloads: Sequence[Payload | None] | None = None,
        *,
        embeddings: Array | None = None,
    ) -> None:
        """Add items, replacing those whose id is held already (an upsert), all or none.

        When the call returns the items are durable. A replaced item takes the code and payload
        given and counts as newest. Where an id occurs twice in one call the last one stands.

        Real rows are coded by the collection's quantizer. Where it has none, is empty, and the rows
        are wider than its codes (d > n_bits), the first call fits one on the rows it is given
        (`h2q.HouseholderQuantizer`, or the quantizer that was named to `open_collection`), and the
        collection keeps it from then on. That call must have at least 2 rows a bit; the more, the
        better: some thousand make a good quantizer.

        Parameters
        ----------
        ids : sequence of n str or int (64 bits)
            A list, an array, or a column of a data frame.
        codes : array of shape (n, ceil(n_bits / 8)), uint8, or (n, d), real
            Packed codes (`h2q.codes.pack`, or `transform` of a quantizer); or the real rows
            themselves, to be coded here: of numpy, torch (any device and dtype), or a data frame.
        payloads : sequence of n JSON objects or None, optional
            Or a data frame of n rows, whose missing values are left out.
        embeddings : array of shape (n, d), real, optional
            The rows the codes were made from, given as queries are: rotated by the collection's
            quantizer where it has one, otherwise rotated already, (n, n_bits). Needed where the
            collection keeps something of them (`keep` is not "codes") and codes are given;
            elsewhere they are checked and not kept.

        Raises
        ------
        InvalidInputError
            If an id, code, payload or embedding cannot be stored, the embeddings are plainly not
            those of the codes, or real rows cannot be coded here; nothing is added then.
        CollectionError
            If the collection cannot be written; nothing is added then.
        """
        self._check_writable()
        if isinstance(ids, set | frozenset):
            raise InvalidInputError("ids are a set, which has no order; give a list")
        rows = None if codes is None else inputs.real_rows(codes)
        if rows is not None:
            if embeddings is not None:
                raise InvalidInputError(
                    "got real rows twice; pass them as codes or as embeddings, not as both"
                )
            names, packed, records = self._coded(ids, rows)
        elif codes is None:
            if embeddings is None:
                raise InvalidInputError("pass codes or real rows beside the ids")
            names, packed, records = self._coded(ids, rows_of(embeddings))
        else:
            names, packed = inputs.as_coded_ids(ids, codes, self.n_bits)
            records = None
        if not names:
            return
        texts = inputs.as_payloads(payloads, names)
        if records is None:
            quantizer = None if embeddings is None else self.quantizer
            records = inputs.as_records(embeddings, packed, self.keep, self.n_bits, quantizer)
        self._insert(_last_of_each(names, packed, texts, records if self.keep != "codes" else None))

    def _coded(
        self, ids: Sequence[Id], rows: NDArray[Any]
    ) -> tuple[list[Id], CodeArray, NDArray[np.uint8]]:
        """Code real rows; fit a quantizer first where this is the batch that does."""
        names = inputs.as_ids(ids)
        if rows.ndim == 1 and len(names) == 1:
            rows = rows[None]
        if names:
            rows = inputs.floating(rows)
        if rows.ndim != 2 or len(rows) != len(names):
            raise InvalidInputError(
                f"{len(names)} ids but real rows of shape {rows.shape}; give a row (n, d) an id"
            )
        quantizer = self.quantizer
        if quantizer is None and names:
            quantizer = self._learned(rows)
        return names, *inputs.coded(rows, self.keep, self.n_bits, quantizer)

    def _learned(self, rows: NDArray[Any]) -> Quantizer | None:
        """Return the quantizer fitted on the first rows; None where they are rotated already."""
        n_bits, width = self.n_bits, rows.shape[1]
        if "model" in self._artifacts and width == n_bits:
            return None  # what the model's `forward` returns
        if "model" in self._artifacts or (self._learner is None and width == n_bits):
            raise InvalidInputError(
                f"real rows (n, {width}) cannot be coded here: this collection of {n_bits}-bit "
                "codes keeps no quantizer. If they are rotated already, pass h2q.codes.pack(rows) "
                "as codes; otherwise make another collection with open_collection(..., "
                "quantizer=...): a fitted one, or the name of one ('h2q'), which the first rows fit"
            )
        if width < n_bits and self._learner is None:  # others say themselves what they can
            raise InvalidInputError(
                f"rows of {width} columns cannot be coded in {n_bits} bits; a collection of at "
                f"most {width} bits can hold them, or one with quantizer='local-search'"
            )
        if len(self):
            raise InvalidInputError(
                "this collection holds codes but no quantizer, so real rows cannot be coded as its "
                "items were; pass codes, made by what made those"
            )
        inputs.check_first_rows(len(rows), n_bits)
        learner = self._learner
        if learner is None:
            from h2q.quantization import HouseholderQuantizer

            learner = HouseholderQuantizer(n_bits=n_bits, random_state=0)
        elif learner.n_bits is None:
            learner.set_params(n_bits=n_bits)
        inputs.check_real(rows, "embeddings", "embedding")
        learner.fit(rows)
        return self._adopted(learner)

    def _adopted(self, quantizer: Any) -> Quantizer:
        """Keep a quantizer from now on, unless another was kept meanwhile; return what is kept."""
        with self._artifact_lock:
            self._artifacts["quantizer"] = self._keep_artifact("quantizer", quantizer.to_bytes())
            self._loaded.pop("quantizer", None)
        kept = self.quantizer
        if kept is None or int(kept.n_bits_) != self.n_bits:
            raise CompatibilityError(
                f"{self.uri}: the quantizer kept meanwhile makes other codes; open it again"
            )
        return kept

    def delete(self, ids: Sequence[Id]) -> int:
        """Delete items, all of the call or none; return how many were held.

        Unknown ids are passed over. When the call returns, the items are gone for good.
        """
        self._check_writable()
        names = list(dict.fromkeys(inputs.as_ids(ids)))
        return self._remove(names) if names else 0

    def _check_writable(self) -> None:
        if self._mode == "r":
            raise CollectionError(
                f"{self.uri}: opened for reading (mode='r'); open it with mode='a' to write"
            )

    # Searching

    def search(
        self,
        queries: Array,
        k: int = 10,
        where: Where | None = None,
        rank: Rank | None = None,
        oversample: int | None = None,
        *,
        payloads: bool = False,
    ) -> Neighbours:
        """Find the `k` best items for each query.

        Parameters
        ----------
        queries : array of shape (nq, ceil(n_bits / 8)), uint8, or (nq, d), real
            Packed codes, or real rows: of numpy, torch (any device and dtype), or a data frame.
            Real rows are rotated by the collection's quantizer where it has one; otherwise they
            must be rotated already, (nq, n_bits). A single query may have one dimension.
        k : int
            Fewer are returned where the collection holds fewer.
        where : mapping, optional
            Only items whose payload meets this condition (`h2q.collections.filters`).
        rank : str, optional
            A name in the table `h2q.ranks.RANKS` (``docs/ranking.md``): "hamming" orders by the
            distance of the codes; the others need real queries, and some need a collection that
            keeps more than codes. By default "hamming" for codes, and for real rows the one that
            suits the collection's quantizer ("asymmetric", unless it has its own).

            Equal items come in the order of adding.
        oversample : int, optional
            Where a rank orders a shortlist found by a cheaper one, the shortlist has
            `max(oversample * k, 1000)` items; 10 by default. Where the rank is answered exactly
            it changes nothing. Which ranks are, the page of each engine says.
        payloads : bool
            Whether the payloads of what is found are returned, too.

        Raises
        ------
        InvalidInputError
            If the queries, the condition or the rank cannot be used.
        CollectionError
            If the collection cannot be read.
        """
        k = inputs.as_count(k, "k", least=1)
        asked = self._as_queries(queries, self.decoder)
        ranking = choose_rank(rank, asked, self.keep)
        shortlist_size(ranking, k, oversample)  # checks oversample, be it needed or not
        condition = None if where is None else parse_where(where)
        found = self._search(asked, ranking, k, condition, oversample)
        return self._with_payloads(found) if payloads else found

    def _search(
        self,
        queries: Queries,
        rank: RankSpec,
        k: int,
        condition: Node | None,
        oversample: int | None,
    ) -> Neighbours:
        """Order a shortlist of the nearest codes; an engine that knows better replaces this."""
        plain = rank.score is None
        asked = Asked(
            queries.codes,
            shortlist_size(rank, k, oversample),
            ties_from=k if rank.distance_first else None,
            condition=condition,
            with_codes=not plain,
            with_records=rank.needs_records,
        )
        found = self._nearest(asked)
        return ranked(rank, queries, found, keep=self.keep, n_bits=self.n_bits, k=k)

    def within(
        self,
        queries: Array,
        radius: int,
        where: Where | None = None,
        *,
        payloads: bool = False,
    ) -> Neighbours:
        """Find all items at a Hamming distance of at most `radius` bits (inclusive).

        Real queries are taken by their code. Best first. The other parameters and the errors are
        those of `search`.
        """
        radius = inputs.as_count(radius, "radius", least=0)
        asked = self._as_queries(queries)
        condition = None if where is None else parse_where(where)
        found = by_distance(self._within(asked.codes, radius, condition))
        return self._with_payloads(found) if payloads else found

    def _as_queries(self, queries: Array, decoder: Decoder | None = None) -> Queries:
        quantizer = self.quantizer
        try:
            return inputs.as_queries(queries, self.n_bits, quantizer, decoder)
        except InvalidInputError:  # of this class alone: a server names it to its clients
            rows = inputs.real_rows(queries)
            if quantizer is not None or "model" in self._artifacts or rows is None:
                raise
            if rows.ndim > 2 or rows.shape[-1] <= self.n_bits or len(self):
                raise
            raise InvalidInputError(
                f"nothing has been added to the collection {self.uri} yet, and the first rows fit "
                "its quantizer; add rows, then search"
            ) from None

    def _with_payloads(self, found: Neighbours) -> Neighbours:
        names = list(dict.fromkeys(item_id for ids in found.ids for item_id in ids))
        items = dict(zip(names, self._read(names), strict=True)) if names else {}
        held = {name: None if item is None else item.payload for name, item in items.items()}
        return Neighbours(
            found.ids,
            found.distances,
            found.scores,
            payloads=[[held[item_id] for item_id in ids] for ids in found.ids],
        )

    # Reading

    def get(self, ids: Sequence[Id]) -> list[Item | None]:
        """Items by id, in the order asked for; None where an id is not held."""
        return self._read(inputs.as_ids(ids))

    def count(self, where: Where | None = None) -> int:
        """Count the items, or those whose payload meets a condition."""
        return self._count(None if where is None else parse_where(where))

    def iterate(self, batch_size: int = 10_000, where: Where | None = None) -> Iterator[Batch]:
        """Yield all items in batches, the oldest first.

        Items written while iterating may or may not be met; each is met at most once a version.
        """
        size = inputs.as_count(batch_size, "batch_size", least=1)
        return self._scan(size, None if where is None else parse_where(where))

    def iterate_texts(self, where: Where | None = None) -> Iterator[Texts]:
        """Yield payloads as the JSON that is stored, a batch at a time: nothing is parsed.

        Parameters
        ----------
        where : mapping, optional
            Only items whose payload meets this condition.

        Yields
        ------
        Texts
            Of some items, the oldest first. Equal texts mean equal payloads. (Not the other way
            round: some engines put the keys in an order of their own.)
        """
        return self._scan_texts(None if where is None else parse_where(where))

    def revision(self) -> str:
        """Return a short text that stays the same as long as the items do.

        Whoever changes them, of this process or another: two equal texts of one collection mean
        the same items, in the same order, with the same codes and payloads. The engines that come
        with h2q need not read the items for it.
        """
        return self._revision()

    def __len__(self) -> int:
        return self._count(None)

    def __iter__(self) -> Iterator[Id]:
        for batch in self.iterate():
            yield from batch.ids

    def __contains__(self, item_id: object) -> bool:
        try:
            name = inputs.as_id(item_id)
        except InvalidInputError:
            return False
        return self._read([name])[0] is not None

    # Care

    def optimize(self, share: float = 0.0) -> None:
        """Make now what searches would make, so that none of them waits for it.

        An engine with nothing to make does nothing.

        Parameters
        ----------
        share : float
            Only what lacks more than this share of the items is made anew.
        """

    def backup(
        self, path: StrPath, *, overwrite: bool = False, on_progress: OnProgress | None = None
    ) -> None:
        """Copy the collection, as it is now, to another file: whole or not at all.

        Searches and writers, of this process and of others, go on meanwhile; what they write is
        not in the copy.

        Parameters
        ----------
        path : path
            The copy.
        overwrite : bool
            Whether `path` may be a file that is then replaced.
        on_progress : callable, optional
            Told, now and then, the pages copied and all there are. If it raises, the copy is given
            up and `path` is as it was.

        Raises
        ------
        CollectionError
            If `path` exists and is not to be replaced, or cannot be written; or, naming the tool
            that can, where the engine makes no copies.
        """
        raise self._not_here("backup", "copy its data by the server's own tools")

    def compact(self) -> None:
        """Give the space of deleted items back to the disk. Needs as much free space meanwhile.

        Raises
        ------
        CollectionError
            If the collection cannot be written, or the engine does this by itself.
        """
        raise self._not_here("compact", "the server gives space back by itself")

    def check(self) -> None:
        """Read the whole collection and raise `FormatError` where it is damaged.

        Raises
        ------
        CollectionError
            Where the engine cannot look.
        """
        raise self._not_here("check", "check its data by the server's own tools")

    def _not_here(self, what: str, instead: str) -> CollectionError:
        return CollectionError(f"{self.uri}: {self.engine_title} has no {what}; {instead}")

    def __repr__(self) -> str:
        state = f"mode={self._mode!r}" if self._is_open() else "closed"
        return f"{type(self).__name__}({self.uri!r}, n_bits={self.n_bits}, {state})"

    def _is_open(self) -> bool:
        """Whether it has not been closed."""
        return True

    # What an engine supplies

    @abstractmethod
    def _insert(self, items: NewItems) -> None:
        """Store items, replacing those of the same id: all or none, durable on return."""

    @abstractmethod
    def _remove(self, ids: list[Id]) -> int:
        """Delete items by id (all different): all or none; return how many were held."""

    @abstractmethod
    def _nearest(self, asked: Asked) -> Iterable[Shortlist]:
        """Find the nearest items of each query by Hamming distance, in any order."""

    @abstractmethod
    def _within(self, codes: CodeArray, radius: int, condition: Node | None) -> Iterable[Shortlist]:
        """Find all items within a radius of each code; with `distances`, without codes."""

    @abstractmethod
    def _read(self, ids: list[Id]) -> list[Item | None]:
        """Return items by id, in the order asked for."""

    @abstractmethod
    def _count(self, condition: Node | None) -> int:
        """Count the items that meet a condition."""

    @abstractmethod
    def _scan(self, batch_size: int, condition: Node | None) -> Iterator[Batch]:
        """Yield the items that meet a condition, the oldest first."""

    def _scan_texts(self, condition: Node | None) -> Iterator[Texts]:
        """Yield payloads as JSON; an engine that need not parse them for it does not."""
        for batch in self._scan(10_000, condition):
            texts = [None if held is None else compact_json(held) for held in batch.payloads]
            yield Texts(batch.ids, texts)

    def _revision(self) -> str:
        """Return a mark of all items; an engine that counts its changes need not read them."""
        digest = hashlib.sha256()
        for batch in self._scan(10_000, None):
            digest.update(compact_json([batch.ids, batch.payloads]).encode())
            digest.update(batch.codes.tobytes())
        return digest.hexdigest()

    @abstractmethod
    def _chunks(self, name: str) -> Iterable[bytes]:
        """Yield the content of an artifact that is kept."""

    @abstractmethod
    def _size(self) -> int:
        """Bytes the collection takes."""

    def _keep_artifact(self, name: str, source: Source) -> ArtifactFacts:
        """Keep an artifact of a collection without items, unless one is kept already.

        Returns what is kept then. An engine that fixes its artifacts when it is made refuses.
        """
        raise InvalidInputError(
            f"{self.uri}: {self.engine_title} keeps the {name} a collection is made with, and none "
            f"later; make it with open_collection(..., {name}=...), fitted"
        )


def _last_of_each(
    ids: list[Id],
    codes: CodeArray,
    payloads: list[str | None],
    records: NDArray[np.uint8] | None,
) -> NewItems:
    last = dict(zip(ids, range(len(ids)), strict=True))
    if len(last) == len(ids):
        return NewItems(ids, codes, payloads, records)
    kept = sorted(last.values())
    return NewItems(
        [ids[i] for i in kept],
        codes[kept],
        [payloads[i] for i in kept],
        None if records is None else records[kept],
    )


def compact_json(value: Any) -> str:
    """Return JSON without spaces, as `Collection.iterate_texts` has it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def payload_of(text: str | None) -> dict[str, Any] | None:
    """Return a payload of its JSON text."""
    if text is None:
        return None
    payload = parse_json(text, "the payload of an item", "a JSON object")
    if not isinstance(payload, dict):
        raise FormatError("damaged: the payload of an item is no JSON object")
    return payload
