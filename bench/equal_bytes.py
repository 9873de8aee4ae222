"""The contest: which codes find the most true neighbours at equal bytes an item.

    python bench/equal_bytes.py --data text=minilm.npz --data photos=features.npz --out docs/results

An ``.npz`` holds real rows ``base`` (n, d) and ``query`` (nq, d); the true neighbours are those of
the cosine. Rows are scaled to length 1 first, and peers are trained and searched by L2 (by inner
product faiss's product quantizers lose 1 to 7 points of recall). Each peer takes its best settings
at the bytes asked for. Bytes are what an item takes beside its id: code, norm, factors.
Projections, codebooks and decoders are kept once and not counted. No query was fitted on.

OPQ learns its rotation in 12 rounds on 20,000 rows (faiss's 50 take four times as long).

recall@10: share of the true 10 among the first 10. in 100: among the first 100. int8: among the
first 10 after the first 100 are ordered by rows kept in int8 (d bytes more). Times are of one
thread: search as a multiple of `IndexBinaryFlat` over codes of as many bytes, coding of
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


@dataclass
class Codec:
    """A peer: made at some number of bytes, then fitted, coded with and searched."""

    name: str
    group: str
    make: Callable[[np.ndarray, int], Coded]


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


def projected(base: np.ndarray, dims: int) -> tuple[Callable[[np.ndarray], np.ndarray], float]:
    """PCA with centring, through faiss."""
    if dims >= base.shape[1]:
        return (lambda rows: rows), 0.0
    pca = faiss.PCAMatrix(base.shape[1], dims)
    _, seconds = timed(lambda: pca.train(base))
    return (lambda rows: pca.apply(rows)), seconds


# ---------------------------------------------------------------- ours


def collection_of(quantizer: Any, codes: np.ndarray) -> Callable[[np.ndarray, int], np.ndarray]:
    """Search as a user does: a collection on disk, its default rank."""
    folder = tempfile.TemporaryDirectory()
    items = h2q.open_collection(Path(folder.name) / "c.h2q", quantizer=quantizer)
    items.add(range(len(codes)), codes)

    def search(queries: np.ndarray, k: int, rank: str | None = None) -> np.ndarray:
        folder.name  # noqa: B018  # kept until the last search
        return np.array(items.search(queries, k, rank=rank).ids)

    search(np.zeros((1, quantizer.n_features_in_), np.float32) + 1, 5)
    return search


def ours(rank: str | None, decoded: bool = False, **options: Any) -> Callable[..., Coded]:
    """Return the maker of one of our quantizers."""

    def make(base: np.ndarray, size: int) -> Coded:
        kind = h2q.LocalSearchQuantizer if "local" in options else h2q.HouseholderQuantizer
        settings = {name: value for name, value in options.items() if name != "local"}
        quantizer = kind(8 * size, random_state=0, **settings)
        quantizer, fit_s = timed(lambda: quantizer.fit(base))
        quantizer.transform(base[:300])
        codes, encode_s = timed(lambda: quantizer.transform(base))
        search: Any = collection_of(quantizer, codes)
        if decoded:
            decoder, more = timed(lambda: h2q.LinearDecoder(random_state=0).fit(base, codes))

            def by_decoder(queries: np.ndarray, k: int) -> np.ndarray:
                return np.argsort(-decoder.scores(queries, codes), axis=1, kind="stable")[:, :k]

            return Coded(size, fit_s + more, encode_s, by_decoder, "scored outside a collection")
        return Coded(size, fit_s, encode_s, lambda queries, k: search(queries, k, rank))

    return make


# ---------------------------------------------------------------- faiss


def by_factory(text: Callable[[int, int], str], extra: float = 0) -> Callable[..., Coded]:
    """Make an index by faiss's factory, by L2."""

    def make(base: np.ndarray, size: int) -> Coded:
        index = faiss.index_factory(base.shape[1], text(base.shape[1], size), faiss.METRIC_L2)
        first = faiss.downcast_VectorTransform(index.chain.at(0)) if hasattr(index, "chain") else 0
        if isinstance(first, faiss.OPQMatrix):
            first.niter, first.max_train_points = 12, 20_000
        _, fit_s = timed(lambda: index.train(base))
        _, encode_s = timed(lambda: index.add(base))
        note = index_note(index)
        return Coded(size + extra, fit_s, encode_s, lambda q, k: index.search(q, k)[1], note)

    return make


