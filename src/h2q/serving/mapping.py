"""Where the items of a collection lie on a map: near codes near each other.

"pca": the two main directions of the codes as signs {-1, +1}; at once. "tsne": t-SNE (van der
Maaten & Hinton 2008) of some thousand landmarks, every other item at the weighted mean of its
nearest landmarks (as openTSNE places new points); some tens of seconds. "opentsne": t-SNE of all
items by openTSNE, where it is installed (extra `map`); slow beyond some ten thousand.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.codes import unpack_signs
from h2q.errors import InvalidInputError

Method: TypeAlias = Literal["pca", "tsne", "opentsne"]
METHODS: Final[tuple[Method, ...]] = ("pca", "tsne", "opentsne")
LANDMARKS: Final = 5_000
_SAMPLE: Final = 20_000
_BLOCK: Final = 1 << 15
_NEAREST: Final = 8
_PERPLEXITY: Final = 30.0
#: Of which the first 250 exaggerate. 1,000 keep no more neighbours, in twice the time.
_STEPS: Final = 500


def methods() -> list[Method]:
    """Return the methods that can be used here."""
    return [name for name in METHODS if name != "opentsne" or find_spec("openTSNE")]


def coordinates(
    codes: CodeArray, n_bits: int, method: Method, *, landmarks: int = LANDMARKS
) -> NDArray[np.float32]:
    """Return a place for each code, shape (n, 2), each axis within [-1, 1].

    Parameters
    ----------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    method : {"pca", "tsne", "opentsne"}
    landmarks : int
        Codes that "tsne" looks at; drawn with a fixed seed.

    Raises
    ------
    InvalidInputError
        If openTSNE is asked for and not installed.
    """
    if method not in methods():
        raise InvalidInputError("openTSNE is not installed; pip install 'h2q[map]', or use tsne")
    if len(codes) < 3:
        places = np.zeros((len(codes), 2), dtype=np.float32)
        places[:, 0] = np.linspace(-0.5, 0.5, len(codes)) if len(codes) > 1 else 0.0
        return places
    flat = _pca(codes, n_bits)
    if method == "tsne":
        return _scaled(_tsne(codes, n_bits, flat, landmarks))
    return _scaled(_tsne_of_all(codes, flat) if method == "opentsne" else flat)


def _pca(codes: CodeArray, n_bits: int) -> NDArray[np.float64]:
    chosen = np.random.default_rng(0).permutation(len(codes))[:_SAMPLE]
    signs = unpack_signs(codes[np.sort(chosen)], n_bits).astype(np.float64)
    mean = signs.mean(axis=0)
    _, vectors = np.linalg.eigh(np.cov(signs - mean, rowvar=False).reshape(n_bits, n_bits))
    axes = vectors[:, ::-1][:, :2]
    # The sign of an axis is arbitrary: the same codes must give the same map everywhere.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), range(axes.shape[1])])
    if axes.shape[1] < 2:
        axes = np.pad(axes, ((0, 0), (0, 1)))
    places = np.empty((len(codes), 2))
    for start in range(0, len(codes), _BLOCK):
        part = unpack_signs(codes[start : start + _BLOCK], n_bits)
        places[start : start + _BLOCK] = (part - mean) @ axes
    return places


def _tsne(
    codes: CodeArray, n_bits: int, flat: NDArray[np.float64], landmarks: int
) -> NDArray[np.float64]:
    import faiss
    from sklearn.manifold import TSNE

    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(codes))[:landmarks])
    signs = unpack_signs(codes[chosen], n_bits)
    # Equal codes would repel each other without end; a little noise keeps them a small cloud.
    signs = signs + rng.normal(0.0, 0.05, signs.shape).astype(np.float32)
    solver = TSNE(
        n_components=2,
        init=_start(flat[chosen]).astype(np.float32),
        perplexity=min(_PERPLEXITY, (len(chosen) - 1) / 3),
        max_iter=_STEPS,
        random_state=0,
        n_jobs=-1,
    )
    found: NDArray[np.float64] = solver.fit_transform(signs).astype(np.float64)
    if len(chosen) == len(codes):
        return found
    index = faiss.IndexBinaryFlat(codes.shape[1] * 8)
    index.add(np.ascontiguousarray(codes[chosen]))
    places = np.empty((len(codes), 2))
    for begin in range(0, len(codes), _BLOCK):
        block = np.ascontiguousarray(codes[begin : begin + _BLOCK])
        distances, nearest = index.search(block, min(_NEAREST, len(chosen)))
        weights = 1.0 / (1.0 + (distances - distances[:, :1])) ** 2
        weights = weights / weights.sum(axis=1, keepdims=True)
        places[begin : begin + _BLOCK] = np.einsum("ij,ijk->ik", weights, found[nearest])
    places = places + rng.normal(0.0, 0.004 * found.std(), places.shape)  # equal codes stay visible
    places[chosen] = found
    return places


def _tsne_of_all(codes: CodeArray, flat: NDArray[np.float64]) -> NDArray[np.float64]:
    import faiss
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    n = len(codes)
    threads = -1 if n > 2000 else 1  # which wait for each other longer than few points take
    perplexity = min(_PERPLEXITY, (n - 1) / 3)
    k = max(1, min(int(3 * perplexity), n - 1))
    index = faiss.IndexBinaryFlat(codes.shape[1] * 8)
    index.add(np.ascontiguousarray(codes))
    distances, nearest = index.search(np.ascontiguousarray(codes), k + 1)
    own = nearest == np.arange(n)[:, None]
    own[~own.any(axis=1), -1] = True  # among more equal codes than were asked for
    nearest, distances = nearest[~own].reshape(n, k), distances[~own].reshape(n, k)
    # Between signs, not bits: the distances of the rows that "tsne" sees.
    neighbours = PrecomputedNeighbors(nearest, 2.0 * np.sqrt(distances))
    found = TSNEEmbedding(
        _start(flat),
        PerplexityBasedNN(perplexity=perplexity, knn_index=neighbours, n_jobs=threads),
        negative_gradient_method="fft" if n > 10_000 else "bh",
        n_jobs=threads,
        random_state=0,
    )
    found = found.optimize(n_iter=250, exaggeration=12, momentum=0.5)
    found = found.optimize(n_iter=_STEPS - 250, momentum=0.8)
    return np.asarray(found, dtype=np.float64)


def _start(flat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where t-SNE begins: PCA, small, and equal codes a little apart."""
    start = flat / max(1e-9, float(flat.std(axis=0)[0]))
    apart = np.random.default_rng(1).normal(0.0, 1e-3, flat.shape)
    result: NDArray[np.float64] = (start + apart) * 1e-4
    return result


def _scaled(places: NDArray[np.float64]) -> NDArray[np.float32]:
    low, high = places.min(axis=0), places.max(axis=0)
    half = max(1e-9, float((high - low).max()) / 2)
    scaled: NDArray[np.float32] = ((places - (low + high) / 2) / half).astype(np.float32)
    return scaled
