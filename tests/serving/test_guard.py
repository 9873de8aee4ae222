"""Nothing passes the guard that should not."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from h2q.errors import FormatError, InvalidInputError
from h2q.serving import ApiKey, Settings
from h2q.serving.settings import read_keys
from tests.serving.conftest import Client

READ, WRITE = "reading-key-0123456789", "writing-key-0123456789"
KEYS = (ApiKey.of("reader", READ, "read"), ApiKey.of("writer", WRITE, "read", "write"))


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example"])
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/v1/info", headers={"host": host})
    assert answer.status_code == 421
    assert answer.json()["error"]["kind"] == "WrongHost"


def test_one_of_two_hosts_is_not_chosen(client: TestClient) -> None:
    headers = [("host", "127.0.0.1:8000"), ("host", "evil.example")]
    answer = client.get("/healthz", headers=headers)
    assert answer.status_code == 400


def test_a_head_is_a_get_without_a_body(client: TestClient) -> None:
    for path in ("/", "/healthz", "/api/v1/items/i:7", "/api/v1/items/i:8"):
        head, get = client.head(path), client.get(path)
        assert head.status_code == get.status_code
        assert head.headers["content-length"] == get.headers["content-length"]
    assert client.head("/api/v1/search").status_code == 405
    assert 'h2q_requests_total{method="HEAD",route="/healthz",status="200"}' in (
        client.get("/metrics").text
    )


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:99", "LOCALHOST", "[::1]:8000"])
def test_this_machine_is_answered(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/info", headers={"host": host}).status_code == 200


def test_a_named_host_is_answered(client_of: Client) -> None:
    client = client_of(hosts=("photos.example.org",))
    assert client.get("/healthz", headers={"host": "photos.example.org"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_origin_cannot_change_anything(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/api/v1/items/delete", json={"ids": [7]}, headers=headers)
    assert answer.status_code == 403
    assert client.get("/api/v1/info").json()["count"] == 12


def test_the_page_itself_can(client: TestClient) -> None:
    headers = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    answer = client.post("/api/v1/items/delete", json={"ids": [7]}, headers=headers)
    assert answer.json() == {"deleted": 1}


@pytest.mark.parametrize(
    "path", ["/api/v1/info", "/api/v1/items", "/metrics", "/api/v1/thumbnails/s:x"]
)
def test_a_key_is_needed(client_of: Client, path: str) -> None:
    client = client_of(keys=KEYS)
    answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get(path, headers=bearer("wrong-key-0123456789")).status_code == 401
    assert client.get(path, headers=bearer(READ)).status_code in (200, 404)


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/openapi.json", "/page/app.js"])
def test_what_tells_nothing_needs_none(client_of: Client, path: str) -> None:
    assert client_of(keys=KEYS).get(path).status_code == 200


def test_scopes(client_of: Client) -> None:
    client = client_of(keys=KEYS)
    body = {"ids": [7]}
    assert client.post("/api/v1/items/get", json=body, headers=bearer(READ)).status_code == 200
    refused = client.post("/api/v1/items/delete", json=body, headers=bearer(READ))
    assert refused.status_code == 403
    assert refused.json()["error"]["kind"] == "WrongScope"
    assert client.post("/api/v1/items/delete", json=body, headers=bearer(WRITE)).json() == {
        "deleted": 1
    }


def test_a_cookie_serves_the_page(client_of: Client) -> None:
    client = client_of(keys=KEYS)
    assert client.post("/api/v1/session", json={"key": "no"}).status_code == 401
    answer = client.post("/api/v1/session", json={"key": READ})
    assert answer.json() == {"needed": True, "scopes": ["read"]}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert client.get("/api/v1/info").status_code == 200


def test_a_reader_reads_only(client_of: Client) -> None:
    client = client_of(read_only=True)
    assert client.post("/api/v1/items/delete", json={"ids": [7]}).status_code == 403
    assert client.post("/api/v1/search", json={"queries": [{"key": "i:7"}]}).status_code == 200


def test_other_machines_need_keys() -> None:
    with pytest.raises(InvalidInputError, match="--keys"):
        Settings(host="0.0.0.0")  # noqa: S104
    with pytest.raises(InvalidInputError, match="--keys"):
        Settings(host="photos.example.org")
    Settings(host="0.0.0.0", keys=KEYS)  # noqa: S104
    Settings(host="::1")


def test_a_large_body_is_refused_whatever_it_says(client_of: Client) -> None:
    client = client_of(max_body=10_000)
    assert client.post("/api/v1/queries", content=b"x" * 10_001).status_code == 413

    def endless():  # type: ignore[no-untyped-def]
        for _ in range(100):
            yield b"x" * 1000

    assert client.post("/api/v1/queries", content=endless()).status_code == 413


def test_a_rate_is_kept(client_of: Client) -> None:
    client = client_of(rate=1.0)
    answers = [client.get("/healthz") for _ in range(14)]
    assert [a.status_code for a in answers[:10]] == [200] * 10
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1


@pytest.mark.parametrize("path", ["/", "/api/v1/info", "/api/v1/items/s:absent", "/nowhere"])
def test_every_answer_has_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
    assert headers["x-request-id"]


def test_the_log_has_the_request_and_no_secret(
    client_of: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(keys=KEYS)
    with caplog.at_level(logging.INFO, "h2q.serving"):
        logging.getLogger("h2q.serving").propagate = True
        client.get("/api/v1/info", headers={**bearer(READ), "x-request-id": "abc-1"})
    facts = [record.facts for record in caplog.records if hasattr(record, "facts")][-1]
    assert facts["request_id"] == "abc-1"
    assert facts["status"] == 200
    assert facts["key"] == "reader"
    assert READ not in json.dumps(facts)


def test_keys_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"me": {"key": READ, "scopes": ["read"]}, "you": {"key": WRITE}}))
    me, you = read_keys(path)
    assert (me.name, me.scopes) == ("me", {"read"})
    assert you.scopes == {"read", "write"}
    assert me.is_made_of(READ)
    assert not me.is_made_of(WRITE)
    assert READ not in repr(me)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"me": 1}',
        '{"me": {}}',
        '{"me": {"key": 3}}',
        '{"me": {"key": "short"}}',
        '{"me": {"key": "long-enough-0123456", "scopes": ["root"]}}',
        '{"me": {"key": "long-enough-0123456", "scopes": "read"}}',
    ],
)
def test_bad_keys_are_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(FormatError) as caught:
        read_keys(path)
    assert "long-enough" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/v1/facets", {}),
        ("/api/v1/map/mask", {}),
        ("/api/v1/items/count", {}),
        ("/api/v1/scan", {}),
        ("/api/v1/items/at", {"places": [0]}),
    ],
)
def test_reading_with_a_body_needs_no_right_to_write(
    client_of: Client, path: str, body: dict[str, object]
) -> None:
    assert client_of(read_only=True).post(path, json=body).status_code == 200
    client = client_of(keys=KEYS)
    assert client.post(path, json=body, headers=bearer(READ)).status_code == 200
