"""Stage 2 of H²Q: find the rotation that brings embeddings close to their signs, and code them.

Scikit-learn estimators with one interface (`BaseQuantizer`):

- `HouseholderQuantizer`: the paper's method, with three solvers and four objectives.
- `ITQQuantizer`: iterative quantization, the usual baseline.
- `RandomRotationQuantizer` and `SignQuantizer`: a random rotation, and none.
- `LocalSearchQuantizer`: no rotation; bits chosen so that a linear map of them is near the row.

`make_quantizer` makes each by its name in `QUANTIZERS`.

Each takes numpy, torch (CPU or CUDA) or any array-API rows, is saved with ``save`` and read with
`load`. `CodeDecoder` and `LinearDecoder` go the other way,
from codes to expected embeddings; `fit_decoder` makes either by its name in `DECODERS`. Below them:
`reflections` (the parametrisation), `objectives`, `solvers`, `projection`, `sampling` (streams)
and `serialization`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from h2q._lazy import lazy_names

if TYPE_CHECKING:
    from h2q.quantization.base import BaseQuantizer
    from h2q.quantization.decoders import DECODERS, decoder_name, fit_decoder
    from h2q.quantization.decoding import CodeDecoder
    from h2q.quantization.householder import HouseholderQuantizer
    from h2q.quantization.itq import ITQQuantizer
    from h2q.quantization.linear_decoding import LinearDecoder, decoder_from_bytes
    from h2q.quantization.local_search import LocalSearchQuantizer
    from h2q.quantization.random_rotation import RandomRotationQuantizer
    from h2q.quantization.registry import QUANTIZERS, get_quantizer, make_quantizer
    from h2q.quantization.serialization import from_bytes, load
    from h2q.quantization.sign import SignQuantizer

__all__ = [
    "DECODERS",
    "QUANTIZERS",
    "BaseQuantizer",
    "CodeDecoder",
    "HouseholderQuantizer",
    "ITQQuantizer",
    "LinearDecoder",
    "LocalSearchQuantizer",
    "RandomRotationQuantizer",
    "SignQuantizer",
    "decoder_from_bytes",
    "decoder_name",
    "fit_decoder",
    "from_bytes",
    "get_quantizer",
    "load",
    "make_quantizer",
]

# The estimators import scikit-learn, which a search by photo does without.
__getattr__ = lazy_names(
    __name__,
    {
        "base": ["BaseQuantizer"],
        "decoders": ["DECODERS", "decoder_name", "fit_decoder"],
        "decoding": ["CodeDecoder"],
        "householder": ["HouseholderQuantizer"],
        "itq": ["ITQQuantizer"],
        "linear_decoding": ["LinearDecoder", "decoder_from_bytes"],
        "local_search": ["LocalSearchQuantizer"],
        "random_rotation": ["RandomRotationQuantizer"],
        "registry": ["QUANTIZERS", "get_quantizer", "make_quantizer"],
        "serialization": ["from_bytes", "load"],
        "sign": ["SignQuantizer"],
    },
)