def index_note(index: Any) -> str:
    """Name the class that was made."""
    inner = index
    while hasattr(inner, "index"):
        inner = faiss.downcast_index(inner.index)
    return type(inner).__name__


def lsh(base: np.ndarray, size: int) -> Coded:
    """Random rotation and signs, by Hamming; at most d bits."""
    index = faiss.IndexLSH(base.shape[1], 8 * size, True)
    _, fit_s = timed(lambda: index.train(base))
    _, encode_s = timed(lambda: index.add(base))
    return Coded(size, fit_s, encode_s, lambda q, k: index.search(q, k)[1])


def lsq(base: np.ndarray, size: int) -> Coded:
    """Local search quantizer: 4-bit codebooks, a norm of a byte; it learns on 10,000 rows."""
    kind = faiss.AdditiveQuantizer.ST_norm_lsq2x4
    index = faiss.IndexLocalSearchQuantizerFastScan(
        base.shape[1], 2 * size - 2, 4, faiss.METRIC_L2, kind
    )
    _, fit_s = timed(lambda: index.train(base[:10_000]))
    _, encode_s = timed(lambda: index.add(base))
    return Coded(size, fit_s, encode_s, lambda q, k: index.search(q, k)[1], "learned on 10,000")


def rabitq(bits: int, shipped: bool) -> Callable[..., Coded]:
    """RaBitQ as it is shipped (on all columns), or on as many principal ones as the bytes allow."""

    def make(base: np.ndarray, size: int) -> Coded:
        d = base.shape[1]
        dims = d
        if not shipped:
            dims = next(
                (m for m in range(d, 0, -8) if code_size(m, bits) <= size),
                0,
            )
            if dims < 8:
                raise ValueError("its factors alone take the bytes")
        apply, pca_s = projected(base, dims)
        rotation = faiss.RandomRotationMatrix(dims, dims)
        rotation.init(0)
        index = faiss.IndexRaBitQ(dims, faiss.METRIC_L2, bits)
        index.qb = 8
        rows = rotation.apply(apply(base))
        _, fit_s = timed(lambda: index.train(rows))
        _, encode_s = timed(lambda: index.add(rotation.apply(apply(base))))

        def search(queries: np.ndarray, k: int) -> np.ndarray:
            return index.search(rotation.apply(apply(queries)), k)[1]

        return Coded(index.code_size, fit_s + pca_s, encode_s, search, f"{dims} columns")

    return make


def code_size(dims: int, bits: int) -> int:
    """Bytes of RaBitQ, its factors included."""
    return int(faiss.IndexRaBitQ(dims, faiss.METRIC_L2, bits).code_size)


# ---------------------------------------------------------------- others


def usearch_binary(base: np.ndarray, size: int) -> Coded:
    """Signs of the principal columns, Hamming, exact; what usearch is handed for b1."""
    from usearch.index import MetricKind, search

    apply, fit_s = projected(base, 8 * size)
    codes, encode_s = timed(lambda: np.packbits(apply(base) > 0, axis=1))

    def find(queries: np.ndarray, k: int) -> np.ndarray:
        asked = np.packbits(apply(queries) > 0, axis=1)
        return search(codes, asked, k, MetricKind.Hamming, exact=True).keys.astype(np.int64)

    return Coded(codes.shape[1], fit_s, encode_s, find, "signs of PCA")


def usearch_i8(base: np.ndarray, size: int) -> Coded:
    """Principal columns in int8, inner product, exact; one column a byte."""
    from usearch.index import MetricKind, search

    apply, fit_s = projected(base, size)
    scale = 127 / np.abs(apply(base)).max()

    def small(rows: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(apply(rows) * scale), -127, 127).astype(np.int8)

    codes, encode_s = timed(lambda: small(base))

    def find(queries: np.ndarray, k: int) -> np.ndarray:
        return search(codes, small(queries), k, MetricKind.Cos, exact=True).keys.astype(np.int64)

    return Coded(codes.shape[1], fit_s, encode_s, find, "PCA, one byte a column")


