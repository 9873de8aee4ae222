r"""Householder reflections, their product, and the way back from an orthogonal matrix.

A vector v gives the reflection :math:`H(v) = I - 2 v v^\top / |v|^2`. Every orthogonal k x k
matrix is a product of at most k of them, so unconstrained vectors parametrise the whole
orthogonal group, determinant -1 included (arXiv 2311.04207, sec. 3; Uhlig 2001,
https://doi.org/10.1016/S0024-3795(01)00389-1).

Throughout, row i of `vectors` (m, k) is v_i and the matrix is
:math:`R = H(v_1) H(v_2) \cdots H(v_m)`; rows of data are rotated by ``z @ R``.
"""

from __future__ import annotations

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from h2q._typing import Array
from h2q.errors import InvalidInputError
from h2q.quantization.arrays import like, solve_upper_triangular, to_numpy, transposed

__all__ = [
    "apply_reflections",
    "compact_wy",
    "factor_orthogonal",
    "orthogonal_from_reflections",
    "reflection_gradient",
]


def apply_reflections(z: Array, vectors: Array) -> Array:
    """Rotate rows by one reflection after the other, in O(n k m) without forming the matrix.

    Parameters
    ----------
    z : array of shape (n, k)
    vectors : array of shape (m, k)
        Householder vectors of any length but zero.

    Returns
    -------
    array of shape (n, k)
        ``z @ H(v_1) @ ... @ H(v_m)``.

    Examples
    --------
    >>> import numpy as np
    >>> apply_reflections(np.asarray([[3.0, 4.0]]), np.asarray([[1.0, 0.0]]))
    array([[-3.,  4.]])
    """
    xp = array_namespace(z, vectors)
    for index in range(vectors.shape[0]):
        v = vectors[index, :]
        z = z - xp.matmul(z, v)[:, None] * (2 / xp.sum(v * v)) * v[None, :]
    return z


def compact_wy(vectors: Array, mask: Array | None = None) -> Array:
    r"""Return A such that the product of the reflections is ``I - vectors.T @ A``.

    In the compact WY form :math:`R = I - V^\top T V` the inverse of T is known without
    work: it is the strict upper triangle of :math:`V V^\top` plus half its diagonal (Joffrain et
    al. 2006, https://doi.org/10.1145/1141885.1141886), so :math:`A = T V` is one triangular solve.

    Parameters
    ----------
    vectors : array of shape (m, k)
        Householder vectors of any length but zero.
    mask : array of shape (m, m), optional
        ``triangle_mask(vectors)``, for callers who need it often.

    Returns
    -------
    array of shape (m, k)
    """
    mask = triangle_mask(vectors) if mask is None else mask
    return solve_upper_triangular(vectors @ transposed(vectors) * mask, vectors)


def triangle_mask(vectors: Array, diagonal: float = 0.5) -> Array:
    """Ones above the diagonal and `diagonal` on it, (m, m): V V' times this is T's inverse."""
    xp = array_namespace(vectors)
    m = vectors.shape[0]
    ones = xp.ones((m, m), dtype=vectors.dtype, device=device(vectors))
    identity = xp.eye(m, dtype=vectors.dtype, device=device(vectors))
    return xp.triu(ones, k=1) + diagonal * identity


def orthogonal_from_reflections(vectors: Array) -> Array:
    """Multiply reflections into their orthogonal matrix.

    Parameters
    ----------
    vectors : array of shape (m, k)
        Householder vectors of any length but zero; m = 0 gives the identity. The coordinate
        vectors, the paper's start, give minus the identity.

    Returns
    -------
    array of shape (k, k)
        ``H(v_1) @ ... @ H(v_m)``; its determinant is (-1) ** m.

    Examples
    --------
    >>> import numpy as np
    >>> orthogonal_from_reflections(np.asarray([[1.0, -1.0]]))
    array([[0., 1.],
           [1., 0.]])
    """
    xp = array_namespace(vectors)
    m, k = vectors.shape
    identity = xp.eye(k, dtype=vectors.dtype, device=device(vectors))
    return identity if m == 0 else identity - vectors.T @ compact_wy(vectors)


