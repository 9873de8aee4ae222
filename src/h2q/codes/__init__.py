"""Packed binary codes: bit order, packing, Hamming distance, and the file that holds them.

One code is a row of ``ceil(n_bits / 8)`` bytes. Bit 0 is the highest bit of the first byte (MSB
first, the order of `numpy.packbits`, sentence-transformers, usearch and pgvector), a bit is 1
where the real value is positive, and the bits that fill the last byte are zero.
"""

from h2q.codes.distances import hamming_distances
from h2q.codes.files import CodeFile, load_codes, save_codes
from h2q.codes.packing import BIT_ORDER, check_codes, code_width, pack, unpack, unpack_signs

__all__ = [
    "BIT_ORDER",
    "CodeFile",
    "check_codes",
    "code_width",
    "hamming_distances",
    "load_codes",
    "pack",
    "save_codes",
    "unpack",
    "unpack_signs",
]
