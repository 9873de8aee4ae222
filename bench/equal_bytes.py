"""The contest: which codes find the most true neighbours at equal bytes an item.

    python bench/equal_bytes.py --data text=minilm.npz --data photos=features.npz

An ``.npz`` holds real rows ``base`` (n, d) and ``query`` (nq, d); the true neighbours are those of
the cosine. Rows are scaled to length 1 first. Each peer takes its best settings at the bytes asked
for; `BEST` says how they were found. Bytes are what an item takes beside its id: code, norm,
factors. Projections, codebooks and decoders are kept once and not counted. No query was fitted on.
Peers with one length ("as shipped") run once a data set.

A case that the table in `--out` has is not run again, so a stopped run goes on where it was;
`--again` names peers to repeat.

recall@10: share of the true 10 among the first 10. in 100: among the first 100. int8: among the
first 10 after the first 100 are ordered by rows kept in int8 (d bytes more). Times are CPU times of
one thread: search as a multiple of `IndexBinaryFlat` over codes of as many bytes, coding of
`IndexLSH.sa_encode`, fit of ITQ, measured in the same run. The machine's other work is in them.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

import h2q

NEAR, FAR = 10, 100

#: What was tried for a peer's best settings, on both data sets at 32 bytes; the page repeats it.
BEST = (
    "Peers without an offset for the mean get the uncentred principal directions (a singular "
    "value decomposition) and queries projected alike: after a centring PCA, the product that "
    "turbovec, BBQ and int8 rank by forgets the mean and loses 5 to 20 points.",
    "turbovec: 2 bits on twice the columns are ahead of 4 bits; calibrated on 4,096 rows.",
    "OPQ starts from the principal columns, 4 a byte, and learns its rotation in 6 rounds on "
    "10,000 rows; all product quantizers and ITQ learn their codebooks on at most 20,000 rows.",
    "The residual quantizer and LSQ have 4-bit codebooks and a norm of a byte, and learn on 10,000 "
    "rows of 256 principal columns.",
)


class Codec:
    """A peer: made at some number of bytes, then fitted, coded with and searched.

    `lengths` is False where the peer has one length, whatever bytes are asked for.
    """

    def __init__(
        self,
        name: str,
        group: str,
        make: Callable[[np.ndarray, int], Coded],
        lengths: bool = True,
    ) -> None:
        self.name, self.group, self.make, self.lengths = name, group, make, lengths


@dataclass
class Coded:
    """What a peer is once it is fitted and the base is coded."""

    bytes_an_item: float
    fit_s: float
    encode_s: float
    search: Callable[[np.ndarray, int], np.ndarray]
    note: str = ""


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32."""
    rows = rows.astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a call gives and the CPU seconds it took."""
    start = time.process_time()
    found = call()
    return found, time.process_time() - start


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """Numbers of the k highest scores of each row, the highest first."""
    near = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, near, axis=1), axis=1, kind="stable")
    return np.take_along_axis(near, order, axis=1)


class Directions:
    """Principal directions of a base, found once."""

    def __init__(self, base: np.ndarray) -> None:
        self.of = base
        (self.all, self.seconds) = timed(lambda: np.linalg.eigh(base.T @ base)[1][:, ::-1])

    def apply(self, rows: np.ndarray, dims: int) -> np.ndarray:
        """Project rows without centring; all columns stay where none is to be left out."""
        if dims >= rows.shape[1]:
            return rows
        return np.ascontiguousarray(rows @ self.all[:, :dims])


_last: list[Directions] = []


def projected(base: np.ndarray, dims: int) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """Uncentred principal columns: products of what they return are those of the rows."""
    if dims >= base.shape[1]:
        return (lambda rows: rows), 0.0
    if not _last or _last[0].of is not base:
        _last[:] = [Directions(base)]
    found = _last[0]
    return (lambda rows: found.apply(rows, dims)), found.seconds


# ---------------------------------------------------------------- ours


@dataclass
class Fitted:
    """One of our quantizers with the codes of a base, in a collection on disk."""

    items: Any
    fit_s: float
    encode_s: float
    folder: Any


_fitted: dict[tuple[Any, ...], Fitted] = {}


def fitted(base: np.ndarray, size: int, kind: str, shrinkage: float) -> Fitted:
    """Fit a quantizer and code the base, once for all ranks."""
    key = (id(base), size, kind, shrinkage)
    if key not in _fitted:
        if len(_fitted) > 2:
            _fitted.clear()
        quantizer: Any = h2q.HouseholderQuantizer(8 * size, random_state=0)
        if kind == "chosen":
            quantizer = h2q.LocalSearchQuantizer(8 * size, gram_shrinkage=shrinkage, random_state=0)
            quantizer.fit(base[:300]).transform(base[:300])  # numba compiles
        _, fit_s = timed(lambda: quantizer.fit(base))
        codes, encode_s = timed(lambda: quantizer.transform(base))
        folder = tempfile.TemporaryDirectory()
        decoder = None
        if kind == "rotation":  # it brings one of its own only where it leaves columns out
            decoder = h2q.LinearDecoder(random_state=0).fit(base, codes, n_bits=8 * size)
        place = Path(folder.name) / "c.h2q"
        items = h2q.open_collection(place, quantizer=quantizer, decoder=decoder)
        items.add(range(len(codes)), codes)
        _fitted[key] = Fitted(items, fit_s, encode_s, folder)
    return _fitted[key]


def ours(kind: str, rank: str, shrinkage: float = 0.0) -> Callable[..., Coded]:
    """Return the maker of one of our quantizers, searched as a user does: in a collection."""

    def make(base: np.ndarray, size: int) -> Coded:
        made = fitted(base, size, kind, shrinkage)

        def search(queries: np.ndarray, k: int) -> np.ndarray:
            return np.array(made.items.search(queries, k, rank=rank).ids)

        return Coded(size, made.fit_s, made.encode_s, search)

    return make


# ---------------------------------------------------------------- faiss


def by_factory(
    text: Callable[[int, int], str], columns: Callable[[int], int] | None = None
) -> Callable[..., Coded]:
    """Make an index by faiss's factory, by L2, of all columns or of so many principal ones."""

    def make(base: np.ndarray, size: int) -> Coded:
        dims = base.shape[1] if columns is None else min(base.shape[1], columns(size))
        apply, pca_s = projected(base, dims)
        index = faiss.index_factory(dims, text(dims, size), faiss.METRIC_L2)
        first = faiss.downcast_VectorTransform(index.chain.at(0)) if hasattr(index, "chain") else 0
        if isinstance(first, faiss.OPQMatrix):
            first.niter, first.niter_pq_0, first.max_train_points = 6, 20, 10_000
        learned = some(apply(base), LEARNED)
        _, fit_s = timed(lambda: index.train(learned))
        _, encode_s = timed(lambda: index.add(apply(base)))
        note = "" if dims == base.shape[1] else f"{dims} columns"
        return Coded(size, fit_s + pca_s, encode_s, lambda q, k: index.search(apply(q), k)[1], note)

    return make


