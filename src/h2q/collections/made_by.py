"""The quantizer and the decoder of a collection, from the bytes it keeps of them."""

from __future__ import annotations

from h2q.collections.base import Decoder, Quantizer


def as_quantizer(data: bytes | None) -> Quantizer | None:
    """Read a quantizer; None where none is kept."""
    if data is None:
        return None
    from h2q import quantization  # scikit-learn is imported only where it is needed

    quantizer: Quantizer = quantization.from_bytes(data)
    return quantizer


def as_decoder(data: bytes | None) -> Decoder | None:
    """Read a decoder; None where none is kept."""
    if data is None:
        return None
    from h2q import quantization

    decoder: Decoder = quantization.decoder_from_bytes(data)
    return decoder
