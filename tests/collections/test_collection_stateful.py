"""Any sequence of calls leaves a collection in the state a dict would be in."""

from __future__ import annotations

import copy
import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from h2q import open_collection
from h2q.codes import pack
from h2q.collections.embedded import (
    EmbeddedCollection,
    derived,
    indexes,
    items,
    scans,
)
from tests.collections.brute_collection import DictModel, exact_rows, same_content

IDS = st.integers(0, 12) | st.sampled_from([f"{i}" for i in range(12)])
LABELS = st.none() | st.sampled_from(["a", "b"])


class CollectionMachine(RuleBasedStateMachine):
    """One writer, and one reader that sometimes lags behind."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.path = self.folder / "photos.h2q"
        self.copy: tuple[Path, DictModel] | None = None

    @initialize(n_bits=st.sampled_from([3, 8, 12, 64]), index=st.sampled_from(["flat", "mih"]))
    def create(self, n_bits, index):
        self.n_bits = n_bits
        self.model = DictModel(n_bits)
        self.writer = open_collection(self.path, n_bits=n_bits, index=index)
        self.reader = open_collection(self.path, mode="r")

    @rule(ids=st.lists(IDS, max_size=12), labels=st.data(), seed=st.integers(0, 5))
    def add(self, ids, labels, seed):
        codes = pack(np.random.default_rng(seed).integers(0, 2, (len(ids), self.n_bits)))
        label = st.lists(LABELS, min_size=len(ids), max_size=len(ids))
        payloads = [None if x is None else {"label": x} for x in labels.draw(label)]
        self.writer.add(ids, codes, payloads)
        self.model.add(ids, codes, payloads)

    @rule(ids=st.lists(IDS, max_size=12, unique=True))
    def delete(self, ids):
        assert self.writer.delete(ids) == self.model.delete(ids)

    @rule()
    def compact(self):
        assert isinstance(self.writer, EmbeddedCollection)
        self.writer.compact()

    @rule()
    def optimize(self):
        assert isinstance(self.writer, EmbeddedCollection)
        self.writer.optimize()

    @rule()
    def reopen_reader(self):
        self.reader.close()
        self.reader = open_collection(self.path, mode="r")

    @rule()
    def set_back(self):
        """Go on from a copy, beside what was derived from what came after it."""
        self.writer.close()
        self.reader.close()
        if self.copy is None:
            self.copy = self.path.with_name("copy.h2q"), copy.copy(self.model)
            self.copy[1].items = dict(self.model.items)
            shutil.copy(self.path, self.copy[0])
        else:
            shutil.copy(self.copy[0], self.path)
            self.model, self.copy = self.copy[1], None
        self.writer = open_collection(self.path)
        self.reader = open_collection(self.path, mode="r")

    @rule()
    def reopen(self):
        self.writer.close()
        self.writer = open_collection(self.path)

    @rule(seed=st.integers(0, 100), k=st.integers(1, 8), who=st.sampled_from(["writer", "reader"]),
          label=LABELS)  # fmt: skip
    def search(self, seed, k, who, label):
        collection = getattr(self, who)
        row = exact_rows(np.random.default_rng(seed), 1, self.n_bits)
        code = pack(row)[0]
        where = None if label is None else {"label": label}

        def keep(payload):
            return label is None or (payload or {}).get("label") == label

        found = collection.search(code, k, where)
        assert (found.ids[0], found.distances[0].tolist()) == self.model.nearest(code, k, keep)
        found = collection.search(row, k, where)
        assert (found.ids[0], found.scores[0].tolist()) == self.model.asymmetric(row[0], k, keep)
        found = collection.within(code, k, where)
        assert (found.ids[0], found.distances[0].tolist()) == self.model.within(code, k, keep)

    @invariant()
    def content(self):
        if hasattr(self, "writer"):
            same_content(self.writer, self.model)

    def teardown(self) -> None:
        if hasattr(self, "writer"):
            self.writer.check()
            self.writer.close()
            self.reader.close()
        shutil.rmtree(self.folder)


class TestLikeADict(CollectionMachine.TestCase):
    settings = settings(max_examples=25, stateful_step_count=25, deadline=None)

    def setUp(self) -> None:
        # So that few items are enough for the FastScan, for the cache and the index (at any
        # radius), and few removals for a cut of their log.
        wanted = [
            (scans, "_LEAST_SCANNED", 10),
            (items, "_LEAST_LOG", 15),
            (derived, "LEAST_CACHED", 4),
            (indexes, "LEAST_INDEXED", 4),
            (indexes, "_LOOK_UP", 0.0),
            (indexes, "_CANDIDATE", 0.0),
        ]
        self._before = [(module, name, vars(module)[name]) for module, name, _ in wanted]
        for module, name, value in wanted:
            vars(module)[name] = value

    def tearDown(self) -> None:
        for module, name, value in self._before:
            vars(module)[name] = value