def factor_orthogonal(rotation: Array) -> Array:
    """Write an orthogonal matrix as a product of Householder reflections.

    Householder's QR decomposition, each reflection sending its column to +1 times the coordinate
    vector (with the cancellation-free form of Golub & Van Loan 2013, sec. 5.1.3), so that no signs
    are left over: the product of what is returned is `rotation` itself.

    Parameters
    ----------
    rotation : array of shape (k, k)
        Orthogonal, determinant +1 or -1.

    Returns
    -------
    array of shape (m, k)
        Unit vectors, m <= k; m is even where the determinant is +1 and odd where it is -1.

    Raises
    ------
    InvalidInputError
        If `rotation` is not square, or not orthogonal to the precision of its dtype.

    Examples
    --------
    >>> import numpy as np
    >>> len(factor_orthogonal(np.eye(3))), len(factor_orthogonal(-np.eye(3)))
    (0, 3)
    """
    if len(rotation.shape) != 2 or rotation.shape[0] != rotation.shape[1]:
        raise InvalidInputError(f"rotation must be square, got shape {tuple(rotation.shape)}")
    xp = array_namespace(rotation)
    precision = float(xp.finfo(rotation.dtype).eps)
    rest = np.array(to_numpy(rotation), dtype=np.float64)
    k = rest.shape[0]
    defect = float(np.abs(rest.T @ rest - np.eye(k)).max()) if k else 0.0
    if not defect < 100 * k * precision:
        raise InvalidInputError(
            f"rotation is not orthogonal: its columns' inner products are off by {defect:.2g}"
        )
    vectors: list[NDArray[np.float64]] = []
    for column in range(k):
        v = np.zeros(k)
        v[column:] = rest[column:, column]
        tail = np.linalg.norm(v[column + 1 :])
        head = v[column]
        if head > 0 and tail <= precision / 4:
            continue
        # v - e = (head - 1, tail...), and head - 1 = -tail^2 / (head + 1) on the unit sphere.
        v[column] = -(tail**2) / (head + 1) if head > 0 else head - 1
        v /= np.linalg.norm(v)
        rest -= 2 * np.outer(v, v @ rest)
        vectors.append(v)
    return like(np.asarray(vectors).reshape(-1, k), rotation)


def reflection_gradient(vectors: Array, a: Array, skew: Array, mask: Array | None = None) -> Array:
    r"""Gradient of a loss with respect to the reflection vectors, from its gradient in R.

    Let :math:`G = \partial L / \partial R`. A change of the vectors moves R along
    :math:`R \Omega` with :math:`\Omega` skew-symmetric, so only the skew part
    :math:`K = R^\top G - G^\top R` matters. Differentiating
    :math:`R = I - V^\top T V` and using that R is orthogonal leaves

    .. math:: \partial L / \partial V = A K - \operatorname{striu}(A K A^\top) V, \quad A = T V,

    three small products and no second triangular solve.

    Parameters
    ----------
    vectors : array of shape (m, k)
    a : array of shape (m, k)
        ``compact_wy(vectors)``.
    skew : array of shape (k, k)
        K. For a loss of rotated rows y = z R with gradient g = dL/dy it is ``y.T @ g - g.T @ y``.
    mask : array of shape (m, m), optional
        Ones above the diagonal, zeros elsewhere, for callers who need it often.

    Returns
    -------
    array of shape (m, k)
        Row i is orthogonal to v_i: the length of a vector does not matter.
    """
    xp = array_namespace(vectors)
    ak = a @ skew
    product = ak @ transposed(a)
    # Where it is at hand, a product with a mask is many times faster than numpy's triu.
    upper = xp.triu(product, k=1) if mask is None else product * mask
    return ak - upper @ vectors
