"""Where the items of a collection lie on a map: near codes near each other.

"pca": the two main directions of the codes as signs {-1, +1}; at once. "tsne": t-SNE (van der
Maaten & Hinton 2008) of some thousand landmarks, every other item at the weighted mean of its
nearest landmarks (as openTSNE places new points); some tens of seconds.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from h2q._typing import CodeArray
from h2q.codes import unpack_signs

Method: TypeAlias = Literal["pca", "tsne"]
METHODS: Final[tuple[Method, ...]] = ("pca", "tsne")
LANDMARKS: Final = 5_000
_SAMPLE: Final = 20_000
_BLOCK: Final = 1 << 15
_NEAREST: Final = 8
_PERPLEXITY: Final = 30.0


def coordinates(
    codes: CodeArray, n_bits: int, method: Method, *, landmarks: int = LANDMARKS
) -> NDArray[np.float32]:
    """Return a place for each code, shape (n, 2), each axis within [-1, 1].

    Parameters
    ----------
    codes : ndarray of shape (n, ceil(n_bits / 8)), uint8
    n_bits : int
    method : {"pca", "tsne"}
    landmarks : int
        Codes that t-SNE looks at; drawn with a fixed seed.
    """
    if len(codes) < 3:
        places = np.zeros((len(codes), 2), dtype=np.float32)
        places[:, 0] = np.linspace(-0.5, 0.5, len(codes)) if len(codes) > 1 else 0.0
        return places
    flat = _pca(codes, n_bits)
    return _scaled(flat if method == "pca" else _tsne(codes, n_bits, flat, landmarks))


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
    start = flat[chosen] / max(1e-9, float(flat[chosen].std(axis=0)[0])) * 1e-4
    solver = TSNE(
        n_components=2,
        init=start.astype(np.float32),
        perplexity=min(_PERPLEXITY, (len(chosen) - 1) / 3),
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


def _scaled(places: NDArray[np.float64]) -> NDArray[np.float32]:
    low, high = places.min(axis=0), places.max(axis=0)
    half = max(1e-9, float((high - low).max()) / 2)
    scaled: NDArray[np.float32] = ((places - (low + high) / 2) / half).astype(np.float32)
    return scaled
