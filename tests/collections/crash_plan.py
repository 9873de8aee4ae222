"""A fixed sequence of writes. Run as a script: does them one by one, printing each when it is done.

The parent process knows the same sequence, kills the script somewhere in it, and so knows exactly
what the file must hold.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from h2q.errors import CollectionError

N_BITS = 24


def operation(number: int) -> tuple[Any, ...]:
    """Write number `number`: ("add", ids, codes, payloads), ("delete", ids) or ("compact",)."""
    rng = np.random.default_rng(number)
    if number % 11 == 10:
        return ("compact",)
    if number % 3 == 2:
        return ("delete", rng.integers(0, 20_000, 1500).tolist())
    ids = rng.integers(0, 20_000, int(rng.integers(1, 3000))).tolist()
    codes = rng.integers(0, 256, (len(ids), N_BITS // 8), dtype=np.uint8)
    return ("add", ids, codes, [{"write": number, "n": n} for n in range(len(ids))])


def apply(target: Any, number: int) -> None:
    name, *arguments = operation(number)
    try:
        getattr(target, name)(*arguments)
    except (AttributeError, CollectionError) as error:
        # A model has none, a server says so; anything else is a fault.
        if name != "compact" or "compact" not in str(error):
            raise


def main() -> None:
    from h2q import open_collection

    collection = open_collection(sys.argv[1], n_bits=N_BITS)
    for number in range(int(sys.argv[2]), 10**9):
        apply(collection, number)
        print(number, flush=True)


if __name__ == "__main__":
    main()
