"""How far apart one code for each class can be: the margin of CEL and HyP².

A binary linear code [k, m, d] has 2^m codewords of k bits, any two at Hamming distance d or more.
Two codes of +-1 at distance d have cosine 1 - 2 d / k, so classes need not be pushed further
apart than the largest d for which such a code of at least `n_classes` words exists.
"""

from __future__ import annotations

from functools import cache

from h2q.errors import InvalidInputError


def cosine_separation(n_bits: int, n_classes: int) -> float:
    """Cosine 1 - 2 d / k of the closest codewords of the best code for that many classes.

    Parameters
    ----------
    n_bits : int
        Length k of the codes.
    n_classes : int
        The code needs at least this many words: dimension m = ceil(log2(n_classes)).

    Returns
    -------
    float
        In [-1, 1]; -1 for two classes (a code and its complement).

    Examples
    --------
    >>> cosine_separation(16, 10)
    0.0
    """
    if n_bits < 1 or n_classes < 1:
        raise InvalidInputError(
            f"n_bits and n_classes must be at least 1, not {n_bits} and {n_classes}"
        )
    dimension = max(1, (n_classes - 1).bit_length())
    # More classes than codes: nothing separates them all, one bit separates the most.
    distance = minimum_distance(n_bits, dimension) if dimension <= n_bits else 1
    return 1.0 - 2.0 * distance / n_bits


@cache
def minimum_distance(length: int, dimension: int) -> int:
    """Largest d that the Griesmer bound allows a binary linear [length, dimension, d] code.

    Griesmer (1960): length >= sum over i < dimension of ceil(d / 2^i).
    """
    distance = 1
    while griesmer_length(distance + 1, dimension) <= length:
        distance += 1
    return distance


def griesmer_length(distance: int, dimension: int) -> int:
    """Least length the Griesmer bound allows a binary linear code of that distance."""
    return sum(-(-distance // 2**i) for i in range(dimension))