def sentence_transformers(rescored: bool) -> Callable[..., Coded]:
    """`quantize_embeddings` as its docs use it: signs of the rows as they are; d / 8 bytes."""

    def make(base: np.ndarray, size: int) -> Coded:
        from sentence_transformers.util.quantization import quantize_embeddings

        codes, encode_s = timed(lambda: quantize_embeddings(base, precision="ubinary"))
        index = faiss.IndexBinaryFlat(8 * codes.shape[1])
        index.add(codes)
        signs = np.unpackbits(codes, axis=1)[:, : base.shape[1]].astype(np.float32) * 2 - 1

        def find(queries: np.ndarray, k: int) -> np.ndarray:
            asked = quantize_embeddings(queries, precision="ubinary")
            if not rescored:
                return index.search(asked, k)[1]
            near = index.search(asked, 4 * k)[1]
            scores = np.einsum("qd,qcd->qc", queries, signs[near])
            return np.take_along_axis(near, np.argsort(-scores, axis=1)[:, :k], axis=1)

        return Coded(codes.shape[1], 0.0, encode_s, find, "as shipped; no length to choose")

    return make


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
        size_found = len(index.to_bytes()) / len(base)

        def find(queries: np.ndarray, k: int) -> np.ndarray:
            found = index.search(np.ascontiguousarray(apply(queries)), k)
            return np.asarray(found[1]).astype(np.int64)

        note = f"{dims} columns at {bits} bits; the file is {size_found:.1f} bytes an item"
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
        rows = apply(base)
        centre, fit_s = timed(lambda: rows.mean(axis=0))

        def code() -> tuple[np.ndarray, ...]:
            rest = apply(base) - centre
            norm = np.linalg.norm(rest, axis=1)
            bits = rest > 0
            # The cosine of the rest and its signs: what a product with the signs is divided by.
            cosine = np.abs(rest).sum(axis=1) / np.sqrt(dims) / np.maximum(norm, 1e-12)
            return np.packbits(bits, axis=1), norm, cosine, (apply(base) @ centre)

        (codes, norm, cosine, offset), encode_s = timed(code)
        signs = np.unpackbits(codes, axis=1)[:, :dims].astype(np.float32) * 2 - 1

        def find(queries: np.ndarray, k: int) -> np.ndarray:
            rest = apply(queries) - centre
            step = np.abs(rest).max(axis=1, keepdims=True) / 7.5
            rough = (np.floor(rest / step).clip(-8, 7) + 0.5) * step
            scores = (rough @ signs.T) / np.sqrt(dims) * (norm / cosine) + offset
            return np.argsort(-scores, axis=1)[:, :k]

        bytes_an_item = -(-dims // 8) + factors
        return Coded(bytes_an_item, fit_s + pca_s, encode_s, find, f"{dims} columns; in numpy")

    return make


CODECS = [
    Codec("h2q chosen codes", "h2q", ours(None, local=True)),
    Codec("h2q chosen codes, shrunk 0.3", "h2q", ours(None, local=True, gram_shrinkage=0.3)),
    Codec(
        "h2q chosen codes, shrunk 0.3, Hamming",
        "h2q",
        ours("hamming", local=True, gram_shrinkage=0.3),
    ),
    Codec("h2q chosen codes, Hamming", "h2q", ours("hamming", local=True)),
    Codec("h2q rotation, Hamming", "h2q", ours("hamming")),
    Codec("h2q rotation, asymmetric", "h2q", ours("asymmetric")),
    Codec("h2q rotation, linear decoder", "h2q", ours(None, decoded=True)),
    Codec("faiss LSH", "signs", lsh),
    Codec("faiss ITQ", "signs", by_factory(lambda d, b: f"ITQ{8 * b},LSH")),
    Codec("faiss PQ", "pq", by_factory(lambda d, b: f"PQ{b}")),
    Codec("faiss OPQ + PQ", "pq", by_factory(lambda d, b: f"OPQ{b}_{even(d, b)},PQ{b}")),
    Codec(
        "faiss OPQ + PQ4 FastScan",
        "pq",
        by_factory(lambda d, b: f"OPQ{2 * b}_{even(d, 2 * b)},PQ{2 * b}x4fs"),
    ),
    Codec("faiss residual quantizer", "additive", by_factory(lambda d, b: f"RQ{b}x8_Nqint8", 1)),
    Codec("faiss LSQ, 4 bits FastScan", "additive", lsq),
    Codec("RaBitQ, 1 bit, on PCA", "rabitq", rabitq(1, False)),
    Codec("RaBitQ, 2 bits, on PCA", "rabitq", rabitq(2, False)),
    Codec("RaBitQ, 1 bit, as shipped", "rabitq", rabitq(1, True)),
    Codec("RaBitQ, 2 bits, as shipped", "rabitq", rabitq(2, True)),
    Codec("turbovec, 2 bits, on PCA", "rabitq", turbovec(2)),
    Codec("turbovec, 4 bits, on PCA", "rabitq", turbovec(4)),
    Codec("BBQ, on PCA", "rabitq", bbq(False)),
    Codec("BBQ, as shipped", "rabitq", bbq(True)),
    Codec("usearch, binary", "signs", usearch_binary),
    Codec("usearch, int8 of PCA", "scalar", usearch_i8),
    Codec("sentence-transformers ubinary", "signs", sentence_transformers(False)),
    Codec("sentence-transformers ubinary, rescored", "signs", sentence_transformers(True)),
]


def even(d: int, parts: int) -> int:
    """As many columns as divide into parts, at most four a part."""
    return parts * max(1, min(4, d // parts))


# ---------------------------------------------------------------- judging


def recall(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Share of the true neighbours found, a query."""
    return np.array([len(np.intersect1d(a, b)) / b.size for a, b in zip(found, true, strict=True)])


def judged(base: np.ndarray, queries: np.ndarray, size: int, names: str) -> Iterator[dict]:
    """Measure every peer at one number of bytes."""
    true = np.argsort(-(queries @ base.T), axis=1)[:, :NEAR]
    int8 = np.clip(np.rint(base * (127 / np.abs(base).max())), -127, 127)
    flat = faiss.IndexBinaryFlat(8 * size)
    rng = np.random.default_rng(0)
    flat.add(rng.integers(0, 256, (len(base), size), dtype=np.uint8))
    asked = rng.integers(0, 256, (len(queries), size), dtype=np.uint8)
    plain = faiss.IndexLSH(base.shape[1], min(8 * size, base.shape[1]), True)
    plain.train(base)
    itq = faiss.ITQTransform(base.shape[1], min(8 * size, base.shape[1]), True)
    _, itq_s = timed(lambda: itq.train(base))
    for codec in CODECS:
        if names and not any(word in codec.name for word in names.split(",")):
            continue
        try:
            coded = codec.make(base, size)
        except (ValueError, RuntimeError, ImportError) as error:
            print(f"  {codec.name}: left out: {str(error).splitlines()[0][:120]}", flush=True)
            continue
        coded.search(queries[:5], FAR)
        rounds = []
        for _ in range(3):
            _, theirs = timed(lambda: flat.search(asked, FAR))
            found, seconds = timed(lambda coded=coded: coded.search(queries, FAR))
            rounds.append(seconds / theirs)
        _, lsh_s = timed(lambda: plain.sa_encode(base))
        scores = np.einsum("qd,qcd->qc", queries, int8[np.maximum(found, 0)])
        again = np.take_along_axis(found, np.argsort(-scores, axis=1)[:, :NEAR], axis=1)
        near = recall(found[:, :NEAR], true)
        row = {
            "peer": codec.name,
            "group": codec.group,
            "asked_bytes": size,
            "bytes": round(coded.bytes_an_item, 1),
            "recall@10": 100 * near.mean(),
            "error": 196 * near.std() / np.sqrt(len(near)),
            "in 100": 100 * recall(found, true).mean(),
            "int8": 100 * recall(again, true).mean(),
            "search": float(np.median(rounds)),
            "encode": coded.encode_s / lsh_s,
            "encode_us": 1e6 * coded.encode_s / len(base),
            "fit": coded.fit_s / itq_s,
            "note": coded.note,
        }
        print(
            f"  {codec.name:<42} {row['bytes']:>6} {row['recall@10']:6.1f} ±{row['error']:.1f} "
            f"{row['in 100']:6.1f} {row['int8']:6.1f}  search {row['search']:6.2f}  "
            f"encode {row['encode']:7.1f}  fit {row['fit']:6.2f}  {coded.note}",
            flush=True,
        )
        yield row


def main() -> None:
    """Run the contest, or only draw what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--bytes", default="16,32,48")
    parser.add_argument("--rows", type=int, default=0, help="of the base; 0: all")
    parser.add_argument("--only", default="", help="words of the names wanted, by commas")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    table = options.out / "equal_bytes.csv"
    rows: list[dict] = []
    if table.exists():
        with table.open(newline="") as file:
            rows = list(csv.DictReader(file))
    for each in options.data:
        name, path = each.split("=", 1)
        with np.load(path) as data:
            base, queries = unit(data["base"]), unit(data["query"])
        if options.rows:
            base = base[: options.rows]
        for size in map(int, options.bytes.split(",")):
            print(f"{name}: {base.shape[0]} x {base.shape[1]}, {size} bytes", flush=True)
            for row in judged(base, queries, size, options.only):
                row |= {"data": name, "rows": len(base), "columns": base.shape[1]}
                same = ("data", "peer", "asked_bytes")
                rows = [r for r in rows if any(str(r[s]) != str(row[s]) for s in same)] + [row]
                options.out.mkdir(parents=True, exist_ok=True)
                with table.open("w", newline="") as file:
                    writer = csv.DictWriter(file, list(row))
                    writer.writeheader()
                    writer.writerows(rows)
    if rows:
        write_page(rows, options.out)
        if importlib.util.find_spec("matplotlib") is not None:
            draw(rows, options.out / "figures" / "equal_bytes.svg")


def number(row: dict, key: str) -> float:
    """Read a figure of the table."""
    return float(row[key])


def write_page(rows: list[dict], out: Path) -> None:
    """Write the tables; the words around them are in ``docs/equal_bytes.md``."""
    lines = [
        "<!-- Written by bench/equal_bytes.py; docs/equal_bytes.md says what it means. -->",
        "",
    ]
    for data in dict.fromkeys(row["data"] for row in rows):
        of_data = [row for row in rows if row["data"] == data]
        for size in sorted({int(row["asked_bytes"]) for row in of_data}):
            here = [row for row in of_data if int(row["asked_bytes"]) == size]
            first = here[0]
            lines += [
                f"### {data}, {first['rows']} x {first['columns']}, {size} bytes",
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
    shown = {
        "h2q chosen codes": ("C3", "o", 2.6),
        "h2q rotation, asymmetric": ("C1", "o", 1.4),
        "h2q rotation, Hamming": ("C1", "x", 1.0),
        "faiss OPQ + PQ": ("C0", "s", 1.4),
        "faiss OPQ + PQ4 FastScan": ("C0", "v", 1.0),
        "faiss LSQ, 4 bits FastScan": ("C2", "^", 1.2),
        "faiss residual quantizer": ("C2", "D", 1.0),
        "RaBitQ, 1 bit, on PCA": ("C4", "P", 1.0),
        "turbovec, 2 bits, on PCA": ("C5", "X", 1.2),
        "faiss ITQ": ("0.5", "x", 1.0),
        "RaBitQ, 1 bit, as shipped": ("C4", "*", 0.0),
        "sentence-transformers ubinary, rescored": ("k", "*", 0.0),
    }
    for name, axis in zip(names, panels[0], strict=True):
        for peer, (colour, mark, width) in shown.items():
            here = [r for r in rows if r["data"] == name and r["peer"] == peer]
            here.sort(key=lambda row: number(row, "bytes"))
            if not width:
                here = here[:1]
            x, y = ([number(r, key) for r in here] for key in ("bytes", "recall@10"))
            axis.plot(x, y, color=colour, marker=mark, lw=width, ms=6, label=peer)
        first = next(row for row in rows if row["data"] == name)
        axis.set_title(f"{name}, {first['rows']} x {first['columns']}", fontsize=10)
        axis.set_xlabel("bytes an item")
        axis.grid(alpha=0.3)
    panels[0][0].set_ylabel("recall@10, percent")
    panels[0][-1].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


if __name__ == "__main__":
    main()
