"""What is done when the process dies or the power goes, and what may be there afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from h2q import open_collection
from h2q.codes import pack
from h2q.collections.embedded import backup, derived, indexes
from h2q.errors import FormatError
from h2q.rowfiles import read_codes, stream_of_collection, write_codes
from tests.collections.brute_collection import DictModel, exact_rows, same_content

N_BITS: Final = 24
#: The files beside the collection are made for these few items, too.
derived.LEAST_CACHED = 100
indexes.LEAST_INDEXED = 100
backup._PAGES = 5

#: A file's name, and what it holds; None where it is not there.
State = dict[str, DictModel | None]
Step = Callable[[Path], None]


def model_of(*writes: tuple[str, Any]) -> DictModel:
    model = DictModel(N_BITS)
    for name, seed in writes:
        apply(model, name, seed)
    return model


def apply(target: Any, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    if name == "delete":
        target.delete([f"{i}" for i in rng.integers(0, 400, 150).tolist()])
        return
    ids = [f"{i}" for i in rng.integers(0, 400, 1 if name == "add one" else 200).tolist()]
    codes = rng.integers(0, 256, (len(ids), N_BITS // 8), dtype=np.uint8)
    target.add(ids, codes, [{"seed": seed, "n": n} for n in range(len(ids))])


def fill(path: Path, *writes: tuple[str, int]) -> None:
    with open_collection(path, n_bits=N_BITS) as collection:
        for name, seed in writes:
            apply(collection, name, seed)


class Scenario:
    """Steps, each acknowledged when it is done, and the state after each."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self.steps: list[Step] = []

    def prepare(self, folder: Path) -> None:
        """Make what is there before."""

    def run(self, folder: Path, acknowledge: Callable[[int], None]) -> None:
        for number, step in enumerate(self.steps):
            step(folder)
            acknowledge(number + 1)

    def verify(self, folder: Path, acknowledged: int) -> None:
        """What was acknowledged is there; of the step under way all or nothing."""
        for name in self.states[acknowledged]:
            allowed = [state[name] for state in self.states[acknowledged : acknowledged + 2]]
            path = folder / name
            if not path.exists():
                assert None in allowed, f"{name} is missing"
                fill(path, ("add", 1))  # and what was left of it is in nobody's way
                with open_collection(path, mode="r") as collection:
                    same_content(collection, model_of(("add", 1)))
                continue
            with open_collection(path) as collection:
                collection.check()
                ids = list(collection)
                found = [each for each in allowed if each is not None and list(each.items) == ids]
                assert found, f"{name}: {len(ids)} items"
                same_content(collection, found[0])
                rows = exact_rows(np.random.default_rng(len(ids)), 3, N_BITS)
                if ids:
                    near, by_score = collection.search(pack(rows), 20), collection.search(rows, 20)
                    for i, (row, code) in enumerate(zip(rows, pack(rows), strict=True)):
                        nearest = found[0].nearest(code, 20)
                        assert (near.ids[i], near.distances[i].tolist()) == nearest
                        assert by_score.ids[i] == found[0].asymmetric(row, 20)[0]
                collection.add(["afterwards"], pack(rows[:1]))
            with open_collection(path, mode="r") as collection:
                assert "afterwards" in collection
        left = [p.name for p in folder.iterdir() if p.name.startswith(".")]
        assert not left, left


class Writes(Scenario):
    """A collection is made, written to, compacted and indexed."""

    def __init__(self, index: str = "flat") -> None:
        super().__init__()
        done: list[tuple[str, int]] = []
        self.states = [{"a.h2q": None}]
        self._collection: Any = None

        def opened(folder: Path) -> None:
            self._collection = open_collection(folder / "a.h2q", n_bits=N_BITS, index=index)

        def written(name: str, seed: int) -> Step:
            return lambda folder: apply(self._collection, name, seed)

        def called(name: str) -> Step:
            return lambda folder: getattr(self._collection, name)()

        plan: list[Any] = [
            opened, ("add", 1), ("delete", 2), "optimize", ("add", 3), "compact", ("add one", 4),
            "optimize", "close", opened, ("delete", 5), ("add", 6), "close",
        ]  # fmt: skip
        for each in plan:
            if isinstance(each, tuple):
                done.append(each)
                self.steps.append(written(*each))
            else:
                self.steps.append(called(each) if isinstance(each, str) else each)
            self.states.append({"a.h2q": model_of(*done)})


class Restores(Scenario):
    """A copy takes the place of a collection whose writer was killed, and is written to."""

    BEFORE: Final = (("add", 1), ("add", 2))
    LATER: Final = (("delete", 3), ("add", 4))
    COPY: Final = (("add", 5), ("delete", 6))

    def __init__(self) -> None:
        super().__init__()
        copy = model_of(*self.COPY)
        live = model_of(*self.BEFORE, *self.LATER)
        self.steps = [self._restore, lambda folder: fill(folder / "a.h2q", ("add", 7)), self._new]
        more = model_of(*self.COPY, ("add", 7))
        self.states = [
            {"a.h2q": live, "copy.h2q": copy, "new.h2q": None},
            {"a.h2q": copy, "copy.h2q": copy, "new.h2q": None},
            {"a.h2q": more, "copy.h2q": copy, "new.h2q": None},
            {"a.h2q": more, "copy.h2q": copy, "new.h2q": copy},
        ]

    def prepare(self, folder: Path) -> None:
        fill(folder / "copy.h2q", *self.COPY)
        fill(folder / "a.h2q", *self.BEFORE)
        child = os.fork()
        if not child:
            collection = open_collection(folder / "a.h2q")
            for name, seed in self.LATER:
                apply(collection, name, seed)
            os._exit(0)  # as a kill: nothing is closed
        os.waitpid(child, 0)
        assert (folder / "a.h2q-wal").stat().st_size

    def _restore(self, folder: Path) -> None:
        with open_collection(folder / "copy.h2q", mode="r") as collection:
            collection.backup(folder / "a.h2q", overwrite=True)

    def _new(self, folder: Path) -> None:
        with open_collection(folder / "copy.h2q", mode="r") as collection:
            collection.backup(folder / "new.h2q")


class Exports(Scenario):
    """An export takes the place of an earlier one."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = [lambda folder: self._export(folder, "b")]
        self._models = [model_of(("add", 1)), model_of(("add", 2), ("delete", 3))]
        self.states = [{}, {}]

    def prepare(self, folder: Path) -> None:
        fill(folder / "a.h2q", ("add", 1))
        fill(folder / "b.h2q", ("add", 2), ("delete", 3))
        self._export(folder, "a")

    def _export(self, folder: Path, name: str) -> None:
        with open_collection(folder / f"{name}.h2q", mode="r") as collection:
            write_codes(stream_of_collection(collection), folder / "codes.npy")

    def verify(self, folder: Path, acknowledged: int) -> None:
        allowed = self._models[acknowledged:]
        try:
            found = read_codes(folder / "codes.npy").gather()
        except FormatError:
            assert not acknowledged
            self._export(folder, "b")
            allowed, found = self._models[1:], read_codes(folder / "codes.npy").gather()
        items = dict(
            zip(found.ids, zip(map(bytes, found.codes), found.payloads, strict=True), strict=True)
        )
        assert items in [model.items for model in allowed]


SCENARIOS: Final[dict[str, Callable[[], Scenario]]] = {
    "writes": Writes,
    "indexed": lambda: Writes("mih"),
    "restores": Restores,
    "exports": Exports,
}
