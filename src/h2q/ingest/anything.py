"""One way into a collection: photos, embeddings or codes, here, in a store or over a cluster."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

from h2q._addresses import without_secrets
from h2q._files import check_place
from h2q._paths import path_text
from h2q._ray import check_workers
from h2q._typing import StrPath
from h2q.codes import CodeFile
from h2q.collections import open_collection
from h2q.collections.base import Collection, Keep
from h2q.errors import H2QError, InvalidInputError
from h2q.images import MAX_PIXELS, image_suffixes
from h2q.ingest.by_units import bulk_index_photos
from h2q.ingest.decoders import check_kept, is_name, load_decoder
from h2q.ingest.fitting import decoder_of_rows, decoder_of_shards
from h2q.ingest.folder import index_folder
from h2q.ingest.models import collection_and_encoder, exists, is_there, kept_encoder
from h2q.ingest.photo_files import check_prefix
from h2q.ingest.photos import index_photos
from h2q.ingest.quantizers import load_quantizer
from h2q.ingest.report import IndexReport, OnProgress, no_progress
from h2q.ingest.rows import (
    default_journal,
    import_codes,
    index_codes,
    index_embeddings,
    index_rows,
)
from h2q.ingest.storing import check_width
from h2q.quantization.registry import QUANTIZERS
from h2q.rowfiles import CodeStream, Embeddings, Shard, find_shards
from h2q.rowfiles.registry import FORMATS
from h2q.rowfiles.rows import Kind
from h2q.rowfiles.shards import MANIFEST, SUFFIXES, NoRowsError, check_split, open_shard
from h2q.rowfiles.storage import find_files, is_folder, is_pattern, is_url

#: What can be brought into a collection.
What = Literal["photos", "rows"]


def ingest(
    source: StrPath | Embeddings | CodeFile | CodeStream,
    collection: StrPath | Collection,
    *,
    model: StrPath | None = None,
    encoder: str | None = None,
    quantizer: Any = None,
    keep: Keep | None = None,
    decoder: Any = None,
    n_bits: int | None = None,
    bit_order: str | None = None,
    format: str | None = None,
    kind: Kind | None = None,
    key: str | None = None,
    split: str | None = None,
    prefix: str = "",
    prune: bool = False,
    journal: StrPath | None = None,
    ray: str | None = None,
    workers: int | None = None,
    batch_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    gps: bool = False,
    device: str = "auto",
    on_progress: OnProgress = no_progress,
    on_note: Callable[[str], None] = lambda text: None,
) -> IndexReport:
    """Bring photos, embeddings or codes into a collection, whichever `source` holds.

    Interrupted, it keeps what is done, and the same call continues. The same source gives the same
    collection, whether read here or by the workers of a cluster.

    Parameters
    ----------
    source : path, URL, Embeddings, CodeFile or CodeStream
        A folder (or prefix of a store) of photos; a file, folder, pattern or URL of rows
        (`h2q.rowfiles.FORMATS`); or rows in memory.
    collection : str, path or Collection
        Made where it is absent, and `model`, `quantizer` or the codes say how long its codes are.
    model : path, optional
        For photos: a model file or run folder; a collection keeps its own.
    encoder : str, optional
        For photos without a model (`h2q.encoders`).
    quantizer : fitted quantizer, path or name, optional
        For embeddings: what codes them; a collection keeps its own. A name is fitted to the rows
        of files, for a new collection of `n_bits`.
    keep : str, optional
        What a new collection keeps of each real row, as `h2q.open_collection` takes it.
    decoder : fitted decoder, path or name, optional
        Of a new collection, for the rank "decoded" or "linear". By its name, "code" or "linear", it
        is fitted on what comes in: a sample of the embeddings, or the photos the rotation is
        fitted on.
    n_bits : int, optional
        The length of a code of a new collection: of photos, or of embeddings without `quantizer`,
        on whose rows one is fitted then. Of files of codes that do not say it: theirs.
    bit_order, format, kind, key : optional
        What files of rows do not say of themselves, as `h2q.rowfiles.open_rows` takes it.
    split : str, optional
        Of files that know splits: only the rows of this one.
    prefix : str
        Goes before every id with a slash, to keep several sources apart.
    prune : bool
        Of photos: delete the items of this folder and prefix whose files are gone.
    journal : path, optional
        Of files of rows: the record of what is done. By default beside the collection, where there
        is more than one unit of work.
    ray : str, optional
        Address of a Ray cluster whose workers read and code; this process stores.
    workers : int, optional
        Most workers at a time.
    batch_size, max_pixels, gps, device
        Of photos: as in `index_photos`.
    on_progress : callable
        Told how many items of how many are done.
    on_note : callable
        Told in words what was decided for a new collection of photos.

    Returns
    -------
    IndexReport

    Raises
    ------
    InvalidInputError
        If the source is absent, empty or mixed, an option does not apply to it, or something is
        missing that a new collection needs.
    CompatibilityError
        If its codes are not those the collection holds.
    FormatError
        If a file is damaged.

    Examples
    --------
    >>> import tempfile, numpy as np, h2q
    >>> folder = tempfile.mkdtemp()
    >>> rows = np.random.default_rng(0).standard_normal((300, 32))
    >>> np.save(f"{folder}/rows.npy", rows)
    >>> quantizer = h2q.HouseholderQuantizer(16, random_state=0).fit(rows)
    >>> ingest(f"{folder}/rows.npy", f"{folder}/items.h2q", quantizer=quantizer).added
    300
    """
    if not isinstance(collection, Collection):
        collection = path_text(collection, "the collection")
    check_workers(workers, ray)
    of_photos = {
        "model": model, "encoder": encoder, "prune": prune, "gps": gps, "batch_size": batch_size,
        "max_pixels": None if max_pixels == MAX_PIXELS else max_pixels,
        "device": None if device == "auto" else device,
    }  # fmt: skip
    of_files = {"key": key, "split": split, "journal": journal, "bit_order": bit_order,
                "format": format, "kind": kind}  # fmt: skip
    check_prefix(prefix)
    loaded, named = None, None
    if quantizer is not None and not isinstance(quantizer, str | os.PathLike):
        loaded = _fitted_one(quantizer)
    elif quantizer is not None:
        if str(quantizer) in QUANTIZERS and not Path(quantizer).exists():
            named = str(quantizer)
        else:
            loaded = load_quantizer(quantizer, or_name=True)
    decoder = load_decoder(decoder)
    if decoder is not None and isinstance(collection, Collection):
        raise InvalidInputError(
            "an open collection has its decoder, or none; give it to open_collection(..., decoder=)"
        )
    if isinstance(source, Embeddings | CodeFile | CodeStream):
        _refuse("rows in memory", {**of_photos, **of_files, "ray": ray, "prefix": prefix})
        lacking = loaded is None and isinstance(source, Embeddings) and _is_absent(collection)
        if named is not None or lacking:
            raise InvalidInputError(
                "rows in memory need a fitted quantizer; fit it first "
                f"(h2q.quantization.make_quantizer({named or 'h2q'!r}, 64).fit(rows)), or leave it "
                "out where the collection keeps one"
            )
        _refuse("rows in memory", {"n_bits": n_bits})
        return _memory(source, collection, loaded, keep, decoder, on_progress)
    text = path_text(source, "the source")
    said = format is not None or kind is not None
    if holds(text, rows=said or quantizer is not None) == "rows":
        _refuse(f"{text} holds rows: a file of rows", of_photos)
        _check_length(loaded, n_bits, quantizer)
        real = None
        if n_bits is not None and bit_order is None:
            real = _real_rows(text, n_bits, key=key, kind=kind, format=format)
        shards = real or find_shards(
            text, key=key, kind=kind, format=format, n_bits=n_bits, bit_order=bit_order
        )
        n_bits = n_bits if real else shards[0].n_bits
        check_width(loaded, shards[0].width if shards[0].kind == "embeddings" else None, text)
        check_split(shards, split)  # before a collection is made
        if named is not None and shards[0].kind == "codes":
            raise InvalidInputError(
                f"{text} holds codes; the quantizer {named} would be fitted to rows: give a fitted "
                "one, or leave it out"
            )
        if named is not None and not (n_bits and _is_new(collection)):
            raise InvalidInputError(
                f"quantizer {named}: say how long its codes are, to fit it to these rows (--bits)"
                if _is_new(collection)
                else f"the collection {collection} has its quantizer; leave {named} out"
            )
        note = ""
        if not isinstance(collection, Collection) and _is_absent(collection):
            check_place(collection)  # before the work
        fits = n_bits is not None and loaded is None and shards[0].kind == "embeddings"
        if n_bits is not None and fits and _is_new(collection):
            loaded = _fitted(text, named or "h2q", n_bits, key, split, on_progress)
            what = "rotation" if hasattr(loaded, "rotation_") else f"quantizer {named}"
            note = f"{what} to {n_bits} bits fitted on the rows of {without_secrets(text)}"
        options: dict[str, Any] = {
            "quantizer": loaded, "split": split, "prefix": prefix, "ray": ray, "workers": workers,
            "on_progress": on_progress,
        }  # fmt: skip

        def fitted(name: str) -> Any:
            return decoder_of_shards(shards, loaded, name, split=split, random_state=0)

        with _opened(collection, loaded, keep, n_bits, decoder, fitted) as opened:
            if journal is None and _many_units(shards):
                journal = default_journal(opened.uri)
            report = index_rows(shards, opened, journal=journal, **options)
        if note:
            on_note(note)
        return report
    if said:
        raise InvalidInputError(
            f"{text} holds photos and no files of {kind or 'rows'}; index it as it is (h2q index)"
        )
    _refuse(f"{text} holds photos: a folder of photos", of_files)
    if quantizer is not None:
        raise InvalidInputError(
            f"{text} holds photos, and a quantizer codes rows of embeddings; leave it out (photos "
            "get a rotation fitted on themselves), or give a trained model (--model)"
        )
    return _photos(
        text, collection, model, encoder, n_bits, keep, decoder, device,
        {"ray": ray, "workers": workers}, on_note,
        {
            "prefix": prefix, "prune": prune, "gps": gps, "batch_size": batch_size,
            "max_pixels": max_pixels, "on_progress": on_progress,
        },
    )  # fmt: skip


def holds(source: str, *, rows: bool = False) -> What:
    """Say whether a source holds photos or rows; of a folder with both, photos.

    Parameters
    ----------
    source : str
    rows : bool
        Whether the caller said something that is for rows only.

    Raises
    ------
    InvalidInputError
        If there is no such source.
    """
    if not is_folder(source):
        if not is_url(source) and not is_pattern(source) and not Path(source).exists():
            raise InvalidInputError(
                f"there is no {source}; give a folder of photos, or a file of rows"
            )
        if rows or source.lower().endswith(tuple(s for f in FORMATS.values() for s in f.suffixes)):
            return "rows"
        if not is_pattern(source):
            raise InvalidInputError(
                f"{source}: neither a folder of photos nor a file of rows ({', '.join(SUFFIXES)})"
            )
        return "rows"
    # Where there is nothing, the reader of them says what it looked for.
    seen: What | None = None
    for name in _names(source):
        if name == MANIFEST:
            return "rows"
        if name.lower().endswith(tuple(image_suffixes())):
            if not rows:
                return "photos"
            seen = seen or "photos"
        if name.lower().endswith(SUFFIXES):
            seen = "rows"
            if rows:
                break
    return seen or ("rows" if rows else "photos")


def _names(folder: str) -> Iterator[str]:
    """Names below a folder; of a local one only as many as are looked at."""
    if not is_url(folder):
        yield from (path.name for path in Path(folder).glob(MANIFEST))
        yield from (name for _, _, names in os.walk(folder) for name in names)
        return
    wanted = {*image_suffixes(), *(f".{suffix.rpartition('.')[2]}" for suffix in SUFFIXES), ".json"}
    with contextlib.suppress(InvalidInputError):
        listed = [file.name for file in find_files(folder, wanted)]
        yield from sorted(listed, key=lambda name: name != MANIFEST)


def _refuse(what: str, options: dict[str, Any]) -> None:
    for name, value in options.items():
        if value not in (None, False, ""):
            raise InvalidInputError(f"{what} takes no {name} (--{name.replace('_', '-')})")


def _fitted_one(quantizer: Any) -> Any:
    """Return a quantizer that is fitted; say what to do with anything else."""
    if isinstance(quantizer, type | int | bytes) or not hasattr(quantizer, "to_bytes"):
        raise InvalidInputError(
            f"quantizer is a fitted quantizer of h2q, its file, or the name of one, got "
            f"{quantizer!r:.80}"
        )
    if not hasattr(quantizer, "n_bits_"):
        raise InvalidInputError(
            f"{quantizer!r:.80} is not fitted; fit it first, or give the name of one and n_bits to "
            "fit it on these rows"
        )
    return quantizer


def _check_length(loaded: Any, n_bits: int | None, given: Any) -> None:
    """Refuse a length of codes that is not the one of a fitted quantizer."""
    if loaded is not None and n_bits not in (None, int(loaded.n_bits_)):
        whose = given if isinstance(given, str | os.PathLike) else type(loaded).__name__
        raise InvalidInputError(
            f"the quantizer {whose} makes codes of {loaded.n_bits_} bits, and {n_bits} were asked "
            "for (--bits); leave the bits out, or fit another quantizer"
        )


def _many_units(shards: list[Shard]) -> bool:
    from h2q.ingest.units import row_units

    return len(row_units(shards)) > 1


def _real_rows(source: str, n_bits: int, **hints: Any) -> list[Shard] | None:
    """Return the shards of real rows that are to have codes of `n_bits`; None where none are.

    Bytes are codes, and so are the rows of a `.fbin` that are as wide as the codes are long: h2q
    writes codes so, as +1 and -1.
    """
    try:
        shards = find_shards(source, **hints)
    except NoRowsError:
        raise
    except H2QError:  # whoever reads them as codes will say what is wrong
        return None
    first = shards[0]
    if first.kind == "codes" or (first.format, first.width) == ("fbin", n_bits):
        return None
    return None if open_shard(first).dtype == "uint8" else shards


def _is_absent(collection: StrPath | Collection) -> bool:
    """Whether no such file is there; a server is not asked."""
    return not isinstance(collection, Collection) and not exists(str(collection))


def _is_new(collection: StrPath | Collection) -> bool:
    return not isinstance(collection, Collection) and not is_there(str(collection))


def _fitted(
    source: str, name: str, n_bits: int, key: str | None, split: str | None, on_progress: OnProgress
) -> Any:
    from h2q.ingest.fitting import fit_shards
    from h2q.quantization import make_quantizer

    quantizer = make_quantizer(name, n_bits, random_state=0)
    fit_shards(source, quantizer, key=key, split=split, with_error=False, on_progress=on_progress)
    return quantizer


@contextlib.contextmanager
def _opened(
    collection: StrPath | Collection,
    quantizer: Any,
    keep: Keep | None,
    n_bits: int | None,
    decoder: Any,
    fitted: Callable[[str], Any],
) -> Iterator[Collection]:
    if isinstance(collection, Collection):
        yield collection
        return
    made_with = {"quantizer": quantizer, "n_bits": n_bits}
    given = {name: value for name, value in made_with.items() if value is not None}
    if not given and not exists(str(collection)):
        raise InvalidInputError(
            f"there is no collection {collection} yet, and to make one of embeddings takes a "
            "quantizer: say how long its codes are, to fit one on these rows (--bits 64), or give "
            "one that is fitted (h2q fit ROWS --bits 64 --out rotation.safetensors; --quantizer "
            "rotation.safetensors)"
        )
    named = decoder if is_name(decoder) else None
    if named is not None:
        decoder = None if is_there(str(collection)) else fitted(named)
    with open_collection(str(collection), keep=keep, decoder=decoder, **given) as opened:
        if named is not None:
            check_kept(opened, named)
        yield opened


def _memory(
    source: Embeddings | CodeFile | CodeStream,
    collection: StrPath | Collection,
    quantizer: Any,
    keep: Keep | None,
    decoder: Any,
    on_progress: OnProgress,
) -> IndexReport:
    n_bits = None if isinstance(source, Embeddings) else source.n_bits

    def fitted(name: str) -> Any:
        rows = source.rows if isinstance(source, Embeddings) else None
        return decoder_of_rows(rows, quantizer, name, random_state=0)

    with _opened(collection, quantizer, keep, n_bits, decoder, fitted) as opened:
        if isinstance(source, Embeddings):
            return index_embeddings(source, opened, quantizer, on_progress=on_progress)
        if isinstance(source, CodeFile):
            return index_codes(source, opened, on_progress=on_progress)
        return import_codes(source, opened, on_progress=on_progress)


def _photos(
    source: str,
    collection: StrPath | Collection,
    model: StrPath | None,
    encoder: str | None,
    n_bits: int | None,
    keep: Keep | None,
    decoder: Any,
    device: str,
    cluster: dict[str, Any],
    on_note: Callable[[str], None],
    options: dict[str, Any],
) -> IndexReport:
    local = cluster["ray"] is None and not is_url(source)
    if isinstance(collection, Collection):
        if local:
            coder = kept_encoder(collection, encoder=encoder, device=device)
            return index_folder(source, collection, coder, **options)
        return bulk_index_photos(
            source, collection, _kept(collection), device=device, **cluster, **options
        )
    uri = str(collection)
    if local or (not is_url(source) and model is None and not exists(uri)):
        # Of a new collection the rotation is fitted here; on a cluster the rest is left to it.
        return index_photos(
            source, uri, encoder=encoder, model=model, n_bits=n_bits, keep=keep,
            decoder=decoder, device=device, on_note=on_note, **options,
        )  # fmt: skip
    if model is None and not exists(uri):
        raise InvalidInputError(
            f"there is no collection {uri} yet; give --model to make it of photos in a store, or "
            "index a folder of some of them first"
        )
    find_files(source, image_suffixes())  # a mistyped folder should leave nothing behind
    with collection_and_encoder(
        uri, model=model, encoder=encoder, device="cpu", keep=keep, decoder=decoder
    ) as (opened, _):
        return bulk_index_photos(source, opened, _kept(opened), device=device, **cluster, **options)


def _kept(collection: Collection) -> bytes:
    data = collection.model_bytes()
    if data is None:
        raise InvalidInputError(f"the collection {collection.uri} keeps no model; give --model")
    return data
