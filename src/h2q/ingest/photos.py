"""Photos into a collection with nothing else at hand: encoder and rotation are seen to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from h2q import encoders
from h2q._files import check_place
from h2q._numbers import whole_number
from h2q._paths import path_text
from h2q._typing import StrPath
from h2q.collections import open_collection
from h2q.collections.base import Keep
from h2q.errors import InvalidInputError
from h2q.images import MAX_PIXELS
from h2q.ingest.batches import in_batches
from h2q.ingest.decoders import is_name, load_decoder
from h2q.ingest.encoder import CodedEncoder, PhotoEncoder, load_hasher
from h2q.ingest.folder import index_folder
from h2q.ingest.listing import PhotoListing, list_photos
from h2q.ingest.models import collection_and_encoder, is_there
from h2q.ingest.photo_files import readable
from h2q.ingest.photo_reader import EmbeddedPhoto, LoadedPhoto, PhotoReader
from h2q.ingest.read_ahead import read_ahead
from h2q.ingest.report import IndexReport, OnProgress, no_progress

#: Length of a code where nothing else is said.
DEFAULT_BITS: Final = 64
#: Photos the rotation is fitted on at most, spread evenly over the folder.
_SAMPLE: Final = 4096
#: Photos for each bit below which the encoder's general directions help (measured: docs/photos.md).
_TOO_FEW: Final = 1.5
#: Photos for each bit from which more of them change little.
_ENOUGH: Final = 8


def index_photos(
    folder: StrPath,
    uri: str,
    *,
    encoder: str | None = None,
    model: StrPath | None = None,
    n_bits: int | None = None,
    keep: Keep | None = None,
    decoder: Any = None,
    device: str = "auto",
    random_state: int = 0,
    batch_size: int | None = None,
    max_pixels: int = MAX_PIXELS,
    gps: bool = False,
    on_progress: OnProgress = no_progress,
    on_note: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> IndexReport:
    """Bring a collection up to date with a folder of photos; make it where it is absent.

    A new collection without a model gets an encoder that is trained already and a rotation that is
    fitted on the photos themselves, without labels: at most 4,096 of them, spread evenly over the
    folder in the order of their names. The same photos give the same codes. Both are kept, so later
    calls need nothing.

    Parameters
    ----------
    folder : path
    uri : str
        The collection (`h2q.open_collection`).
    encoder : str, optional
        ``efficientnet-lite0`` (default), ``onnx:FILE`` or ``timm:NAME`` (`h2q.encoders`).
    model : path, optional
        A trained model or its run folder instead.
    n_bits : int, optional
        Length of a code of a new collection; 64 by default.
    keep : str, optional
        As `h2q.open_collection` takes it.
    decoder : fitted decoder, path or name, optional
        Of a new collection. By its name, "code" or "linear", it is fitted on the photos that the
        rotation is fitted on, or as many of them for a model.
    device : str
        Where a network of torch runs.
    random_state : int
        Of the rotation and the decoder.
    batch_size, max_pixels, gps, on_progress
        As in `index_folder`.
    on_note : callable
        Told in words what was decided: the encoder, and what the rotation was fitted on.
    **options
        As `index_folder` takes them (`prefix`, `prune`).

    Returns
    -------
    IndexReport

    Raises
    ------
    InvalidInputError
        If the folder holds no photo, or none can be read.
    CompatibilityError
        If the collection was made with another encoder, model or code length.
    """
    from h2q.quantization import fit_decoder  # scikit-learn waits until it is needed

    uri = path_text(uri, "the address of the collection")
    # Before a collection is made: a mistyped folder should leave nothing behind.
    found = list_photos(folder)
    shared: dict[str, Any] = {
        "batch_size": batch_size, "max_pixels": max_pixels, "gps": gps,
        "on_progress": on_progress, "found": found, **options,
    }  # fmt: skip
    if model is not None and encoder is not None:
        raise InvalidInputError("give either a model or an encoder, not both")
    decoder = load_decoder(decoder)
    if model is not None and is_name(decoder) and not is_there(uri):
        trained = PhotoEncoder(load_hasher(model), device)
        reader = PhotoReader(trained, max_pixels, gps)
        seen = _embedded_sample(
            found, trained, reader, batch_size or trained.batch_size, on_progress
        )
        # Queries reach such a collection rotated: it keeps a model, not its quantizer.
        rotated = trained.rotate(np.stack([each.row for each in seen.values()]))
        decoder = fit_decoder(decoder, rotated, random_state=random_state)
        shared["embedded"] = seen
    if model is not None or is_there(uri):
        with collection_and_encoder(
            uri, model=model, encoder=encoder, device=device, keep=keep, decoder=decoder
        ) as (collection, coder):
            if n_bits not in (None, collection.n_bits):
                raise InvalidInputError(
                    f"the collection {collection.uri} holds codes of {collection.n_bits} bits, "
                    f"{n_bits} were asked for; leave the bits out, or make another collection"
                )
            return index_folder(folder, collection, coder, **shared)
    if "://" not in uri:  # before the long work
        check_place(uri)
    network = encoders.load_encoder(encoder or encoders.DEFAULT, device=device)
    bits = min(DEFAULT_BITS, network.dimension)
    if n_bits is not None:
        bits = whole_number(n_bits, "n_bits")
    if not 1 <= bits <= network.dimension:
        raise InvalidInputError(
            f"{bits} bits were asked for; the encoder {network.name} gives rows of "
            f"{network.dimension} numbers, so 1 to {network.dimension} can be had"
        )
    reader = PhotoReader(network, max_pixels, gps)
    sample = _embedded_sample(found, network, reader, batch_size or 64, on_progress)
    rows = np.stack([each.row for each in sample.values()])
    quantizer, said = fit_on_photos(rows, network, bits, random_state=random_state)
    if is_name(decoder):
        decoder = fit_decoder(decoder, rows, quantizer, random_state=random_state)
    kept = network.kept.to_bytes(bits)
    with open_collection(
        uri, quantizer=quantizer, model=kept, keep=keep, decoder=decoder
    ) as collection:
        report = index_folder(
            folder, collection, CodedEncoder(network, quantizer), embedded=sample, **shared
        )
    on_note(f"encoder {network.name}; {said}")
    return report


def fit_on_photos(
    rows: NDArray[np.float32], encoder: encoders.Encoder, n_bits: int, *, random_state: int = 0
) -> tuple[Any, str]:
    """Fit projection and rotation on rows of photos, however few they are.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Of at least one photo.
    encoder : Encoder
        Its `general_rows`, where it has them, say how photos differ in general.
    n_bits : int
    random_state : int

    Returns
    -------
    quantizer : HouseholderQuantizer
    said : str
        What was done, in words.

    Notes
    -----
    A projection to k bits needs some multiple of k rows. Of fewer, general directions stand in for
    what the photos cannot tell: those of the encoder, or random ones.
    """
    from h2q.quantization import HouseholderQuantizer

    n = len(rows)
    said = f"rotation to {n_bits} bits fitted on {n:,} photo{'s' * (n != 1)}"
    if len(np.unique(rows, axis=0)) < _TOO_FEW * n_bits:
        general = getattr(encoder, "general_rows", None)
        rows = np.concatenate([rows, _around(rows, general, random_state)])
        whose = "by which ImageNet's classes differ" if general is not None else "at random"
        said += f" and, because these are too few, on directions {whose}"
    if n < _ENOUGH * n_bits:
        said += f"; a collection that begins with {_ENOUGH * n_bits:,} photos searches better"
    quantizer = HouseholderQuantizer(n_bits, random_state=random_state).fit(rows)
    return quantizer, said


def _around(
    rows: NDArray[np.float32], general: Callable[[], NDArray[np.float32]] | None, seed: int
) -> NDArray[np.float32]:
    """General rows, brought to the length of the photos' own, to be fitted beside them.

    The directions along which kinds of things differ, as the encoder's own classes have them;
    random ones where it has none. They spread around the mean of the photos, and as far from it as
    the photos themselves reach. (Around half of one photo alone, which would have no direction seen
    from itself.)
    """
    if general is None:
        directions = np.random.default_rng(seed).normal(size=(1000, rows.shape[1]))
    else:
        directions = np.asarray(general(), dtype=np.float64)
    directions = directions - directions.mean(axis=0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    mean = rows.mean(axis=0, dtype=np.float64)
    reach = float(np.linalg.norm(rows - mean, axis=1).mean())
    if len(np.unique(rows, axis=0)) == 1:
        mean = mean / 2
        reach = max(float(np.linalg.norm(mean)), 1e-6)
    spread: NDArray[np.float32] = (mean + reach * directions).astype(np.float32)
    return spread


def _embedded_sample(
    found: PhotoListing,
    encoder: Any,
    reader: PhotoReader,
    batch_size: int,
    on_progress: OnProgress,
) -> dict[str, EmbeddedPhoto]:
    """Embed a sample of the photos; by their path below the folder."""
    photos = found.files()
    places = np.unique(np.linspace(0, len(photos) - 1, min(_SAMPLE, len(photos))).astype(int))
    files = [photos[place] for place in places]
    sample: dict[str, EmbeddedPhoto] = {}
    why, done = "", 0
    for part in in_batches(read_ahead(reader.read, files, ahead=2 * batch_size), batch_size):
        good: Sequence[LoadedPhoto] = [each for each in part if isinstance(each, LoadedPhoto)]
        why = why or next((each.reason for each in part if not isinstance(each, LoadedPhoto)), "")
        if good:
            made = encoder.embed([photo.prepared for photo in good])
            for photo, row in zip(good, made, strict=True):
                sample[photo.file.name] = EmbeddedPhoto(photo.payload, row)
        done += len(part)
        on_progress(done, len(files))
    if not sample:
        raise InvalidInputError(
            f"{readable(found.folder)}: none of its {len(found.photos)} photos can be read ({why})"
        )
    return sample
