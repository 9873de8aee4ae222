"""Random numbers that are the same for every array namespace and device."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from h2q._typing import RandomState
from h2q.errors import InvalidInputError


def as_generator(random_state: RandomState) -> np.random.Generator:
    """Return a numpy Generator for whatever a user passes as `random_state`.

    Parameters
    ----------
    random_state : int, numpy Generator, numpy RandomState or None
        An int always gives the same stream; a Generator is used as it is; a RandomState (what
        scikit-learn hands around) seeds a new Generator and moves on; None is unseeded.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**31 - 1, size=4))
    if random_state is None or (
        isinstance(random_state, int | np.integer) and not isinstance(random_state, bool)
    ):
        if random_state is not None and random_state < 0:
            raise InvalidInputError(f"random_state must be >= 0, got {random_state}")
        return np.random.default_rng(random_state)
    raise InvalidInputError(
        f"random_state must be an int, a numpy Generator, a RandomState or None, "
        f"got {random_state!r}"
    )


def random_orthogonal(k: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw an orthogonal (k, k) matrix from the Haar distribution on O(k).

    QR of a Gaussian matrix with the signs of R's diagonal moved into Q (Mezzadri 2007,
    arXiv:math-ph/0609050). numpy float64; move it to the device with
    ``xp.asarray(matrix, dtype=..., device=...)``.
    """
    q, r = np.linalg.qr(generator.standard_normal((k, k)))
    signs = np.where(np.diag(r) < 0, -1.0, 1.0)
    rotation: NDArray[np.float64] = q * signs
    return rotation


_BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def pack_random_state(random_state: RandomState) -> Any:
    """Write a `random_state` as something JSON can hold; a live generator with its position."""
    if random_state is None or isinstance(random_state, int | np.integer):
        return None if random_state is None else int(random_state)
    if isinstance(random_state, np.random.Generator):
        return {"kind": "Generator", "state": _jsonable(random_state.bit_generator.state)}
    return {"kind": "RandomState", "state": _jsonable(random_state.get_state(legacy=False))}


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(part) for key, part in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def unpack_random_state(packed: Any) -> RandomState:
    """Read what `pack_random_state` wrote.

    Raises
    ------
    ValueError
        If it names no bit generator of numpy's.
    """
    if packed is None or isinstance(packed, int):
        return packed
    state = packed["state"]
    if state["bit_generator"] not in _BIT_GENERATORS:
        raise ValueError(f"unknown bit generator {state['bit_generator']!r}")
    bits = getattr(np.random, state["bit_generator"])()
    if packed["kind"] == "Generator":
        bits.state = state
        return np.random.Generator(bits)
    restored = np.random.RandomState(bits)
    restored.set_state(state)
    return restored
