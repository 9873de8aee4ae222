"""Fit a quantizer to shards that are together larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q.errors import InvalidInputError
from h2q.ingest.report import OnProgress, no_progress
from h2q.rowfiles.shards import (
    Shard,
    check_split,
    find_shards,
    read_split,
    row_ranges,
    shard_rows_at_a_time,
)


@dataclass(frozen=True)
class FitReport:
    """What was fitted on.

    Attributes
    ----------
    rows, dimension : int
    shards : int
    quantization_error : float or None
        Mean over all rows; None where it was not asked for.
    skipped : int
        Rows of zeros, which have no direction; nothing is fitted on them.
    """

    rows: int
    dimension: int
    shards: int
    quantization_error: float | None
    skipped: int = 0


def fit_shards(
    source: str,
    quantizer: Any,
    *,
    key: str | None = None,
    split: str | None = None,
    with_error: bool = True,
    on_progress: OnProgress = no_progress,
) -> FitReport:
    """Fit `quantizer` to the rows of all shards in one pass, by `partial_fit`.

    What is kept in memory is one block of rows, a uniform sample of `quantizer.max_samples` rows
    and, where there are fewer bits than columns, the sums of the exact covariance. The result is
    that of `fit` on all rows at once. Rows of zeros, which have no direction, are passed over.

    Parameters
    ----------
    source : str
        File, folder, pattern or URL (`h2q.ingest.find_shards`).
    quantizer : quantizer, not yet fitted
    key : str, optional
        Array or column that holds the rows.
    split : str, optional
        Which rows, of shards that know splits; "all", or by default "train" of those.
    with_error : bool
        Read everything a second time for the quantization error.
    on_progress : callable
        Told how many rows of how many are read, of one pass or both.

    Raises
    ------
    InvalidInputError
        If there are no such rows, or one is not finite.
    FormatError
        If a shard is damaged.
    """
    shards = find_shards(source, key=key)
    if shards[0].kind == "codes":
        raise InvalidInputError(
            f"{shards[0].file.url} holds codes; quantizers learn from embeddings"
        )
    check_split(shards, split)
    split = split or "train"
    total = sum(shard.n_rows for shard in shards) * (2 if with_error else 1)
    seen = skipped = 0
    for shard, size, block in _blocks(shards, split):
        rows = block[block.any(axis=1)]
        skipped += len(block) - len(rows)
        if len(rows):
            try:
                quantizer.partial_fit(rows)
            except InvalidInputError as error:
                raise InvalidInputError(f"{shard.file.url}: {error}") from error
        seen += size
        on_progress(seen, total)
    if skipped and not hasattr(quantizer, "n_samples_seen_"):
        raise InvalidInputError(f"{source}: all rows are zeros and have no direction")
    if not hasattr(quantizer, "n_samples_seen_"):
        raise InvalidInputError(
            f"{source}: no rows in the split {split!r}; --split all (split='all') takes all"
        )
    n = int(quantizer.n_samples_seen_)
    error_sum = 0.0
    if with_error:
        for _, size, block in _blocks(shards, split):
            rows = block[block.any(axis=1)]
            if len(rows):
                error_sum += float(quantizer.quantization_error(rows)) * len(rows)
            seen += size
            on_progress(seen, total)
    mean = error_sum / n if with_error else None
    return FitReport(n, shards[0].width, len(shards), mean, skipped)


def fit_decoder_to_shards(
    source: str,
    quantizer: Any,
    name: str,
    *,
    key: str | None = None,
    split: str | None = None,
    random_state: int = 0,
    on_progress: OnProgress = no_progress,
) -> Any:
    """Fit the decoder of a fitted quantizer to a uniform sample of the rows of all shards.

    Parameters
    ----------
    source, key, split, on_progress
        As in `fit_shards`: the same rows the quantizer was fitted on.
    quantizer : fitted quantizer
    name : {"code", "linear"}
    random_state : int

    Returns
    -------
    h2q.CodeDecoder or h2q.LinearDecoder

    Raises
    ------
    InvalidInputError
        If there are no such rows, or the decoder does not suit the quantizer.
    FormatError
        If a shard is damaged.
    """
    shards = find_shards(source, key=key)
    check_split(shards, split)
    return decoder_of_shards(
        shards, quantizer, name, split=split or "train", random_state=random_state,
        on_progress=on_progress,
    )  # fmt: skip


def decoder_of_shards(
    shards: list[Shard],
    quantizer: Any,
    name: str,
    *,
    split: str | None,
    random_state: int,
    on_progress: OnProgress = no_progress,
) -> Any:
    """Fit a decoder as `fit_decoder_to_shards` does, on shards already found."""
    from h2q.quantization.decoders import rows_for_decoder
    from h2q.quantization.sampling import RowStream

    if shards[0].kind == "codes":
        return decoder_of_rows(None, quantizer, name, random_state=random_state)
    generator = np.random.default_rng(random_state)
    stream = RowStream(rows_for_decoder(name), generator, with_moments=False)
    total, seen = sum(shard.n_rows for shard in shards), 0
    for _, size, rows in _blocks(shards, split):
        if len(rows):
            stream.add(rows)
        seen += size
        on_progress(seen, total)
    rows_seen = stream.sample() if stream.n_seen else None
    return decoder_of_rows(rows_seen, quantizer, name, random_state=random_state)


def decoder_of_rows(rows: Any, quantizer: Any, name: str, *, random_state: int) -> Any:
    """Fit a decoder to rows; of none, or without a quantizer, say what to do."""
    if rows is None or quantizer is None:
        raise InvalidInputError(
            f"the decoder {name!r} is fitted on embeddings with their quantizer; give both, or the "
            "file of a decoder (h2q fit ROWS --out QUANTIZER --decoder-out DECODER)"
        )
    from h2q.quantization.decoders import fit_decoder

    has_direction = rows.any(axis=1)
    if not has_direction.all():
        rows = rows[has_direction]
    return fit_decoder(name, rows, quantizer, random_state=random_state)


def _blocks(
    shards: list[Shard], split: str | None
) -> Iterator[tuple[Shard, int, NDArray[np.floating]]]:
    size = shard_rows_at_a_time(shards)
    for shard in shards:
        for start, stop in row_ranges(shard, size):
            yield shard, stop - start, read_split(shard, start, stop, split).values
