"""No command, error or file shows the password of an address, however it is mistyped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import h2q
from h2q._addresses import without_secrets
from h2q.cli._app import app
from h2q.errors import H2QError
from h2q.ingest.workers import check_free, photo_payload
from h2q.rowfiles import read_codes, write_codes
from h2q.rowfiles.storage import FoundFile, read_bytes

SECRET = "CANARYs3cr3t"  # noqa: S105
#: Port 1 answers at once that nobody is there.
ADDRESSES = [
    each.replace("SECRET", SECRET)
    for each in (
        "postgresql://u:SECRET@127.0.0.1:1/db?collection=x",
        "POSTGRESQL://u:SECRET@127.0.0.1:1/db",
        "postgresql://u@127.0.0.1:1/db?password=SECRET",
        "postgresql://u@127.0.0.1:1/db?scram_client_key=SECRET",
        "postgresql://u@127.0.0.1:1/db?scram_server_key=SECRET&x",
        "postgresql://u@127.0.0.1:1/db?sslpassword=SECRET",
        "postgresql://u@127.0.0.1:1/db?oauth_client_secret=SECRET",
        "postgresql://u:SECRET@x@127.0.0.1:1/db",
        "postgresql://u:x@SECRET@127.0.0.1:1/db",
        "postgresql://u:SECRET/y@127.0.0.1:1/db",
        "postgresql://u:a?SECRET@127.0.0.1:1/db",
        "postgresql://u:a#SECRET@127.0.0.1:1/db",
        "postgresql://u:SECRET@127.0.0.1:1,127.0.0.2:1/db",
        "postgre://u:SECRET@127.0.0.1:1/db",
        "postgresql+psycopg://u:SECRET@127.0.0.1:1/db",
        "postgresql:/u:SECRET@127.0.0.1:1/db",
        "postgresql//u:SECRET@127.0.0.1:1/db",
        "postgresql:u:SECRET@127.0.0.1:1/db",
        " postgresql://u:SECRET@127.0.0.1:1/db",
        "u:SECRET@127.0.0.1:1/db",
        "host=127.0.0.1 password=SECRET dbname=x",
        "milvus:/root:SECRET@127.0.0.1:1/p",
        "milvus://root:SECRET@127.0.0.1:1/1bad",
        "milvus://root:SECRET@127.0.0.1:bad/p",
        "milvus://root:SECRET/x@127.0.0.1:1/p",
        "milvus://root:a?SECRET@127.0.0.1:1/p",
        "milvus://127.0.0.1:1/p?token=SECRET",
        "milvus://127.0.0.1:1/p?consistency=a&api_key=SECRET",
        "https://u:SECRET@127.0.0.1:1/x.npy",
        "http://127.0.0.1:1/x.npy?token=SECRET",
        "https://127.0.0.1:1/x.npy?X-Amz-Signature=SECRET&X-Amz-Expires=1",
        "memory://AK:SECRET@bucket/x.npy",
        "file://u:SECRET@h/absent/x.h2q",
        "s4://AK:SECRET@127.0.0.1:1/b/x.npy",
    )
]
COMMANDS = [
    "info A", "info A --json", "search A rows.npy", "search A rows.npy --json", "search c.h2q A",
    "index rows.npy -c A", "index photos -c A", "index A -c c.h2q", "index A -c A --json",
    "backup A x.h2q", "backup c.h2q A", "compact A", "duplicates A", "export A x.npy",
    "export c.h2q A", "export c.h2q A --format npy", "import rows.npy -c A", "import A -c c.h2q",
    "serve A --port 0", "embed A --out e.npy", "fit A --out q", "encode A --out q", "eval A",
    "list A", "get A x", "delete A x", "train A",
]  # fmt: skip


@pytest.fixture
def there(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "there"
    (folder / "photos").mkdir(parents=True)
    monkeypatch.chdir(folder)
    np.save("rows.npy", np.random.default_rng(0).standard_normal((50, 16)).astype("f4"))
    h2q.open_collection("c.h2q", n_bits=16).close()
    return folder


def check_silent(text: str, what: object) -> None:
    joined = "".join(text.split()).replace("│", "")  # a box breaks long words
    assert SECRET not in joined, (what, text)


def ask(command: str, address: str) -> None:
    arguments = [address if word == "A" else word for word in command.split()]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code != 0 or "export" in arguments, arguments
    check_silent(result.output + result.stderr, (command, address))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        check_silent(str(result.exception), (command, address))


@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_no_command_shows_a_secret(there, number):
    """Each command with some of the addresses, so that each address meets some commands."""
    for address in ADDRESSES[number % 14 :: 14]:
        ask(COMMANDS[number], address)


@pytest.mark.slow
def test_no_command_shows_a_secret_of_any_address(there):
    for command in COMMANDS:
        for address in ADDRESSES:
            ask(command, address)


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_error_shows_a_secret(there, address):
    """Of ours; what another library raised before may stand above it in a traceback."""
    calls = [
        lambda: h2q.open_collection(address, n_bits=8, timeout=1).add([1], np.zeros((1, 1), "u1")),
        lambda: read_codes(address, n_bits=8).gather(),
        lambda: read_bytes(address),
    ]
    for call in calls:
        try:
            call()
        except H2QError as error:
            check_silent("".join(map(str, error.args)) + repr(error), address)
        except OSError:
            pass
    with h2q.open_collection("c.h2q") as collection:
        for call in (
            lambda: collection.backup(address),
            lambda: write_codes(read_codes("rows.npy"), address),
        ):
            try:
                call()
            except H2QError as error:
                check_silent(repr(error), address)


def test_a_password_is_not_stored_with_photos():
    """The folder of a photo in a store is its address without it, and is known again by it."""
    source = f"s3://AK:{SECRET}@bucket/photos"
    file = FoundFile(f"{source}/a.png", "a.png", 3, "1")
    root = without_secrets(source)
    payload = photo_payload(root, file, "0", {})
    check_silent(json.dumps(payload), source)
    assert payload["folder"] == "s3://AK@bucket/photos"
    check_free(payload, root, "a.png")
    check_free({**payload, "folder": source}, root, "a.png")  # by an earlier h2q
