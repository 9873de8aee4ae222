"""A collection of ours on a server: its fields, what it states of itself, how it is made.

What it is made of stands in its description, so one request makes it whole. Files that made its
codes (quantizer, model) are in a companion collection, named in the description and written
before it (`artifacts.py`).
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from h2q._version import __version__
from h2q.codes import code_width
from h2q.collections.artifacts import ArtifactFacts
from h2q.collections.index_spec import IndexSpec
from h2q.collections.milvus import artifacts
from h2q.collections.milvus.index import filled
from h2q.collections.milvus.rows import LONGEST_TEXT, record_text_length
from h2q.collections.milvus.server import Server
from h2q.collections.request import OpenRequest
from h2q.errors import CollectionError, CompatibilityError, FormatError
from h2q.ranks import Keep, check_keep
from h2q.ranks.records import record_width

FORMAT: Final = "h2q collection"
FORMAT_VERSION: Final = 1
_BIT_ORDER: Final = "msb"


@dataclass(frozen=True)
class Meta:
    """What a collection states of itself.

    Attributes
    ----------
    n_bits, keep, bit_order, created_by
    index : dict
        "kind" and "options" it was built with.
    companion : str
        Collection that has the artifacts' content; empty where there are none.
    artifacts : dict
        By name: "fingerprint", "sha256", "size".
    """

    n_bits: int
    keep: Keep
    index: dict[str, Any]
    bit_order: str = _BIT_ORDER
    created_by: str = __version__
    companion: str = ""
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Bytes of a code; Milvus's dimension is 8 times that, the filling bits are zero."""
        return code_width(self.n_bits)

    @property
    def kept(self) -> dict[str, ArtifactFacts]:
        """What is stated of each artifact."""
        return {
            name: ArtifactFacts(str(facts["fingerprint"]), str(facts["sha256"]))
            for name, facts in self.artifacts.items()
        }

    def index_spec(self, where: object) -> IndexSpec:
        """Return the index the collection states."""
        return IndexSpec.from_json(json.dumps(self.index), where)


def read(server: Server) -> Meta | None:
    """Read what the collection states, None where there is none of this name.

    Raises
    ------
    FormatError
        If the collection is not one of ours.
    CompatibilityError
        If it has a format we do not know.
    """
    where = server.address
    if not server.call("has_collection", where.name):
        return None
    described = server.call("describe_collection", where.name)
    try:
        stated = json.loads(described.get("description") or "")
        version = stated.pop("format_version") if stated.pop("format") == FORMAT else None
    except (ValueError, KeyError, AttributeError, TypeError):
        version = None
    if version is None:
        raise FormatError(
            f"{where}: a Milvus collection of this name exists, but h2q did not make it; choose "
            "another name"
        )
    if version != FORMAT_VERSION or stated.get("bit_order") != _BIT_ORDER:
        raise CompatibilityError(
            f"{where}: the collection has format version {version} and bit order "
            f"{stated.get('bit_order')!r}, this h2q reads version {FORMAT_VERSION} and "
            f"{_BIT_ORDER!r}; upgrade h2q"
        )
    try:
        meta = Meta(**stated)
        check_keep(meta.keep)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{where}: the collection's description is damaged: {error}") from error
    return meta


def create(server: Server, n_bits: int, request: OpenRequest, index: IndexSpec) -> None:
    """Make the collection; where another process made one of this name meanwhile, leave that."""
    companion = f"{server.address.name}_h2q_{uuid.uuid4().hex[:12]}" if request.sources else ""
    stored = artifacts.store(server, companion, request.sources) if companion else {}
    meta = Meta(
        n_bits=n_bits,
        keep=request.keep or "codes",
        index={"kind": index.kind, "options": filled(index).built_with},
        companion=companion,
        artifacts=stored,
    )
    try:
        _make(server, meta)
    except CollectionError:
        made = _made_by_another(server)
        if companion:
            server.call("drop_collection", companion)
        if not made:
            raise
        return
    # Two that make the same at once both succeed, and one description stands.
    standing = read(server)
    if companion and standing is not None and standing.companion != companion:
        server.call("drop_collection", companion)


def _made_by_another(server: Server) -> bool:
    return bool(server.call("has_collection", server.address.name))


def _make(server: Server, meta: Meta) -> None:
    stated = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(meta)}
    schema, types = server.new_schema(json.dumps(stated)), server.types
    schema.add_field("id", types.VARCHAR, is_primary=True, max_length=LONGEST_TEXT)
    schema.add_field("seq", types.INT64)
    schema.add_field("code", types.BINARY_VECTOR, dim=8 * meta.width)
    schema.add_field("payload", types.JSON)
    schema.add_field("raw", types.VARCHAR, max_length=LONGEST_TEXT)
    width = record_width(meta.keep, meta.n_bits)
    if width:
        schema.add_field("record", types.VARCHAR, max_length=record_text_length(width))
    # One shard: a write is then one message to one log, whole or not at all.
    server.call(
        "create_collection",
        server.address.name,
        schema=schema,
        num_shards=1,
        consistency_level="Strong",
    )
