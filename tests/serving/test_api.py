"""The API answers what the collection does."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

import h2q
from h2q.codes import hamming_distances, pack
from h2q.collections import Collection
from h2q.collections.http.wire import id_of, key_of
from h2q.serving.app import create_app
from tests.serving.conftest import N_BITS, Client


def b64(data: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(data).tobytes()).decode()


def test_info(client: TestClient) -> None:
    facts = client.get("/api/v1/info").json()
    assert facts["name"] == "photos.h2q"
    assert (facts["n_bits"], facts["count"]) == (N_BITS, 12)
    assert [rank["name"] for rank in facts["ranks"]][:2] == ["hamming", "asymmetric"]
    assert facts["photos"] is False


def test_a_body_that_is_not_called_json_is_told_what_to_call_it(client: TestClient) -> None:
    answer = client.post(
        "/api/v1/search",
        content='{"queries": [{"key": "i:7"}]}',
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 422
    assert "with the header content-type: application/json" in answer.json()["error"]["message"]


def test_search_by_item_is_the_collections_own(client: TestClient, collection: Collection) -> None:
    answer = client.post(
        "/api/v1/search", json={"queries": [{"key": "i:7"}], "k": 5, "overview": True}
    ).json()
    item = collection.get([7])[0]
    assert item is not None
    found = collection.search(item.code, 6)
    expected = [(i, int(d)) for i, d in zip(found.ids[0], found.distances[0], strict=True)]
    expected = [pair for pair in expected if pair[0] != 7]
    assert [(hit["id"], hit["distance"]) for hit in answer["items"]] == expected[:5]
    assert answer["rank"] == "hamming"
    assert base64.b64decode(answer["code"]) == item.code.tobytes()
    # It is not its own neighbour there either.
    others = [
        code
        for batch in collection.iterate()
        for i, code in zip(batch.ids, batch.codes, strict=True)
        if i != 7
    ]
    distances = hamming_distances(item.code[None, :], np.stack(others))[0]
    assert answer["histogram"] == np.bincount(distances, minlength=N_BITS + 1).tolist()
    stretch = client.get("/api/v1/items").json()["items"]
    assert all(stretch[hit["place"]]["id"] == hit["id"] for hit in answer["items"])
    plain = client.post("/api/v1/search", json={"queries": [{"key": "i:7"}], "k": 5}).json()
    assert plain["histogram"] is None
    assert [hit["id"] for hit in plain["items"]] == [hit["id"] for hit in answer["items"]]


def test_search_by_vector_ranks_by_the_real_query(
    client: TestClient, collection: Collection, rows: np.ndarray
) -> None:
    answer = client.post(
        "/api/v1/search", json={"queries": [{"vector": rows[3].tolist()}], "k": 4}
    ).json()
    found = collection.search(rows[3], 4)
    assert [hit["id"] for hit in answer["items"]] == found.ids[0]
    assert found.scores is not None
    assert [hit["score"] for hit in answer["items"]] == pytest.approx(found.scores[0].tolist())


def test_search_within_a_radius(client: TestClient, collection: Collection) -> None:
    item = collection.get([7])[0]
    assert item is not None
    code = b64(item.code)
    answer = client.post(
        "/api/v1/search", json={"queries": [{"code": code}], "radius": 11, "overview": True}
    ).json()
    found = collection.within(item.code, 11)
    assert [hit["id"] for hit in answer["items"]] == found.ids[0]
    assert sum(answer["histogram"][:12]) == len(found.ids[0])


def test_search_with_a_condition(client: TestClient) -> None:
    answer = client.post(
        "/api/v1/search",
        json={"queries": [{"key": "i:7"}], "where": {"label": "cats"}, "overview": True},
    ).json()
    labels = {hit["payload"]["label"] for hit in answer["items"]}
    assert labels == {"cats"}
    assert sum(answer["histogram"]) == len(answer["items"]) == 6


def test_several_queries_are_their_mean(client: TestClient, collection: Collection) -> None:
    ids = [hit["id"] for hit in client.get("/api/v1/items").json()["items"]][:3]
    answer = client.post(
        "/api/v1/search", json={"queries": [{"key": key_of(i)} for i in ids], "k": 12}
    ).json()
    assert not set(ids) & {hit["id"] for hit in answer["items"]}
    codes = np.stack([item.code for item in collection.get(ids) if item is not None])
    majority = pack(np.unpackbits(codes, axis=1).sum(axis=0)[None, :N_BITS] - 1.5)
    assert base64.b64decode(answer["code"]) == majority.tobytes()


def test_distinct_hides_the_same_again(client: TestClient, collection: Collection) -> None:
    item = collection.get([7])[0]
    assert item is not None
    collection.add(["copy"], item.code[None, :])
    other = next(i for i in collection if i not in (7, "copy"))
    body: dict[str, Any] = {"queries": [{"key": key_of(other)}], "k": 50}
    ids = {hit["id"] for hit in client.post("/api/v1/search", json=body).json()["items"]}
    assert {7, "copy"} <= ids
    body["distinct"] = 0
    ids = {hit["id"] for hit in client.post("/api/v1/search", json=body).json()["items"]}
    assert len(ids & {7, "copy"}) == 1


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"key": "i:7", "code": "AAAA"},
        {"key": "s:absent"},
        {"key": "7"},
        {"code": "AA=="},
        {"code": "not base64!"},
        {"vector": [1.0, 2.0]},
        {"photo": "0" * 64},
        {"text": "a cat"},
    ],
)
def test_a_bad_query_is_named(client: TestClient, query: dict[str, Any]) -> None:
    answer = client.post("/api/v1/search", json={"queries": [query]})
    assert answer.status_code == 422
    assert answer.json()["error"]["message"]


def test_add_get_delete(client: TestClient, collection: Collection, rows: np.ndarray) -> None:
    codes = pack(np.random.default_rng(5).normal(size=(2, N_BITS)))
    answer = client.post(
        "/api/v1/items", json={"ids": ["new", 8], "codes": b64(codes), "payloads": [{"a": 1}, None]}
    )
    assert answer.json() == {"added": 2, "count": 14}
    stored = client.post("/api/v1/items/get", json={"ids": [8, "new", "absent"]}).json()["items"]
    assert stored[2] is None
    assert stored[1] == {"id": "new", "code": b64(codes[0]), "payload": {"a": 1}}
    assert client.get("/api/v1/items/i:8").json()["place"] == 13
    assert client.get("/api/v1/items/s:8").status_code == 404
    assert client.post("/api/v1/items/remove", json={"keys": ["i:8", "s:8"]}).json() == {
        "deleted": 1
    }
    assert len(collection) == 13


def test_an_add_of_which_one_cannot_be_stored_adds_nothing(client: TestClient) -> None:
    codes = pack(np.zeros((2, N_BITS)))
    for body in (
        {"ids": ["a"], "codes": b64(codes)},
        {"ids": ["a", "b"]},
        {"ids": ["a", 2**63], "codes": b64(codes)},
        {"ids": ["a", True], "codes": b64(codes)},
    ):
        assert client.post("/api/v1/items", json=body).status_code == 422
    assert client.get("/api/v1/info").json()["count"] == 12


def test_stretches_and_facets(client: TestClient) -> None:
    all_items = client.get("/api/v1/items?limit=100").json()
    assert all_items["total"] == 12
    second = client.get("/api/v1/items?offset=5&limit=3").json()
    assert second["items"] == all_items["items"][5:8]
    facets = client.post("/api/v1/facets", json={}).json()
    by_key = {facet["key"]: facet["values"] for facet in facets["facets"]}
    assert list(by_key) == ["label", "taken", "tags"]
    assert {v["text"]: v["count"] for v in by_key["label"]} == {"cats": 6, "dogs": 6}
    assert [v["text"] for v in by_key["taken"]] == ["2010", "2011", "2012"]
    for values in by_key.values():
        for value in values:
            where = json.dumps(value["where"])
            stretch = client.get("/api/v1/items", params={"where": where, "limit": 1}).json()
            assert stretch["total"] == value["count"]


def test_folders_are_a_facet_where_there_are_folders_in_folders(tmp_path: Path) -> None:
    paths = ["a/x/1.jpg", "a/x/2.jpg", "a/y/3.jpg", "a0/4.jpg", "top.jpg"]
    with h2q.open_collection(tmp_path / "c.h2q", n_bits=8) as collection:
        payloads = [{"folder": str(tmp_path), "path": path} for path in paths]
        collection.add(paths, np.arange(5, dtype=np.uint8)[:, None], payloads)
        with TestClient(create_app(collection), base_url="http://127.0.0.1:8000") as client:
            facets = client.post("/api/v1/facets", json={}).json()["facets"]
            (folders,) = [facet["values"] for facet in facets if facet["key"] == "folder"]
            assert [(value["text"], value["count"]) for value in folders] == [
                ("a", 3), ("a/x", 2), ("a/y", 1), ("a0", 1),
            ]  # fmt: skip
            for value in folders:
                where = json.dumps(value["where"])
                stretch = client.get("/api/v1/items", params={"where": where}).json()
                assert stretch["total"] == value["count"]


def test_values_that_read_alike_are_told_apart(client: TestClient, collection: Collection) -> None:
    payloads: list[dict[str, Any]] = [
        {"label": "1", "taken": "9999-12-31"}, {"label": 1, "taken": "0999-01-01"},
        {"label": True, "taken": "May 2010"}, {"label": ["1", 1, 1], "taken": "\u0662\u0660"},
        {"label": "true", "$odd": 1, "": 1, "big": 10**30, "path_hex": "zz", "folder": "a"},
    ]  # fmt: skip
    codes = pack(np.zeros((len(payloads), N_BITS)))
    collection.add(range(100, 100 + len(payloads)), codes, payloads)
    client.post("/api/v1/items", json={"ids": ["new"], "codes": b64(codes[:1])})  # look at once
    facets = client.post("/api/v1/facets", json={}).json()["facets"]
    assert {facet["key"] for facet in facets} == {"label", "taken", "tags"}
    for facet in facets:
        texts = [value["text"] for value in facet["values"]]
        assert len(set(texts)) == len(texts)
        for value in facet["values"]:
            where = json.dumps(value["where"])
            answer = client.get("/api/v1/items", params={"where": where, "limit": 1}).json()
            assert answer["total"] == value["count"] > 0, value
    labels = {value["text"] for value in facets[0]["values"]}
    assert {"1", "1 (number)", "true", "true (yes or no)", "1 (in a list)"} < labels
    colours = client.get("/api/v1/map/colours?facet=label").json()
    assert set(colours["values"]) == labels


def test_a_payload_with_a_name_that_is_none_is_stored_and_shows_nothing(
    client: TestClient, photos: Path
) -> None:
    payload = {"folder": str(photos), "path": "cats/01.png", "path_hex": "zz"}
    body = {"ids": ["odd"], "codes": b64(pack(np.zeros((1, N_BITS)))), "payloads": [payload]}
    assert client.post("/api/v1/items", json=body).status_code == 200
    assert client.get("/api/v1/items/s:odd").json()["photo"] is False
    assert client.get("/api/v1/thumbnails/s:odd").status_code == 404


def test_another_process_is_noticed_though_the_count_stays(
    client: TestClient, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("h2q.serving.newest._LOOK", 0.0)
    before = client.get("/api/v1/map").json()["stamp"]
    item = collection.get([7])[0]
    assert item is not None
    with h2q.open_collection(collection.uri) as other:
        other.add([7], ~item.code[None, :], [{"label": "birds"}])
    facets = client.post("/api/v1/facets", json={}).json()["facets"]
    assert "birds" in [value["text"] for value in facets[0]["values"]]
    assert client.get("/api/v1/map").json()["stamp"] != before


def test_the_map(client: TestClient) -> None:
    found = client.get("/api/v1/map").json()
    places = np.frombuffer(base64.b64decode(found["places"]), "<f4").reshape(-1, 2)
    assert found["ready"]
    assert places.shape == (12, 2)
    assert np.abs(places).max() == pytest.approx(1.0, abs=1e-5)
    at = client.post("/api/v1/items/at", json={"places": [3, 0], "stamp": found["stamp"]}).json()
    assert [item["place"] for item in at["items"]] == [3, 0]
    assert client.post("/api/v1/items/at", json={"places": [0], "stamp": "x"}).status_code == 422
    colours = client.get("/api/v1/map/colours?facet=label").json()
    numbers = np.frombuffer(base64.b64decode(colours["numbers"]), "<i4")
    assert np.bincount(numbers).tolist() == [6, 6]


def test_statistics(client: TestClient) -> None:
    stats = client.get("/api/v1/stats").json()
    assert len(stats["balance"]) == N_BITS
    assert stats["statistics"]["n_codes"] == 12
    assert stats["search_milliseconds"] > 0


def test_thumbnails_are_small_and_of_the_photo(client: TestClient, photos: Path) -> None:
    answer = client.get("/api/v1/thumbnails/s:cats/01.png")
    assert answer.headers["content-type"] == "image/webp"
    with Image.open(io.BytesIO(answer.content)) as image, Image.open(photos / "cats/01.png") as own:
        assert image.size == own.size
        difference = np.abs(np.asarray(image, int) - np.asarray(own.convert("RGB"), int)).mean()
    assert difference < 6
    (photos / "cats/01.png").unlink()
    assert client.get("/api/v1/thumbnails/s:cats/01.png").content == answer.content  # kept
    assert client.get("/api/v1/photos/s:cats/01.png").status_code == 404


def test_a_picture_that_the_client_holds_is_not_sent_again(
    client: TestClient, collection: Collection, photos: Path
) -> None:
    def stored(content: str | None) -> None:
        item = collection.get(["cats/01.png"])[0]
        assert item is not None
        facts = {"folder": str(photos), "path": "cats/01.png"}
        collection.add(
            [item.id], item.code[None, :], [facts | ({"sha256": content} if content else {})]
        )

    for kind in ("thumbnails", "photos"):
        path = f"/api/v1/{kind}/s:cats/01.png"
        stored(None)
        assert "etag" not in client.get(path).headers  # nothing would tell that it has changed
        stored("a" * 64)
        first = client.get(path)
        mark = {"if-none-match": f'"other", {first.headers["etag"]}'}
        again = client.get(path, headers=mark)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        stored("b" * 64)
        changed = client.get(path, headers=mark)
        assert changed.status_code == 200
        assert changed.content == first.content
        assert changed.headers["etag"] != first.headers["etag"]
    assert client.get(path, headers={"if-none-match": first.headers["etag"]}).status_code == 200
    held = {"if-none-match": changed.headers["etag"]}
    assert client.get(path, headers=held).status_code == 304
    Image.new("RGB", (40, 40), "red").save(photos / "cats" / "01.png")  # a large one is of the file
    assert client.get(path, headers=held).status_code == 200
    assert client.get(path, headers={"if-none-match": "*"}).status_code == 304


def test_nothing_outside_the_roots_is_shown(
    client_of: Client, collection: Collection, photos: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.png"
    Image.new("RGB", (9, 9)).save(secret)
    (photos / "link.png").symlink_to(secret)
    code = pack(np.zeros((1, N_BITS)))
    outside = [
        {"folder": str(tmp_path), "path": "secret.png"},
        {"folder": str(photos), "path": "../secret.png"},
        {"folder": str(photos), "path": str(secret)},
        {"folder": str(photos), "path": "link.png"},
        {"folder": "photos", "path": "cats/01.png"},
        {"folder": str(photos), "path": "a\0b"},
    ]
    client = client_of(roots=(photos,))
    for i, payload in enumerate(outside):
        body = {"ids": [f"out{i}"], "codes": b64(code), "payloads": [payload]}
        assert client.post("/api/v1/items", json=body).status_code == 422
        collection.add([f"out{i}"], code, [payload])
        assert client.get(f"/api/v1/thumbnails/s:out{i}").status_code == 404
        assert client.get(f"/api/v1/photos/s:out{i}").status_code == 404
        assert client.get(f"/api/v1/items/s:out{i}").json()["photo"] is False
    for path in ("/page/../settings.py", "/page/%2e%2e/settings.py", "/page/vendor/../../app.py"):
        assert client.get(path).status_code == 404


def test_scan_is_everything(client: TestClient, collection: Collection) -> None:
    lines = client.post("/api/v1/scan", json={"where": {"label": "dogs"}}).text.splitlines()
    assert lines[-1] == "null"
    ids = [item["id"] for line in lines[:-1] for item in json.loads(line)]
    assert ids == [i for batch in collection.iterate(where={"label": "dogs"}) for i in batch.ids]


def test_metrics_count(client: TestClient) -> None:
    client.post("/api/v1/search", json={"queries": [{"key": "i:7"}]})
    text = client.get("/metrics").text
    line = next(x for x in text.splitlines() if "/api/v1/search" in x and "requests_total" in x)
    assert line.endswith(" 1.0")
    assert "h2q_items 12.0" in text
    for i in range(3):  # methods of one's own invention are one
        client.request(f"ODD{i}", "/api/v1/info")
    text = client.get("/metrics").text
    assert "ODD" not in text
    assert 'method="other",route="/api/v1/info",status="405"} 3.0' in text


def test_keys_keep_numbers_and_names_apart() -> None:
    for item_id in (0, -5, 2**63 - 1, "7", "i:7", "", "ä/b c%2F?.jpg", "\U0001f600"):
        assert id_of(key_of(item_id)) == item_id


def test_the_mask_of_a_condition(client: TestClient, collection: Collection) -> None:
    answer = client.post("/api/v1/map/mask", json={"where": {"label": "cats"}}).json()
    mask = np.frombuffer(base64.b64decode(answer["mask"]), np.uint8)
    expected = [
        (payload or {}).get("label") == "cats"
        for batch in collection.iterate()
        for payload in batch.payloads
    ]
    assert mask.astype(bool).tolist() == expected
    assert answer["stamp"] == client.get("/api/v1/map").json()["stamp"]
