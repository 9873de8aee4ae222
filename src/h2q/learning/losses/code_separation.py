"""How far apart one code for each class can be: the margin of CEL and HyP².

A binary linear code [k, m, d] has 2^m codewords of k bits, any two at Hamming distance d or more.
Two codes of +-1 at distance d have cosine 1 - 2 d / k, so classes need not be pushed further
apart than the largest d for which such a code of at least `n_classes` words exists.
"""

from __future__ import annotations

from functools import cache

from h2q.errors import InvalidInputError

# Least length of a known code of distance 2, 4, ..., 32, where the Griesmer bound is not always
# met. Facts from M. Grassl, "Bounds on the minimum distance of linear codes", codetables.de;
# dimensions up to 4 meet the bound throughout. Dimensions 9 and 10 (more than 256 classes) are read
# off one copy of that table whose neighbours do not all agree: they may be one bit too long.
_SHORTEST = {
    5: (6, 10, 14, 16, 21, 24, 28, 31),
    6: (7, 11, 15, 18, 23, 26, 30, 32, 38, 42, 45, 48, 53, 56, 60, 63),
    7: (8, 12, 16, 19, 24, 27, 32, 35, 40, 43, 47, 50, 56, 59, 62, 64),
    8: (9, 13, 17, 20, 26, 29, 33, 36, 42, 45, 48, 51, 58, 61, 65, 68),
    9: (10, 14, 18, 21, 27, 30, 35, 38, 43, 46, 51, 54, 59, 62, 66, 70),
    10: (11, 15, 20, 22, 28, 31, 36, 40, 44, 47, 52, 55, 60, 63, 68, 71),
}


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
    """Largest d of a known binary linear [length, dimension, d] code.

    A table up to dimension 10 and distance 32 (1,024 classes, and the lengths of the paper); the
    Griesmer bound, which the best known codes meet or miss by a bit or two, beyond it.
    """
    distance = 1
    while _shortest(distance + 1, dimension) <= length:
        distance += 1
    return distance


def _shortest(distance: int, dimension: int) -> int:
    """Length of the shortest known code of that distance and dimension."""
    if distance % 2:  # dropping a bit of a code of even distance d + 1 leaves distance d
        return _shortest(distance + 1, dimension) - 1
    table = _SHORTEST.get(dimension, ())
    at = distance // 2 - 1
    return table[at] if at < len(table) else griesmer_length(distance, dimension)


def griesmer_length(distance: int, dimension: int) -> int:
    """Least length the Griesmer bound allows a binary linear code of that distance."""
    return sum(-(-distance // 2**i) for i in range(dimension))
