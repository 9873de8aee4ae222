"""The orthogonal matrix nearest to a square matrix."""

from __future__ import annotations

from array_api_compat import array_namespace

from h2q._typing import Array

#: Weight of the tie-breaking matrix, relative to the largest singular value of the input.
_TIE_BREAK = 1e-4


def polar_factor(matrix: Array, near: Array | None = None) -> Array:
    """Return the orthogonal Q that maximises ``trace(Q.T @ matrix)``.

    Q is the orthogonal factor of the polar decomposition, U V' of the SVD U S V'. Where `matrix`
    is singular, Q is not unique: `near` then decides. A small multiple of it is added, so
    that the directions the input says nothing about stay as they are in `near` instead of
    depending on the linear algebra library. This is a proximal step: with `near` the current
    iterate, it never lowers ``trace(Q.T @ matrix)``.

    Parameters
    ----------
    matrix : array of shape (k, k)
        Finite, real floating point.
    near : array of shape (k, k), optional
        An orthogonal matrix.

    Returns
    -------
    array of shape (k, k)
        Orthogonal to the rounding of the input's dtype.

    References
    ----------
    Schönemann, "A generalized solution of the orthogonal Procrustes problem", Psychometrika 1966.

    Examples
    --------
    >>> import numpy as np
    >>> polar_factor(np.array([[0.0, -3.0], [2.0, 0.0]])).round(6) + 0.0
    array([[ 0., -1.],
           [ 1.,  0.]])
    """
    xp = array_namespace(matrix)
    if near is not None:
        scale = xp.linalg.matrix_norm(matrix, ord="fro")
        matrix = matrix + (_TIE_BREAK * scale) * near if float(scale) > 0 else near
    u, _, vt = xp.linalg.svd(matrix, full_matrices=False)
    return u @ vt
