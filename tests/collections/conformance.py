"""What every collection must do. An engine's test module subclasses `CollectionConformance`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from h2q import quantization
from h2q.codes import code_width, pack
from h2q.collections import Collection
from h2q.collections.artifacts import fingerprint
from h2q.collections.conditions import holds, parse_where
from h2q.errors import CollectionError, CompatibilityError, InvalidInputError
from tests.collections.brute_collection import DictModel, exact_rows, same_content

N = 300


def random_codes(n: int, n_bits: int, seed: int = 0) -> np.ndarray:
    return pack(np.random.default_rng(seed).integers(0, 2, (n, n_bits)))


def payload_of(i: int) -> dict[str, Any] | None:
    if i % 10 == 9:
        return None
    payload: dict[str, Any] = {"label": f"class {i % 4}", "year": 2000 + i % 25, "odd": i % 2 == 1}
    if i % 5 == 0:
        payload["tags"] = ["beach", i % 3, None] if i % 2 else []
        payload["camera"] = {"maker": "Leica" if i % 3 else "Ümlaut", "f": 1.5 + i / 7}
    return payload


class CollectionConformance:
    """Subclasses give the fixture `address`: where a new collection may be made."""

    @pytest.fixture
    def address(self) -> str:
        raise NotImplementedError

    def open(self, address: str, **options: Any) -> Collection:
        raise NotImplementedError

    @pytest.fixture
    def empty(self, address: str) -> Iterator[Collection]:
        with self.open(address, n_bits=20) as collection:
            yield collection

    @pytest.fixture
    def filled(self, empty: Collection) -> tuple[Collection, DictModel]:
        model = DictModel(20)
        ids = [f"photo {i}.jpg" if i % 3 else i for i in range(N)]
        codes = random_codes(N, 20)
        payloads = [payload_of(i) for i in range(N)]
        empty.add(ids, codes, payloads)
        model.add(ids, codes, payloads)
        return empty, model

    # Keeping

    def test_a_new_collection_is_empty(self, empty):
        assert (len(empty), empty.count(), list(empty), empty.n_bits) == (0, 0, [], 20)
        assert empty.search(random_codes(2, 20), 5).ids == [[], []]
        assert empty.search(np.ones((2, 20)), 5).ids == [[], []]
        assert empty.within(random_codes(2, 20), 20).ids == [[], []]
        assert empty.get(["a"]) == [None]
        assert empty.delete(["a"]) == 0

    def test_keeps_what_was_added(self, filled):
        same_content(*filled)

    def test_closing_and_opening_again_changes_nothing(self, filled, address):
        collection, model = filled
        assert "mode='a'" in repr(collection)
        collection.close()
        collection.close()
        assert ("closed" in repr(collection)) == (not collection._is_open())
        with self.open(address) as again:
            same_content(again, model)
            assert again.n_bits == 20

    def test_a_closed_collection_says_so(self, filled):
        filled[0].close()
        with pytest.raises(CollectionError, match="closed"):
            filled[0].count()

    def test_ids_are_kept_as_given(self, empty):
        ids = [1, "1", -(2**63), 2**63 - 1, "", "a\0b", "ü/ö.jpg", " x "]
        empty.add(ids, random_codes(len(ids), 20))
        assert list(empty) == ids
        assert [item.id for item in empty.get(ids[::-1])] == ids[::-1]
        assert all(i in empty for i in ids)
        assert not any(i in empty for i in [2, "2", 1.5, None, True, 2**70, "\udcff"])

    def test_numpy_ids_become_plain_ones(self, empty):
        empty.add(np.arange(3), random_codes(3, 20))
        assert list(empty) == [0, 1, 2]
        assert empty.delete(np.array([0, 2])) == 2
        assert all(type(i) is int for i in empty)

    def test_payloads_are_kept_as_given(self, empty):
        payloads = [
            None,
            {},
            {"a": [1, 2.5, None, True, {"b": "\0 ü \U0001f600"}], 'k"': 1, "big": 2**62},
        ]
        empty.add([0, 1, 2], random_codes(3, 20), payloads)
        assert [item.payload for item in empty.get([0, 1, 2])] == payloads

    def test_adding_again_replaces(self, filled):
        collection, model = filled
        ids = [*list(model.items)[10:40], "new"]
        codes = random_codes(len(ids), 20, seed=1)
        for each in (collection, model):
            each.add(ids, codes, [{"again": True}] * len(ids))
        same_content(collection, model)

    def test_of_an_id_given_twice_the_last_stands(self, empty):
        codes = random_codes(4, 20)
        empty.add(["a", "b", "a", 1], codes, [{"n": n} for n in range(4)])
        assert list(empty) == ["b", "a", 1]
        (item,) = empty.get(["a"])
        assert item.payload == {"n": 2}
        assert np.array_equal(item.code, codes[2])

    def test_delete_counts_what_was_held(self, filled):
        collection, model = filled
        gone = [*list(model.items)[::3], "unknown", 10**9]
        assert collection.delete(gone) == model.delete(gone) == N // 3
        assert collection.delete(gone) == 0
        same_content(collection, model)

    def test_an_id_may_come_back_after_its_deletion(self, empty):
        codes = random_codes(2, 20)
        empty.add(["a"], codes[:1])
        assert len(empty.search(codes[0], 5).ids[0]) == 1
        empty.delete(["a"])
        empty.add(["a"], codes[1:])
        assert len(empty) == 1
        assert empty.search(codes[1], 5).distances[0].tolist() == [0]

    def test_the_revision_is_another_after_any_change_by_whomever(self, filled, address):
        collection, _ = filled
        seen = [collection.revision()]
        assert collection.revision() == seen[0]
        code = random_codes(1, 20)
        with self.open(address) as other:
            seen.append(other.revision())
            assert seen[1] == seen[0]
            for change in (
                lambda: other.add([0], code, [{"a": 1}]),
                lambda: other.add([0], code, [{"a": 2}]),  # as many items as before
                lambda: other.delete([3]),
                lambda: other.add([3], code),
                lambda: collection.add([6], code),
            ):
                change()
                seen.append(collection.revision())
                assert other.revision() == seen[-1]
                assert len(set(seen[1:])) == len(seen) - 1

    def test_get_keeps_the_order_asked_for(self, filled):
        collection, model = filled
        asked = [3, "unknown", "photo 1.jpg", 3]
        found = collection.get(asked)
        assert [None if item is None else item.id for item in found] == [3, None, "photo 1.jpg", 3]
        assert found[0].code.tobytes() == model.items[3][0]

    def test_nothing_is_added_by_a_call_that_fails(self, filled):
        collection, model = filled
        codes = random_codes(2, 20)
        bad: list[tuple[Any, Any, Any, str]] = [
            (["a", 1.5], codes, None, "1.5"),
            (["a", None], codes, None, "None"),
            (["a", True], codes, None, "True"),
            (["a", 2**63], codes, None, "64 bits"),
            (["a", "\udcff"], codes, None, "Unicode"),
            ("ab", codes, None, "list of ids"),
            (["a"], codes, None, "1 ids but 2 codes"),
            (["a", "b"], codes, [{}], "1 payloads"),
            (["a", "b"], codes, [{}, {"x": float("nan")}], "'b' is not valid JSON"),
            (["a", "b"], codes, [{}, {"x": {1, 2}}], "'b' is not valid JSON"),
            (["a", "b"], codes, [{}, {"x": "\udcff"}], "'b' is not valid Unicode"),
            (["a", "b"], codes, [{}, ["x"]], "'b' must be a dict"),
            (["a", "b"], codes[:, :2], None, "3 bytes wide"),
            (["a", "b"], codes.astype(int), None, "uint8"),
            (["a", "b"], np.full((2, 3), 255, np.uint8), None, "filling bits"),
        ]
        for ids, given, payloads, words in bad:
            with pytest.raises(InvalidInputError, match=words):
                collection.add(ids, given, payloads)
        same_content(collection, model)

    def test_adding_nothing_is_allowed(self, empty):
        empty.add([], np.empty((0, 3), np.uint8))
        empty.add([], [])
        assert len(empty) == 0

    # Real rows, coded by the collection itself

    @pytest.fixture
    def embeddings(self) -> np.ndarray:
        rng = np.random.default_rng(30)
        centres = rng.standard_normal((8, 24))
        return (centres[np.arange(200) % 8] + 0.3 * rng.standard_normal((200, 24))).astype("f4")

    def test_real_rows_are_coded_by_the_quantizer(self, address, quantizers, embeddings):
        quantizer = quantizers[0]
        with self.open(address, quantizer=quantizer, keep="int8") as collection:
            collection.add(range(100), embeddings[:100], [{"n": i} for i in range(100)])
            collection.add(range(100, 200), embeddings=embeddings[100:])
            codes = np.concatenate([batch.codes for batch in collection.iterate()])
            assert np.array_equal(codes, quantizer.transform(embeddings))
            found = collection.search(embeddings[:5], 1, rank="cosine", payloads=True)
            assert found.ids == [[i] for i in range(5)]
            assert found.payloads == [[{"n": i}] for i in range(5)]
            with pytest.raises(InvalidInputError, match="twice"):
                collection.add([0], embeddings[:1], embeddings=embeddings[:1])
            with pytest.raises(InvalidInputError, match="3 ids but real rows"):
                collection.add([0, 1, 2], embeddings[:2])

    def learns(self, address: str, **options: Any) -> Collection | None:
        """Open a collection that is to fit a quantizer; None where the engine keeps none later."""
        return self.open(address, n_bits=16, **options)

    @pytest.mark.parametrize("name", [None, "itq"])
    def test_the_first_rows_fit_a_quantizer_that_is_kept(self, address, embeddings, name):
        collection = self.learns(address, **({} if name is None else {"quantizer": name}))
        if collection is None:
            pytest.skip("this engine fixes its artifacts when it is made")
        with collection:
            with pytest.raises(InvalidInputError, match="too few for 16 bits; add at least 32"):
                collection.add(range(31), embeddings[:31])
            assert collection.quantizer is None
            assert len(collection) == 0
            collection.add(range(100), embeddings[:100])
            kept = collection.fingerprints["quantizer"]
            kind = quantization.ITQQuantizer if name else quantization.HouseholderQuantizer
            fitted = kind(n_bits=16, random_state=0).fit(embeddings[:100])
            assert kept == fingerprint(fitted.to_bytes())
            collection.add(["one more"], embeddings[100:101])
        with self.open(address) as again:
            assert again.fingerprints == {"quantizer": kept}
            assert "one more" in again.within(embeddings[100], 0).ids[0]
            again.add(["and another"], embeddings[101:102])
            codes = again.quantizer.transform(embeddings[:100])
            assert np.array_equal(codes, np.stack([i.code for i in again.get(range(100))]))

    def test_a_quantizer_that_would_never_be_fitted_is_refused(self, address):
        rows = np.random.default_rng(1).standard_normal((80, 24)).astype(np.float32)
        kept = quantization.HouseholderQuantizer(16, random_state=3).fit(rows)
        self.open(address, quantizer=kept).close()
        same = type(kept)(**kept.get_params())
        for asked in ("h2q", type(kept)(), type(kept)(16), same):
            with self.open(address, quantizer=asked) as collection:
                assert collection.fingerprints["quantizer"] == fingerprint(kept.to_bytes())
        others = {
            "itq": "with a HouseholderQuantizer, and the quantizer 'itq' was given, an? ITQ",
            "h2q-sgd": r"solver='graduated'.*solver='sgd'",
            quantization.ITQQuantizer(16): "HouseholderQuantizer.*ITQQuantizer",
            type(kept)(16, objective="l1"): r"objective='l2'.*objective='l1'",
            type(kept)(16, random_state=kept.random_state + 1): "random_state",
            type(kept)(12): "16-bit",
        }
        for other, words in others.items():
            with pytest.raises(CompatibilityError, match=words):
                self.open(address, quantizer=other)

    def test_codes_without_a_quantizer_take_none_that_is_to_be_fitted(self, address):
        with self.open(address, n_bits=16) as collection:
            collection.add(range(10), random_codes(10, 16))
        with pytest.raises((CompatibilityError, InvalidInputError), match="no quantizer"):
            self.open(address, quantizer="itq")

    def test_rows_that_cannot_be_coded_name_the_right_way(self, address, embeddings):
        with self.open(address, n_bits=24) as collection:
            with pytest.raises(InvalidInputError, match=r"pack\(rows\).*quantizer="):
                collection.add(range(200), embeddings)
            with pytest.raises(InvalidInputError, match="rows of 20 columns"):
                collection.add(range(200), embeddings[:, :20])
            collection.add(range(200), pack(embeddings))
            with pytest.raises(InvalidInputError, match="no quantizer"):
                collection.add(range(10), np.ones((10, 30)))
            with pytest.raises(InvalidInputError, match="codes or real rows"):
                collection.add(range(10))
            assert len(collection) == 200

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "bfloat16", ">f4"])
    def test_rows_of_every_kind(self, address, quantizers, embeddings, dtype):
        given: Any
        if dtype == "bfloat16":
            torch = pytest.importorskip("torch")
            given = torch.from_numpy(embeddings).bfloat16().requires_grad_()
        else:
            given = embeddings.astype(dtype)
        with self.open(address, quantizer=quantizers[0], keep="float16") as collection:
            collection.add(range(50), given[:50])
            collection.add(range(50, 60), quantizers[0].transform(embeddings[50:60]),
                           embeddings=given[50:60])  # fmt: skip
            found = collection.search(given[:60], 1, rank="cosine")
            assert sum(ids == [i] for i, ids in enumerate(found.ids)) > 55
            assert collection.within(given[:3], 2).ids[0]

    def test_data_frames(self, address, quantizers, embeddings):
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(embeddings[:50]).add_prefix("z")
        about = pandas.DataFrame(
            {"label": ["a", "b"] * 25, "year": np.arange(50), "seen": [1.5, float("nan")] * 25}
        )
        with self.open(address, quantizer=quantizers[0]) as collection:
            collection.add(pandas.Series(range(50)), frame, about)
            assert collection.get([0, 1])[0].payload == {"label": "a", "year": 0, "seen": 1.5}
            assert collection.get([1])[0].payload == {"label": "b", "year": 1}
            found = collection.search(frame.iloc[:2], 3, payloads=True)
            table = found.to_pandas()
            assert list(table["query"]) == [0, 0, 0, 1, 1, 1]
            assert list(table["id"]) == [i for ids in found.ids for i in ids]
            assert set(table) == {"query", "place", "id", "distance", "score",
                                  "label", "year", "seen"}  # fmt: skip

    # Foreign scalars

    def test_scalars_of_numpy_and_torch_are_what_they_equal(self, empty):
        torch = pytest.importorskip("torch")
        ids = [np.int8(1), np.uint64(2), torch.tensor(3), np.str_("s"), np.array(5)]
        payloads = [
            {"f": np.float64(0.5), "i": np.int32(7), "b": np.bool_(True), "t": torch.tensor(2.0)},
            {"f": np.float16(0.25), "list": np.array([1, 2])},
            {"f": np.float32(0.1)},
            {"f": np.longdouble(0.5)},
            None,
        ]
        empty.add(ids, random_codes(5, 20), payloads)
        assert list(empty) == [1, 2, 3, "s", 5]
        assert [type(i) for i in empty] == [int, int, int, str, int]
        assert empty.get([1])[0].payload == {"f": 0.5, "i": 7, "b": True, "t": 2.0}
        assert empty.get([2])[0].payload == {"f": 0.25, "list": [1, 2]}
        for number in (np.int64, np.int32, np.uint8, np.uint64, torch.tensor):
            assert number(3) in empty
            assert number(4) not in empty
            assert empty.get([number(3)])[0].id == 3
        for where, count in [
            ({"f": np.float64(0.5)}, 2),
            ({"f": {"$gte": np.array([0.2, 0.4]).mean()}}, 2),
            ({"f": {"$lt": np.float32(0.1)}}, 0),
            ({"f": {"$in": np.array([0.25, 0.5])}}, 3),
            ({"f": {"$in": {0.25, 9}}}, 1),
            ({"i": torch.tensor(7)}, 1),
            ({"b": np.bool_(True)}, 1),
            ({"b": np.int64(1)}, 0),
            ({"i": {"$exists": np.bool_(True)}}, 1),
            ({"list": {"$contains": np.uint8(2)}}, 1),
        ]:
            assert empty.count(where) == count, where
        assert len(empty.search(random_codes(1, 20), np.int64(2)).ids[0]) == 2
        assert empty.delete(torch.tensor([1, 2])) == 2

    @pytest.mark.parametrize(
        ("ids", "payload", "where"),
        [
            ([1.0], None, None),
            ([np.float64(1)], None, None),
            ([np.bool_(True)], None, None),
            ([None], None, None),
            ([b"a"], None, None),
            (np.array(["2020-01-01"], "datetime64[ns]"), None, None),
            (np.array([[1], [2]]), None, None),
            (np.ma.array([1], mask=[True]), None, None),
            ([2**63], None, None),
            (["a"], {1: "x"}, None),
            (["a"], {"x": np.float64("nan")}, None),
            (["a"], {"x": np.array([1.0, np.inf])}, None),
            (["a"], {"x": np.datetime64("2020-01-01")}, None),
            (["a"], {"x": {"y": {2: 1}}}, None),
            (["a"], {"x": 1 + 2j}, None),
            (["a"], {"x": b"bytes"}, None),
            (["a"], None, {"x": np.float64("nan")}),
            (["a"], None, {"x": np.datetime64("2020-01-01")}),
            (["a"], None, {"x": {"$in": "abc"}}),
            (["a"], None, {"x": {"$gt": np.bool_(True)}}),
            (["a"], None, {"x": np.uint64(2**63)}),
            (["a"], None, {"x": "\udcff"}),
            (["a"], None, {"$or": [{"x": 1}] * 6000}),
        ],
    )
    def test_what_has_no_plain_value_is_refused(self, empty, ids, payload, where):
        def call() -> None:
            if where is not None:
                empty.count(where)
            else:
                empty.add(ids, random_codes(1, 20), None if payload is None else [payload])

        with pytest.raises(InvalidInputError):
            call()
        assert len(empty) == 0

    def test_a_payload_that_is_too_deep_is_refused(self, empty):
        deep: Any = 1
        for _ in range(150):
            deep = {"a": deep}
        with pytest.raises(InvalidInputError, match="deep"):
            empty.add(["a"], random_codes(1, 20), [deep])

    # Searching

    @pytest.mark.parametrize("k", [1, 10, N, 10 * N])
    def test_search_by_hamming_distance(self, filled, k):
        collection, model = filled
        queries = random_codes(20, 20, seed=2)
        found = collection.search(queries, k)
        assert len(found) == 20
        assert found.scores is None
        for i, code in enumerate(queries):
            ids, distances = model.nearest(code, k)
            assert (found.ids[i], found.distances[i].tolist()) == (ids, distances)

    @pytest.mark.parametrize("k", [1, 10, N, 10 * N])
    def test_search_by_asymmetric_score(self, filled, k):
        collection, model = filled
        queries = exact_rows(np.random.default_rng(3), 20, 20)
        found = collection.search(queries, k)
        for i, row in enumerate(queries):
            ids, scores = model.asymmetric(row, k)
            assert (found.ids[i], found.scores[i].tolist()) == (ids, scores)
            all_ids, distances = model.distances(pack(row[None])[0])
            by_id = dict(zip(all_ids, distances.tolist(), strict=True))
            assert found.distances[i].tolist() == [by_id[j] for j in ids]

    def test_real_queries_may_be_ranked_by_hamming_distance(self, filled):
        collection, _ = filled
        queries = exact_rows(np.random.default_rng(3), 4, 20)
        by_row = collection.search(queries, 5, rank="hamming")
        by_code = collection.search(pack(queries), 5)
        assert by_row.ids == by_code.ids
        assert by_row.scores is None

    @pytest.mark.parametrize("radius", [0, 3, 8, 20, 1000])
    def test_within_is_inclusive(self, filled, radius):
        collection, model = filled
        queries = np.concatenate([random_codes(5, 20), random_codes(5, 20, seed=4)])
        found = collection.within(queries, radius)
        for i, code in enumerate(queries):
            ids, distances = model.within(code, radius)
            assert (found.ids[i], found.distances[i].tolist()) == (ids, distances)

    def test_within_takes_real_queries_by_their_code(self, filled):
        row = exact_rows(np.random.default_rng(5), 1, 20)
        assert filled[0].within(row, 6).ids == filled[0].within(pack(row), 6).ids

    def test_one_query_may_be_a_vector(self, filled):
        collection, _ = filled
        code, row = random_codes(1, 20, seed=6), exact_rows(np.random.default_rng(6), 1, 20)
        assert collection.search(code[0], 3).ids == collection.search(code, 3).ids
        assert collection.search(row[0], 3).ids == collection.search(row, 3).ids

    def test_no_query_finds_nothing(self, filled):
        assert filled[0].search(np.empty((0, 3), np.uint8), 3).ids == []
        assert filled[0].search(np.empty((0, 20)), 3).ids == []
        assert filled[0].within(np.empty((0, 3), np.uint8), 3).ids == []

    def test_equal_items_come_in_the_order_they_were_added(self, empty):
        code = random_codes(1, 20)
        ids = [f"{i * 7919 % 1000}" for i in range(200)]
        empty.add(ids, np.repeat(code, 200, axis=0))
        empty.add(ids[:5], np.repeat(code, 5, axis=0))
        order = ids[5:] + ids[:5]
        for k in (1, 20, 199):
            assert empty.search(code, k).ids == [order[:k]]
            assert empty.search(np.ones(20), k).ids == [order[:k]]
        assert empty.within(code, 0).ids == [order]

    def test_search_follows_every_change(self, filled):
        collection, model = filled
        rng = np.random.default_rng(7)
        for step in range(15):
            held = list(model.items)
            gone = [held[i] for i in rng.choice(len(held), len(held) // 5, replace=False)]
            assert collection.delete(gone) == model.delete(gone)
            ids = [f"step {step} {i}" for i in range(20)]
            codes = random_codes(20, 20, seed=100 + step)
            for each in (collection, model):
                each.add(ids, codes)
            query = exact_rows(rng, 1, 20)
            assert collection.search(query, 15).ids == [model.asymmetric(query[0], 15)[0]]
            assert collection.search(pack(query), 15).ids == [model.nearest(pack(query)[0], 15)[0]]
            assert collection.within(pack(query), 7).ids == [model.within(pack(query)[0], 7)[0]]

    def test_torch_queries_and_codes(self, filled):
        torch = pytest.importorskip("torch")
        collection, _ = filled
        rows, codes = exact_rows(np.random.default_rng(8), 3, 20), random_codes(3, 20, seed=8)
        assert collection.search(torch.from_numpy(rows), 5).ids == collection.search(rows, 5).ids
        collection.add(["t0", "t1", "t2"], torch.from_numpy(codes))
        found = collection.search(torch.from_numpy(codes), 500).ids
        assert [("t0" in ids, len(ids)) for ids in found] == [(True, N + 3)] * 3

    @pytest.mark.parametrize(
        ("queries", "k", "rank", "words"),
        [
            (np.zeros((1, 3), np.uint8), 0, None, "k must be"),
            (np.zeros((1, 3), np.uint8), 2.5, None, "k must be"),
            (np.zeros((1, 3), np.uint8), True, None, "k must be"),
            (np.zeros((1, 4), np.uint8), 1, None, "3 bytes wide"),
            (np.full((1, 3), 255, np.uint8), 1, None, "filling bits"),
            (np.zeros((1, 3), np.int64), 1, None, "uint8"),
            (np.zeros((1, 3), np.uint8), 1, "asymmetric", "needs real queries"),
            (np.zeros((1, 3), np.uint8), 1, "cosine", "needs real queries"),
            (np.zeros((1, 3), np.uint8), 1, "best", "'best'"),
            (np.ones((1, 20)), 1, "calibrated", "keep='scale'"),
            (np.ones((1, 20)), 1, "embedding", "keep='int8'"),
            (np.ones((1, 20)), 1, "cosine", "keep='int8'"),
            (np.ones((1, 19)), 1, None, "rotated rows"),
            (np.ones((1, 2, 10)), 1, None, "shape"),
            (np.full((1, 20), np.nan), 1, None, "NaN"),
            (np.full((1, 20), np.inf), 1, None, "infinite"),
            (np.zeros((1, 20)), 1, None, "zeros"),
        ],
    )
    def test_bad_queries_are_refused(self, filled, queries, k, rank, words):
        with pytest.raises(InvalidInputError, match=words):
            filled[0].search(queries, k, rank=rank)

    def test_a_negative_radius_is_refused(self, filled):
        with pytest.raises(InvalidInputError, match="radius"):
            filled[0].within(np.zeros((1, 3), np.uint8), -1)

    # What is kept of the real rows, and the ranks that need it

    @pytest.fixture
    def rows(self) -> np.ndarray:
        """A row an item of any of the directions, so that many codes are equal."""
        rng = np.random.default_rng(20)
        centres = rng.standard_normal((12, 20))
        return (centres[rng.integers(0, 12, N)] + 0.3 * rng.standard_normal((N, 20))).astype(
            np.float32
        )

    def keeping(self, address: str, keep: str, rows: np.ndarray) -> Collection:
        collection = self.open(address, n_bits=20, keep=keep)
        payloads = [payload_of(i) for i in range(N)]
        collection.add(range(N), pack(rows), payloads, embeddings=rows)
        return collection

    def test_codes_alone_are_kept_unless_more_is_asked_for(self, empty):
        assert (empty.info().keep, empty.info().index) == ("codes", "flat")

    @pytest.mark.parametrize("keep", ["scale", "int8", "float16"])
    def test_states_what_it_keeps(self, address, rows, keep):
        self.keeping(address, keep, rows).close()
        for options in ({}, {"keep": keep}):
            with self.open(address, **options) as again:
                assert again.info().keep == again.keep == keep
        for other in {"codes", "scale", "int8", "float16"} - {keep}:
            with pytest.raises(CompatibilityError, match=f"keep='{keep}'.*keep='{other}'"):
                self.open(address, keep=other)

    def test_another_way_to_keep_rows_is_refused(self, address):
        with pytest.raises(InvalidInputError, match="keep must be one of"):
            self.open(address, n_bits=20, keep="bfloat16")

    def test_embeddings_are_needed_where_something_is_kept(self, address, rows):
        with self.keeping(address, "scale", rows) as collection:
            with pytest.raises(InvalidInputError, match="embeddings"):
                collection.add(["a"], pack(rows[:1]))
            collection.add([], np.empty((0, 3), np.uint8))
            assert len(collection) == N

    @pytest.mark.parametrize("keep", ["codes", "int8"])
    def test_bad_embeddings_are_refused(self, address, rows, keep):
        with self.open(address, n_bits=20, keep=keep) as collection:
            codes, good = pack(rows[:3]), rows[:3]
            for bad, words in [
                (good[:2], "3 codes but 2 embeddings"),
                (good[:, :19], "rotated rows"),
                (good.astype(int), "floating"),
                (np.where(good > 1, np.nan, good), "NaN"),
                (good * [[1], [0], [1]], "zeros"),
                (-good, "do not belong to the codes"),
                (good[0], "shape"),
            ]:
                with pytest.raises(InvalidInputError, match=words):
                    collection.add(["a", "b", "c"], codes, embeddings=bad)
            assert len(collection) == 0
            collection.add(["a", "b", "c"], codes, embeddings=good)
            assert len(collection) == 3

    @pytest.mark.parametrize(
        ("keep", "rank", "tolerance"),
        [
            ("scale", "calibrated", 2e-3),
            ("float16", "calibrated", 2e-3),
            ("int8", "calibrated", 2e-2),
            ("float16", "cosine", 2e-3),
            ("int8", "cosine", 2e-2),
            ("float16", "embedding", 2e-3),
            ("int8", "embedding", 2e-2),
            ("float16", "asymmetric", 1e-4),
            ("float16", "hamming", 0),
        ],
    )
    def test_every_rank_orders_as_a_full_scan_would(self, address, rows, keep, rank, tolerance):
        queries = (rows[::30] + 0.1).astype(np.float32)
        with self.keeping(address, keep, rows) as collection:
            for where in (None, {"odd": True}):
                found = collection.search(queries, 40, where, rank=rank)
                for i, query in enumerate(queries):
                    assert len(set(found.ids[i])) == 40
                    signs = np.where(rows > 0, 1.0, -1.0)
                    distances = np.count_nonzero(signs != np.where(query > 0, 1, -1), axis=1)
                    assert found.distances[i].tolist() == distances[found.ids[i]].tolist()
                    if rank in ("hamming", "embedding"):
                        inside = distances if where is None else distances[self._odd()]
                        assert found.distances[i].tolist() == sorted(inside)[:40]
                    if rank == "hamming":
                        assert found.scores is None
                        continue
                    truth = self._scores(rank, query.astype(float), rows.astype(float))
                    size = np.abs(truth).max()
                    got = found.scores[i].astype(float)
                    assert np.allclose(got, truth[found.ids[i]], atol=tolerance * size)
                    if rank == "embedding":  # falls within equal distances alone
                        assert (np.diff(got)[np.diff(found.distances[i]) == 0] <= 0).all()
                        continue
                    assert (np.diff(got) <= 0).all()
                    best = np.sort(truth if where is None else truth[self._odd()])[::-1][:40]
                    assert np.allclose(got, best, atol=tolerance * size)

    @staticmethod
    def _odd() -> list[int]:
        return [i for i in range(N) if (payload_of(i) or {}).get("odd")]

    @staticmethod
    def _scores(rank: str, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        if rank in ("cosine", "embedding"):
            return rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
        signs = np.where(rows > 0, 1.0, -1.0)
        if rank == "asymmetric":
            return signs @ query
        # The angles query-code and item-code, and one of 60 degrees between these two sides.
        to_query = np.arccos(signs @ query / np.linalg.norm(query) / np.sqrt(20))
        to_item = np.arccos((signs * rows).sum(axis=1) / np.linalg.norm(rows, axis=1) / np.sqrt(20))
        return np.cos(to_query) * np.cos(to_item) + np.sin(to_query) * np.sin(to_item) / 2

    @pytest.mark.parametrize("rank", ["calibrated", "cosine", "embedding"])
    def test_ties_of_every_rank_come_in_the_order_of_adding(self, address, rows, rank):
        same = np.repeat(rows[:1], 100, axis=0)
        ids = [f"{i * 7919 % 1000}" for i in range(100)]
        with self.open(address, n_bits=20, keep="int8") as collection:
            collection.add(ids, pack(same), embeddings=same)
            collection.add(ids[:5], pack(same[:5]), embeddings=same[:5])
            order = ids[5:] + ids[:5]
            for k in (1, 20, 99, 200):
                assert collection.search(rows[0], k, rank=rank).ids == [order[:k]]

    @pytest.mark.parametrize("keep", ["scale", "int8", "float16"])
    def test_a_replaced_item_has_its_new_record(self, address, keep):
        """Rows of one code, which only their records tell apart."""
        even = np.ones((1, 20), np.float32)
        uneven = np.linspace(0.05, 2, 20, dtype=np.float32)[None]
        with self.open(address, n_bits=20, keep=keep) as collection:
            both = np.concatenate([even, uneven])
            collection.add(["a", "b"], pack(both), embeddings=both)

            def scores() -> dict[Any, float]:
                found = collection.search(uneven, 5, rank="calibrated")
                return dict(zip(found.ids[0], found.scores[0].tolist(), strict=True))

            before = scores()
            collection.add(["a"], pack(uneven), embeddings=uneven)
            assert scores() == {"a": before["b"], "b": before["b"]}
            assert before["a"] != before["b"]
            assert collection.delete(["b"]) == 1
            collection.add(["b"], pack(even), embeddings=even)
            assert scores() == {"a": before["b"], "b": before["a"]}
        with self.open(address) as collection:
            assert scores() == {"a": before["b"], "b": before["a"]}

    def test_of_an_id_given_twice_the_last_record_stands(self, address, rows):
        with self.open(address, n_bits=20, keep="float16") as collection:
            twice = rows[:4]
            collection.add(["a", "b", "a", "c"], pack(twice), embeddings=twice)
            found = collection.search(twice[2], 1, rank="cosine")
            assert found.ids == [["a"]]
            assert found.scores[0][0] == pytest.approx(1, abs=1e-3)

    def test_embeddings_are_rotated_by_the_quantizer(self, address, quantizers):
        quantizer = quantizers[0]
        rows = np.random.default_rng(1).standard_normal((50, 24)).astype(np.float32)
        with self.open(address, quantizer=quantizer, keep="float16") as collection:
            collection.add(range(50), quantizer.transform(rows), embeddings=rows)
        with self.open(address) as again:
            found = again.search(rows, 1, rank="cosine")
            assert found.ids == [[i] for i in range(50)]
            assert np.allclose(np.concatenate(found.scores), 1, atol=1e-3)

    @pytest.mark.parametrize("oversample", [0, 2.5, True])
    def test_a_bad_oversample_is_refused(self, address, rows, oversample):
        with (
            self.keeping(address, "int8", rows) as collection,
            pytest.raises(InvalidInputError, match="oversample"),
        ):
            collection.search(rows[:1], 3, rank="cosine", oversample=oversample)

    def test_any_oversample_finds_all_of_a_small_collection(self, address, rows):
        with self.keeping(address, "int8", rows) as collection:
            ids = [
                collection.search(rows[:5], 7, rank="cosine", oversample=n).ids for n in (1, 5, 900)
            ]
            assert ids[0] == ids[1] == ids[2]

    # Conditions

    CONDITIONS: tuple[tuple[dict[str, Any], Any], ...] = (
        ({}, lambda p: True),
        ({"label": "class 1"}, lambda p: p.get("label") == "class 1"),
        ({"year": {"$gte": 2005, "$lt": 2010.5}}, lambda p: 2005 <= p.get("year", 0) < 2010.5),
        ({"label": {"$in": ["class 0", "class 2", 7]}, "odd": False},
         lambda p: p.get("label") in ("class 0", "class 2") and p["odd"] is False),
        ({"label": {"$ne": "class 1"}}, lambda p: p.get("label") != "class 1"),
        ({"tags": {"$contains": "beach"}}, lambda p: "beach" in p.get("tags", [])),
        ({"tags": {"$exists": False}}, lambda p: "tags" not in p),
        ({"camera.maker": "Ümlaut"}, lambda p: p.get("camera", {}).get("maker") == "Ümlaut"),
        ({"$or": [{"label": "class 3"}, {"year": 2001}]},
         lambda p: p.get("label") == "class 3" or p.get("year") == 2001),
        ({"$not": {"label": "class 3"}}, lambda p: p.get("label") != "class 3"),
        ({"label": "no such"}, lambda p: False),
    )  # fmt: skip

    @pytest.mark.parametrize("case", range(len(CONDITIONS)))
    def test_conditions_restrict_every_call(self, filled, case):
        collection, model = filled
        where, of_payload = self.CONDITIONS[case]

        def keep(payload):
            return of_payload(payload or {})

        kept = [i for i, (_, payload) in model.items.items() if keep(payload)]
        assert collection.count(where) == len(kept)
        assert [i for batch in collection.iterate(where=where) for i in batch.ids] == kept
        query = exact_rows(np.random.default_rng(9), 1, 20)
        code = pack(query)[0]
        assert collection.search(code, 12, where).ids == [model.nearest(code, 12, keep)[0]]
        assert collection.search(query, 12, where).ids == [model.asymmetric(query[0], 12, keep)[0]]
        assert collection.within(code, 8, where).ids == [model.within(code, 8, keep)[0]]

    #: Keys and texts that engines are prone to mistake, and conditions on them.
    ODD: tuple[dict[str, Any], ...] = (
        {"a\tb": 1}, {"a\nb": 1}, {"a.b": 1}, {"a": {"b": 1}}, {"a.b": {"c.d": 1}}, {"\0": 1},
        {"t": "ab\0cd"}, {"t": "ab"}, {"t": "\0"}, {"t": ""}, {"t": ["x\0y", "x"]}, {"t": "ab\0"},
        {"n": 2**53 + 1}, {"n": 2**53}, {"n": float(2**53)}, {"n": 0}, {"n": -0.0}, {"n": False},
        {"n": "0"}, {"n": None}, {"n": 1e300}, {"'": 1, "%s": 1, "ü b": 1, "0": 1, "$x": 1},
        {"a": {"0": {"\x7f": 1}}}, {"t": "\U0001f600"}, {"t": "\uffff"},
    )  # fmt: skip
    ASKED: tuple[dict[str, Any], ...] = (
        {"a\tb": 1}, {"a\nb": 1}, {"a.b": 1}, {"a.b.c.d": 1}, {"\0": 1}, {"a.b": {"$ne": 1}},
        {"a.b": {"$exists": False}}, {"a.0.\x7f": 1}, {"t": "ab\0cd"}, {"t": "ab"}, {"t": ""},
        {"t": {"$in": ["ab\0cd", "\0"]}}, {"t": {"$nin": ["ab", "ab\0"]}}, {"t": {"$gt": "ab"}},
        {"t": {"$lt": "ab\0cd"}}, {"t": {"$lte": "\uffff"}}, {"t": {"$contains": "x"}},
        {"t": {"$contains": "x\0y"}}, {"n": 2**53 + 1}, {"n": float(2**53)}, {"n": 0}, {"n": 0.0},
        {"n": False}, {"n": None}, {"n": {"$gte": 2**53}}, {"n": {"$lt": 1e301}}, {"'": 1},
        {"%s": 1}, {"ü b": 1}, {"0": 1},
        {"$or": [{"n": i} for i in range(1500)]},
        {"$and": [{"$not": {"t": f"{i}"}} for i in range(500)]},
    )  # fmt: skip

    def test_odd_keys_and_texts_mean_the_same_everywhere(self, empty):
        n = len(self.ODD)
        empty.add(range(n), np.zeros((n, 3), np.uint8), list(self.ODD))
        assert [item.payload for item in empty.get(range(n))] == list(self.ODD)
        for where in self.ASKED:
            node = parse_where(where)
            wanted = [i for i, payload in enumerate(self.ODD) if holds(node, payload)]
            assert empty.count(where) == len(wanted), where
            found = empty.search(np.zeros(3, np.uint8), n, where).ids[0]
            assert found == wanted, where

    def test_payloads_as_texts_are_the_payloads(self, empty):
        payloads = [
            {"size": 2**62, "name": 'a "é" \u2028\u0000\n', "flag": True, "deep": {"size": 1}},
            {"size": "7", "name": None, "-x y": 3},
            {"other": 1},
            None,
            {"size": -1, "name": ["a", {"b": "c"}], "name ": 2},
        ]
        empty.add(range(5), random_codes(5, 20), payloads)
        found = {}
        for batch in empty.iterate_texts():
            found |= dict(zip(batch.ids, batch.payloads, strict=True))
        assert list(found) == list(range(5))
        assert {key: text and json.loads(text) for key, text in found.items()} == dict(
            enumerate(payloads)
        )
        (of_one,) = empty.iterate_texts(where={"size": -1})
        assert list(of_one.ids) == [4]

    def test_conditions_see_changes(self, filled):
        collection, _ = filled
        code = random_codes(1, 20)
        where = {"label": "class 1"}
        before = collection.search(code, 1000, where).ids[0]
        collection.delete(before[:3])
        collection.add(["fresh"], code, [{"label": "class 1"}])
        after = collection.search(code, 1000, where).ids[0]
        assert set(after) == {*before[3:], "fresh"}

    def test_bad_conditions_are_refused(self, filled):
        with pytest.raises(InvalidInputError, match=r"\$near"):
            filled[0].search(random_codes(1, 20), 1, {"year": {"$near": 3}})
        with pytest.raises(InvalidInputError, match=r"\$near"):
            filled[0].count({"year": {"$near": 3}})

    # What it is made of

    @pytest.mark.parametrize("n_bits", [1, 8, 12, 48, 64, 100, 256])
    def test_any_length_of_code(self, address, n_bits):
        with self.open(address, n_bits=n_bits) as collection:
            model = DictModel(n_bits)
            codes = random_codes(100, n_bits)
            assert codes.shape[1] == code_width(n_bits)
            for each in (collection, model):
                each.add(range(100), codes)
            row = exact_rows(np.random.default_rng(1), 1, n_bits)
            code = pack(row)[0]
            assert collection.search(row, 100).ids == [model.asymmetric(row[0], 100)[0]]
            found = collection.within(code, n_bits // 2)
            assert (found.ids[0], found.distances[0].tolist()) == model.within(code, n_bits // 2)

    def test_another_code_length_is_refused(self, filled, address):
        filled[0].close()
        with pytest.raises(CompatibilityError, match=r"20-bit.* 48 bits"):
            self.open(address, n_bits=48)

    def test_nothing_is_made_without_a_code_length(self, address):
        with pytest.raises(CollectionError, match="n_bits"):
            self.open(address)

    @pytest.fixture
    def quantizers(self) -> list[Any]:
        rows = np.random.default_rng(0).standard_normal((200, 24))
        return [
            quantization.RandomRotationQuantizer(n_bits=16, random_state=seed).fit(rows)
            for seed in (0, 1)
        ]

    @pytest.fixture
    def decoder(self) -> Any:
        rows = np.random.default_rng(4).standard_normal((60, 20))
        return quantization.CodeDecoder().fit(rows)

    @pytest.mark.parametrize("k", [1, 10, 10 * N])
    def test_search_by_decoded_codes(self, address, decoder, k):
        model = DictModel(20)
        codes = random_codes(N, 20, seed=5)
        codes[N // 2 :] = codes[: N - N // 2]  # equal codes tie
        with self.open(address, n_bits=20, decoder=decoder) as collection:
            for each in (collection, model):
                each.add(range(N), codes)
        with self.open(address) as again:
            queries = exact_rows(np.random.default_rng(6), 5, 20)
            found = again.search(queries, k, rank="decoded")
            decoded = decoder.decode(codes).astype(float) / np.sqrt(20)
            for i, row in enumerate(queries):
                scores = (decoded * (row / np.linalg.norm(row))).sum(axis=1).astype(np.float32)
                best = np.lexsort((np.arange(N), -scores))[:k]
                assert np.allclose(found.scores[i], scores[best], atol=1e-6)
                assert found.ids[i] == best.tolist()

    def test_decoded_needs_a_decoder_and_real_queries(self, address, filled, decoder):
        with pytest.raises(InvalidInputError, match="decoder="):
            filled[0].search(np.ones((1, 20)), 1, rank="decoded")
        filled[0].close()
        with pytest.raises(CompatibilityError, match="without a decoder"):
            self.open(address, decoder=decoder)

    def test_keeps_its_quantizer_and_rotates_by_it(self, address, quantizers):
        quantizer = quantizers[0]
        rows = np.random.default_rng(1).standard_normal((50, 24)).astype(np.float32)
        with self.open(address, quantizer=quantizer) as collection:
            assert collection.n_bits == 16
            collection.add(range(50), quantizer.transform(rows))
        with self.open(address) as again:
            assert np.array_equal(again.quantizer.transform(rows), quantizer.transform(rows))
            found = again.search(rows, 50)
            rotated = np.asarray(quantizer.rotate(rows), dtype=np.float32)
            signs = np.where(rotated > 0, 1.0, -1.0)
            for i in range(50):
                scores = signs @ rotated[i].astype(float)
                assert np.allclose(found.scores[i], np.sort(scores)[::-1], atol=1e-4)
                assert i in again.within(rows[i], 0).ids[0]

    def test_another_quantizer_is_refused(self, address, quantizers):
        self.open(address, quantizer=quantizers[0]).close()
        self.open(address, quantizer=quantizers[0]).close()
        with pytest.raises(CompatibilityError, match="quantizer"):
            self.open(address, quantizer=quantizers[1])

    def test_a_quantizer_for_a_collection_without_one_is_refused(self, address, quantizers):
        self.open(address, n_bits=16).close()
        with pytest.raises(CompatibilityError, match="without a quantizer"):
            self.open(address, quantizer=quantizers[0])

    def test_contradictory_code_lengths_are_refused(self, address, quantizers):
        with pytest.raises(InvalidInputError, match=r"n_bits: 20.*quantizer: 16"):
            self.open(address, n_bits=20, quantizer=quantizers[0])

    def test_info(self, filled):
        facts = dataclasses.asdict(filled[0].info())
        assert (facts["n_bits"], facts["count"], facts["bit_order"]) == (20, N, "msb")
        assert facts["size_bytes"] > 0
        assert facts["fingerprints"] == {}

    @pytest.mark.parametrize("mode", ["w", "", None])
    def test_unknown_modes_are_refused(self, address, mode):
        with pytest.raises(InvalidInputError, match="mode"):
            self.open(address, n_bits=8, mode=mode)

    def test_reading_only(self, filled, address):
        collection, model = filled
        with self.open(address, mode="r") as reader:
            same_content(reader, model)
            for write in (lambda: reader.add(["x"], random_codes(1, 20)),
                          lambda: reader.delete(["photo 1.jpg"])):  # fmt: skip
                with pytest.raises(CollectionError, match="mode='r'"):
                    write()
            for each in (collection, model):
                each.add(["x"], random_codes(1, 20))
            same_content(reader, model)
            assert reader.search(random_codes(1, 20), 5).ids == [
                model.nearest(random_codes(1, 20)[0], 5)[0]
            ]