#: Rows that product quantizers and rotations learn on, and additive ones.
LEARNED, LEARNED_ADDITIVE = 20_000, 10_000
#: Principal columns that additive quantizers code.
ADDITIVE_COLUMNS = 256


def some(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, evenly spread."""
    step = max(1, len(rows) // most)
    return np.ascontiguousarray(rows[::step][:most])


def lsh(base: np.ndarray, size: int) -> Coded:
    """Random rotation and signs, by Hamming; at most d bits."""
    index = faiss.IndexLSH(base.shape[1], 8 * size, True)
    _, fit_s = timed(lambda: index.train(base))
    _, encode_s = timed(lambda: index.add(base))
    return Coded(size, fit_s, encode_s, lambda q, k: index.search(q, k)[1])


def additive(kind: str) -> Callable[..., Coded]:
    """4-bit codebooks by FastScan, a norm of a byte; learned on some of the rows."""

    def make(base: np.ndarray, size: int) -> Coded:
        dims = min(base.shape[1], ADDITIVE_COLUMNS)
        apply, pca_s = projected(base, dims)
        norm = getattr(faiss.AdditiveQuantizer, f"ST_norm_{kind}2x4")
        name = {"lsq": "LocalSearchQuantizer", "rq": "ResidualQuantizer"}[kind]
        index = getattr(faiss, f"Index{name}FastScan")(dims, 2 * size - 2, 4, faiss.METRIC_L2, norm)
        learned = some(apply(base), LEARNED_ADDITIVE)
        if kind == "lsq":
            index.lsq.train_iters, index.lsq.encode_ils_iters = LSQ_ROUNDS
        _, fit_s = timed(lambda: index.train(learned))
        _, encode_s = timed(lambda: index.add(apply(base)))
        note = f"{dims} columns, learned on {len(learned):,} rows"
        if kind == "lsq":
            note += f", {LSQ_ROUNDS[0]} rounds, {LSQ_ROUNDS[1]} kicks a row"
        return Coded(size, fit_s + pca_s, encode_s, lambda q, k: index.search(apply(q), k)[1], note)

    return make


#: Rounds while learning (faiss's default 25) and kicks a row while coding (faiss's default 16).
LSQ_ROUNDS = (8, 8)


def rabitq(bits: int, shipped: bool) -> Callable[..., Coded]:
    """RaBitQ as it is shipped (on all columns), or on as many principal ones as the bytes allow."""

    def make(base: np.ndarray, size: int) -> Coded:
        d = base.shape[1]
        dims = d
        if not shipped:
            dims = next((m for m in range(d, 0, -8) if code_size(m, bits) <= size), 0)
            if dims < 8:
                raise ValueError("its factors alone take the bytes")
        apply, pca_s = projected(base, dims)
        rotation = faiss.RandomRotationMatrix(dims, dims)
        rotation.init(0)
        metric = faiss.METRIC_INNER_PRODUCT
        index = faiss.IndexRaBitQFastScan(dims, metric, 32, bits)
        rows = rotation.apply(apply(base))
        _, fit_s = timed(lambda: index.train(rows))
        _, encode_s = timed(lambda: index.add(rotation.apply(apply(base))))

        def search(queries: np.ndarray, k: int) -> np.ndarray:
            return index.search(rotation.apply(apply(queries)), k)[1]

        note = f"{dims} columns, FastScan"
        return Coded(code_size(dims, bits), fit_s + pca_s, encode_s, search, note)

    return make


def code_size(dims: int, bits: int) -> int:
    """Bytes of RaBitQ, its factors included."""
    return int(faiss.IndexRaBitQ(dims, faiss.METRIC_INNER_PRODUCT, bits).code_size)


# ---------------------------------------------------------------- others


def usearch_binary(base: np.ndarray, size: int) -> Coded:
    """Signs of centred principal columns after a random rotation, Hamming, exact."""
    from usearch.index import MetricKind, search

    dims = min(8 * size, base.shape[1])
    pca = faiss.PCAMatrix(base.shape[1], dims, 0, True)
    _, fit_s = timed(lambda: pca.train(base))
    codes, encode_s = timed(lambda: np.packbits(pca.apply(base) > 0, axis=1))

    def find(queries: np.ndarray, k: int) -> np.ndarray:
        asked = np.packbits(pca.apply(queries) > 0, axis=1)
        return search(codes, asked, k, MetricKind.Hamming, exact=True).keys.astype(np.int64)

    return Coded(codes.shape[1], fit_s, encode_s, find, "PCA, random rotation")


def usearch_i8(base: np.ndarray, size: int) -> Coded:
    """Principal columns in int8, cosine, exact; one column a byte."""
    from usearch.index import MetricKind, search

    apply, fit_s = projected(base, size)
    scale = 127 / np.abs(apply(base)).max()

    def small(rows: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(apply(rows) * scale), -127, 127).astype(np.int8)

    codes, encode_s = timed(lambda: small(base))

    def find(queries: np.ndarray, k: int) -> np.ndarray:
        return search(codes, small(queries), k, MetricKind.Cos, exact=True).keys.astype(np.int64)

    return Coded(codes.shape[1], fit_s, encode_s, find, "one byte a column")


def sentence_transformers(rescored: bool, centred: bool) -> Callable[..., Coded]:
    """`quantize_embeddings` to one bit a column; rescored as its search does: real query, bits.

    It takes rows as they are. Bits of columns far from zero say nothing, so it is also handed
    centred rows.
    """

    def make(base: np.ndarray, size: int) -> Coded:
        from sentence_transformers.util.quantization import quantize_embeddings

        centre = base.mean(axis=0) if centred else np.zeros(base.shape[1], np.float32)
        codes, encode_s = timed(lambda: quantize_embeddings(base - centre, precision="ubinary"))
        index = faiss.IndexBinaryFlat(8 * codes.shape[1])
        index.add(codes)

        def find(queries: np.ndarray, k: int) -> np.ndarray:
            asked = quantize_embeddings(queries - centre, precision="ubinary")
            if not rescored:
                return index.search(asked, k)[1]
            near = index.search(asked, 4 * k)[1]
            scores = np.empty(near.shape, np.float32)
            for number, found in enumerate(near):
                bits = np.unpackbits(codes[found], axis=1)[:, : base.shape[1]]
                scores[number] = bits.astype(np.float32) @ (queries[number] - centre)
            return np.take_along_axis(near, best(scores, k), axis=1)

        return Coded(codes.shape[1], 0.0, encode_s, find, "centred rows" if centred else "")

    return make


def sentence_transformers_int8(base: np.ndarray, size: int) -> Coded:
    """`quantize_embeddings` to one byte a column, ranges from all rows; inner products."""
    from sentence_transformers.util.quantization import quantize_embeddings

    ranges = np.stack([base.min(axis=0), base.max(axis=0)])
    codes, encode_s = timed(lambda: quantize_embeddings(base, precision="int8", ranges=ranges))
    steps = (ranges[1] - ranges[0]) / 255

    def find(queries: np.ndarray, k: int) -> np.ndarray:
        return best((queries * steps) @ codes.astype(np.float32).T, k)

    return Coded(codes.shape[1], 0.0, encode_s, find, "scored in numpy")


def turbovec(bits: int) -> Callable[..., Coded]:
    """TurboQuant on as many principal columns as the bytes allow."""

    def make(base: np.ndarray, size: int) -> Coded:
        from turbovec import TurboQuantIndex

        dims = min(base.shape[1], 8 * (8 * (size - 4) // bits // 8))
        if dims < 8:
            raise ValueError("its norm takes the bytes")
        apply, pca_s = projected(base, dims)
        index = TurboQuantIndex(dims, bits)
        sample = np.random.default_rng(0).choice(len(base), min(4096, len(base)), replace=False)
        _, fit_s = timed(lambda: index.calibrate(np.ascontiguousarray(apply(base[sample]))))
        _, encode_s = timed(lambda: index.add(np.ascontiguousarray(apply(base))))

        def find(queries: np.ndarray, k: int) -> np.ndarray:
            found = index.search(np.ascontiguousarray(apply(queries)), k)
            return np.asarray(found[1]).astype(np.int64)

        note = f"{dims} columns at {bits} bits"
        return Coded(dims * bits / 8 + 4, fit_s + pca_s, encode_s, find, note)

    return make


def bbq(shipped: bool) -> Callable[..., Coded]:
    """Plain better binary quantization: centred signs, three floats a row, a 4-bit query."""

    def make(base: np.ndarray, size: int) -> Coded:
        factors = 12
        dims = base.shape[1] if shipped else min(base.shape[1], 8 * (size - factors))
        if dims < 8:
            raise ValueError("its factors alone take the bytes")
        apply, pca_s = projected(base, dims)
        rotation = faiss.RandomRotationMatrix(dims, dims)
        rotation.init(0)

        def turned(rows: np.ndarray) -> np.ndarray:
            return apply(rows) if shipped else rotation.apply(apply(rows))

        rows = turned(base)
        centre, fit_s = timed(lambda: rows.mean(axis=0))

        def code() -> tuple[np.ndarray, ...]:
            found = turned(base)
            rest = found - centre
            norm = np.linalg.norm(rest, axis=1)
            # The cosine of the rest and its signs: what a product with the signs is divided by.
            cosine = np.abs(rest).sum(axis=1) / np.sqrt(dims) / np.maximum(norm, 1e-12)
            return np.packbits(rest > 0, axis=1), norm, cosine, found @ centre

        (codes, norm, cosine, offset), encode_s = timed(code)
        signs = np.unpackbits(codes, axis=1)[:, :dims].astype(np.float32) * 2 - 1

        def find(queries: np.ndarray, k: int) -> np.ndarray:
            rest = turned(queries) - centre
            step = np.abs(rest).max(axis=1, keepdims=True) / 7.5
            rough = (np.floor(rest / step).clip(-8, 7) + 0.5) * step
            return best((rough @ signs.T) / np.sqrt(dims) * (norm / cosine) + offset, k)

        note = f"{dims} columns; scored in numpy"
        return Coded(-(-dims // 8) + factors, fit_s + pca_s, encode_s, find, note)

    return make


CODECS = [
    Codec("h2q chosen codes", "h2q", ours("chosen", "reconstructed")),
    Codec("h2q chosen codes, Hamming", "h2q", ours("chosen", "hamming")),
    Codec("h2q chosen codes, shrunk 0.3", "h2q", ours("chosen", "reconstructed", 0.3)),
    Codec("h2q chosen codes, shrunk 0.3, Hamming", "h2q", ours("chosen", "hamming", 0.3)),
    Codec("h2q rotation, Hamming", "h2q", ours("rotation", "hamming")),
    Codec("h2q rotation, linear", "h2q", ours("rotation", "linear")),
    Codec("faiss LSH", "signs", lsh),
    Codec("turbovec, 2 bits, on PCA", "rabitq", turbovec(2)),
    Codec("turbovec, 4 bits, on PCA", "rabitq", turbovec(4)),
    Codec("RaBitQ, 1 bit, on PCA", "rabitq", rabitq(1, False)),
    Codec("RaBitQ, 2 bits, on PCA", "rabitq", rabitq(2, False)),
    Codec("BBQ, on PCA", "rabitq", bbq(False)),
    Codec("usearch, binary", "signs", usearch_binary),
    Codec("usearch, int8 of PCA", "scalar", usearch_i8),
    Codec("RaBitQ, 1 bit, as shipped", "rabitq", rabitq(1, True), lengths=False),
    Codec("RaBitQ, 2 bits, as shipped", "rabitq", rabitq(2, True), lengths=False),
    Codec("BBQ, as shipped", "rabitq", bbq(True), lengths=False),
    *(
        Codec(
            f"sentence-transformers ubinary{', centred' * centred}{', rescored' * rescored}",
            "signs",
            sentence_transformers(rescored, centred),
            lengths=False,
        )
        for centred in (False, True)
        for rescored in (False, True)
    ),
    Codec("sentence-transformers int8", "scalar", sentence_transformers_int8, lengths=False),
    Codec("faiss ITQ", "signs", by_factory(lambda d, b: f"ITQ{8 * b},LSH")),
    Codec("faiss PQ", "pq", by_factory(lambda d, b: f"PQ{b}")),
    Codec(
        "faiss OPQ + PQ4 FastScan",
        "pq",
        by_factory(lambda d, b: f"OPQ{2 * b},PQ{2 * b}x4fs", lambda b: 4 * b),
    ),
    Codec("faiss OPQ + PQ", "pq", by_factory(lambda d, b: f"OPQ{b},PQ{b}", lambda b: 4 * b)),
    Codec("faiss residual quantizer, 4 bits FastScan", "additive", additive("rq")),
    Codec("faiss LSQ, 4 bits FastScan", "additive", additive("lsq")),
]


# ---------------------------------------------------------------- judging


def recall(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Share of the true neighbours found, a query."""
    return np.array([len(np.intersect1d(a, b)) / b.size for a, b in zip(found, true, strict=True)])


def judged(base: np.ndarray, queries: np.ndarray, size: int, codecs: list[Codec]) -> Iterator[dict]:
    """Measure peers at one number of bytes."""
    true = best(queries @ base.T, NEAR)
    int8 = np.clip(np.rint(base * (127 / np.abs(base).max())), -127, 127)
    flat = faiss.IndexBinaryFlat(8 * size)
    rng = np.random.default_rng(0)
    flat.add(rng.integers(0, 256, (len(base), size), dtype=np.uint8))
    asked = rng.integers(0, 256, (len(queries), size), dtype=np.uint8)
    plain = faiss.IndexLSH(base.shape[1], min(8 * size, base.shape[1]), True)
    plain.train(base)
    itq = faiss.index_factory(base.shape[1], f"ITQ{min(8 * size, base.shape[1])},LSH")
    _, itq_s = timed(lambda: itq.train(base))
    for codec in codecs:
        try:
            coded = codec.make(base, size)
            coded.search(queries[:5], FAR)
        except (ValueError, RuntimeError, ImportError) as error:
            print(f"  {codec.name}: left out: {str(error).splitlines()[0][:120]}", flush=True)
            continue
        rounds = []
        for _ in range(3):
            _, theirs = timed(lambda: flat.search(asked, FAR))
            found, seconds = timed(lambda coded=coded: coded.search(queries, FAR))
            rounds.append(seconds / theirs)
            if seconds > 3:
                break
        _, lsh_s = timed(lambda: plain.sa_encode(base[:10_000]))
        lsh_s *= len(base) / min(len(base), 10_000)
        scores = np.einsum("qd,qcd->qc", queries, int8[np.maximum(found, 0)])
        again = np.take_along_axis(found, best(scores, NEAR), axis=1)
        near = recall(found[:, :NEAR], true)
        row = {
            "peer": codec.name,
            "group": codec.group,
            "asked_bytes": size if codec.lengths else 0,
            "bytes": round(coded.bytes_an_item, 1),
            "recall@10": round(100 * near.mean(), 2),
            "error": round(196 * near.std() / np.sqrt(len(near)), 2),
            "in 100": round(100 * recall(found, true).mean(), 2),
            "int8": round(100 * recall(again, true).mean(), 2),
            "search": round(float(np.median(rounds)), 3),
            "encode": round(coded.encode_s / lsh_s, 2),
            "encode_us": round(1e6 * coded.encode_s / len(base), 2),
            "fit": round(coded.fit_s / itq_s, 3),
            "fit_s": round(coded.fit_s, 1),
            "note": coded.note,
        }
        print(
            f"  {codec.name:<42} {row['bytes']:>6} {row['recall@10']:6.1f} ±{row['error']:.1f} "
            f"{row['in 100']:6.1f} {row['int8']:6.1f}  search {row['search']:6.2f}  "
            f"encode {row['encode']:7.1f}  fit {row['fit']:6.2f} ({row['fit_s']} s)  {coded.note}",
            flush=True,
        )
        yield row


#: What makes two rows of the table the same case.
_SAME = ("data", "rows", "peer", "asked_bytes")


def case_of(row: dict) -> tuple[str, ...]:
    """Return what a row measured."""
    return tuple(str(row[name]) for name in _SAME)


def main() -> None:
    """Run the contest, or only draw what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--bytes", default="32,16,48")
    parser.add_argument("--rows", type=int, default=0, help="of the base; 0: all")
    parser.add_argument("--only", default="", help="words of the names wanted, by commas")
    parser.add_argument("--again", default="", help="words of the names to repeat, by commas")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    table = options.out / "equal_bytes.csv"
    rows: list[dict] = []
    if table.exists():
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
    again = [word for word in options.again.split(",") if word]
    rows_before = {case_of(row) for row in rows if not any(w in row["peer"] for w in again)}
    wanted = [c for c in CODECS if any(word in c.name for word in options.only.split(","))]
    sizes = list(map(int, options.bytes.split(",")))
    for each in options.data:
        name, path = each.split("=", 1)
        with np.load(path) as data:
            base, queries = unit(data["base"]), unit(data["query"])
        if options.rows:
            base = base[: options.rows]
        for size in sizes:
            missing = [
                codec
                for codec in wanted
                if (codec.lengths or size == sizes[0])
                and (name, str(len(base)), codec.name, str(size if codec.lengths else 0))
                not in rows_before
            ]
            if not missing:
                continue
            print(f"{name}: {base.shape[0]} x {base.shape[1]}, {size} bytes", flush=True)
            for row in judged(base, queries, size, missing):
                row |= {"data": name, "rows": len(base), "columns": base.shape[1]}
                rows = [other for other in rows if case_of(other) != case_of(row)] + [row]
                options.out.mkdir(parents=True, exist_ok=True)
                with table.open("w", newline="") as file:
                    writer = csv.DictWriter(file, list(row), lineterminator="\n")
                    writer.writeheader()
                    writer.writerows(rows)
    if rows:
        write_page(rows, options.out)
        if importlib.util.find_spec("matplotlib") is not None:
            draw(rows, options.out / "equal_bytes.svg")


def number(row: dict, key: str) -> float:
    """Read a figure of the table."""
    return float(row[key])


def write_page(rows: list[dict], out: Path) -> None:
    """Write the tables; the words around them are in ``docs/equal_bytes.md``."""
    lines = [
        "<!-- Written by bench/equal_bytes.py; docs/equal_bytes.md says what it means. -->",
        "",
        "# The contest at equal bytes",
        "",
        "recall@10: share in percent of the true 10 neighbours among the first 10, with the 95 % "
        "interval over queries; in 100: among the first 100; int8: among the first 10 after the "
        "first 100 are ordered by int8 rows. CPU times of one thread: search as a multiple of "
        "`IndexBinaryFlat`, coding of `IndexLSH.sa_encode`, fit of ITQ, in the same run.",
        "",
        *(f"- {line}" for line in BEST),
        "",
        "![recall over bytes](equal_bytes.svg)",
        "",
    ]
    for data in dict.fromkeys(row["data"] for row in rows):
        of_data = [row for row in rows if row["data"] == data]
        for size in sorted(
            {int(row["asked_bytes"]) for row in of_data}, key=lambda n: n or 1 << 30
        ):
            here = [row for row in of_data if int(row["asked_bytes"]) == size]
            first = here[0]
            what = f"{size} bytes" if size else "at a length of their own"
            lines += [
                f"## {data}, {first['rows']} x {first['columns']}, {what}",
                "",
                "| peer | bytes | recall@10 | in 100 | int8 | search | coding | fit | |",
                "|---|---|---|---|---|---|---|---|---|",
            ]
            for row in sorted(here, key=lambda row: -number(row, "recall@10")):
                bold = "**" if row["peer"].startswith("h2q") else ""
                lines.append(
                    f"| {bold}{row['peer']}{bold} | {number(row, 'bytes'):g} | "
                    f"{number(row, 'recall@10'):.1f} ± {number(row, 'error'):.1f} | "
                    f"{number(row, 'in 100'):.1f} | {number(row, 'int8'):.1f} | "
                    f"{number(row, 'search'):.2f} | {number(row, 'encode'):.1f} | "
                    f"{number(row, 'fit'):.2f} | {row['note']} |"
                )
            lines.append("")
    (out / "equal_bytes.md").write_text("\n".join(lines))


def draw(rows: list[dict], path: Path) -> None:
    """Recall over bytes, one panel a data set."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row["data"] for row in rows))
    figure, panels = plt.subplots(1, len(names), figsize=(6.2 * len(names), 4.8), squeeze=False)
    # Colour, mark, width of the line; peers of one length have none.
    shown = {
        "h2q chosen codes": ("C3", "o", 2.6),
        "h2q chosen codes, shrunk 0.3": ("C3", "o", 1.0),
        "h2q rotation, linear": ("C1", "o", 1.4),
        "h2q rotation, Hamming": ("C1", "x", 1.0),
        "faiss OPQ + PQ": ("C0", "s", 1.4),
        "faiss OPQ + PQ4 FastScan": ("C0", "v", 1.0),
        "faiss LSQ, 4 bits FastScan": ("C2", "^", 1.2),
        "faiss residual quantizer, 4 bits FastScan": ("C2", "D", 1.0),
        "RaBitQ, 1 bit, on PCA": ("C4", "P", 1.0),
        "turbovec, 2 bits, on PCA": ("C5", "X", 1.2),
        "BBQ, on PCA": ("C6", "<", 1.0),
        "faiss ITQ": ("0.5", "x", 1.0),
        "RaBitQ, 1 bit, as shipped": ("C4", "*", 0.0),
        "BBQ, as shipped": ("C6", "*", 0.0),
        "sentence-transformers ubinary, centred, rescored": ("k", "*", 0.0),
    }
    for name, axis in zip(names, panels[0], strict=True):
        for peer, (colour, mark, width) in shown.items():
            here = [r for r in rows if r["data"] == name and r["peer"] == peer]
            here.sort(key=lambda row: number(row, "bytes"))
            if not here or (not width and number(here[0], "bytes") > 100):
                continue
            x, y = ([number(r, key) for r in here] for key in ("bytes", "recall@10"))
            axis.plot(x, y, color=colour, marker=mark, lw=width, ms=6, label=peer)
        first = next(row for row in rows if row["data"] == name)
        axis.set_title(f"{name}, {first['rows']} x {first['columns']}", fontsize=10)
        axis.set_xlabel("bytes an item")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=6, loc="lower right")
    panels[0][0].set_ylabel("recall@10, percent")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    main()
