"""Some mutants of every reader; `make fuzz` reads ten thousand of each."""

from __future__ import annotations

import pytest

from tests.fuzz.guarded import Guard
from tests.fuzz.readers import READERS

FEW, MANY = 25, 300
#: Those that start a whole command take a tenth of a second each.
COMMANDS = {name for name in READERS if name.endswith("-cli")}
#: Those whose library reads in a process of its own.
COMMANDS |= {"codes-faiss", "codes-faiss-kinds", "codes-usearch"}


@pytest.mark.parametrize("name", sorted(READERS))
def test_few_mutants(guard: Guard, name: str) -> None:
    check(guard, name, range(FEW if name not in COMMANDS else 5))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(READERS))
def test_many_mutants(guard: Guard, name: str) -> None:
    check(guard, name, range(FEW, MANY if name not in COMMANDS else MANY // 3))


def check(guard: Guard, name: str, numbers: range) -> None:
    """Every mutant is read, or refused with an error of ours that names the file."""
    verdicts = [guard.read(name, number) for number in numbers]
    assert [verdict for verdict in verdicts if not verdict.good] == []
    # A reader that refuses everything, or nothing, is not tested by this.
    if len(numbers) >= 100:
        assert {verdict.kind for verdict in verdicts} >= EXPECTED.get(name, {"read", "refused"})


#: Derived files: what is wrong with them is never an error. What no mutant can spoil.
EXPECTED = {name: {"read"} for name, reader in READERS.items() if reader.must_agree}
EXPECTED |= {name: {"read"} for name in ("metrics-cli", "index-file", "collection-log")}
#: Files that a digest binds to each other: any change is refused.
EXPECTED |= {"sidecar-items": {"refused"}}
