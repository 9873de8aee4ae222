"""No command, error or file shows the password of an address, however it is mistyped."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import h2q
from h2q._addresses import Address, hush
from h2q.cli._app import app
from h2q.errors import H2QError
from h2q.images import FoundPhoto
from h2q.ingest.listing import PhotoListing
from h2q.ingest.plan import make_plan
from h2q.rowfiles import read_codes, write_codes
from h2q.rowfiles.storage import read_bytes

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


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that stands above it in a traceback, also what is not shown there."""
    waiting, seen = [error], set[int]()
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__]


def check_silent_error(error: BaseException, what: object) -> None:
    check_silent("".join(traceback.format_exception(error)), what)
    for each in chain(error):
        check_silent(f"{each}{each!r}{each.args}{getattr(each, '__notes__', '')}", what)


def ask(command: str, address: str) -> None:
    arguments = [address if word == "A" else word for word in command.split()]
    result = CliRunner().invoke(app, arguments)
    # Some are fine names of a file to write.
    assert result.exit_code != 0 or arguments[0] in ("export", "backup"), arguments
    check_silent(result.output + result.stderr, (command, address))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        check_silent_error(result.exception, (command, address))
    Path(address).unlink(missing_ok=True)  # the next command must not find a collection there


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
    """Nor what another library raised before, which stands above it in a traceback."""
    calls = [
        lambda: h2q.open_collection(address, n_bits=8, timeout=1).add([1], np.zeros((1, 1), "u1")),
        lambda: read_codes(address, n_bits=8).gather(),
        lambda: read_bytes(address),
    ]
    for call in calls:
        try:
            call()
        except (H2QError, OSError) as error:
            check_silent_error(error, address)
    with h2q.open_collection("c.h2q") as collection:
        for call in (
            lambda: collection.backup(address),
            lambda: write_codes(read_codes("rows.npy"), address),
        ):
            try:
                call()
            except (H2QError, OSError) as error:
                check_silent_error(error, address)


def test_a_password_is_not_stored_with_photos(tmp_path):
    """The folder of a photo in a store is its address without it, and is known again by it."""
    source = f"s3://AK:{SECRET}@bucket/photos"
    listing = PhotoListing(source, [FoundPhoto("a.png", 3, "1")])
    (file,) = listing.files()
    payload = file.payload("0", {})
    check_silent(json.dumps(payload) + repr(file), source)
    assert payload["folder"] == "s3://AK@bucket/photos"
    with h2q.open_collection(tmp_path / "items.h2q", n_bits=8) as collection:
        for folder, unchanged in ((payload["folder"], 1), (source, 0)):  # by an earlier h2q
            collection.add(["a.png"], np.zeros((1, 1), np.uint8), [{**payload, "folder": folder}])
            plan = make_plan(collection, listing)
            assert (plan.unchanged, len(plan.changed)) == (unchanged, 1 - unchanged)


@dataclass
class Holder:
    """What holds an address, as settings or a report might."""

    address: Address[str]


def test_an_address_cannot_be_made_to_show_its_secret():
    address = Address.of(f"s3://AK:{SECRET}@bucket/photos?token={SECRET}")
    assert address.secret() == f"s3://AK:{SECRET}@bucket/photos?token={SECRET}"
    shown = "s3://AK@bucket/photos?token=***"
    assert (str(address), f"{address}", f"{address:>40}") == (shown, shown, f"{shown:>40}")
    for text in (
        repr(address), "{} {!r}".format(*2 * [address]), repr([address]),
        str(asdict(Holder(address))),
        repr(copy.deepcopy(address)), json.dumps({"at": address}, default=str),
        str([getattr(address, name) for name in dir(address) if name not in ("secret", "_held")]),
    ):  # fmt: skip
        check_silent(text, "an address")
        assert "s3://AK@bucket" in text
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(address, protocol)
    with pytest.raises(TypeError):
        vars(address)
    with pytest.raises(TypeError):
        json.dumps(address)
    assert copy.deepcopy(address).secret() == address.secret()


@pytest.mark.parametrize("address", [each for each in ADDRESSES if "://" in each])
def test_every_engine_holds_its_address_in_that_type(address, monkeypatch):
    from h2q.collections.http.address import parse_address as http
    from h2q.collections.milvus.address import parse_address as milvus
    from h2q.collections.pgvector.address import parse_address as pgvector

    for parse in (http, milvus, pgvector):
        try:
            parsed = parse(address)
        except H2QError as error:
            check_silent_error(error, address)
        else:
            assert isinstance(parsed, Address)
            check_silent(f"{parsed} {parsed!r} {getattr(parsed, '__dict__', '')}", address)


class OtherError(Exception):
    """Of a library that keeps its words elsewhere."""

    def __init__(self, words: str) -> None:
        super().__init__(17)
        self._words = words

    def __str__(self) -> str:
        return self._words


@pytest.mark.parametrize(
    "make",
    [
        lambda text: ValueError(text),
        lambda text: ValueError({"url": [text]}, (text,)),
        lambda text: OtherError(text),
        lambda text: FileNotFoundError(2, "No such file", text, None, text),
        lambda text: KeyError(text.encode()),
        lambda text: ExceptionGroup("several", [OtherError(text)]),
    ],
)
def test_the_causes_of_an_error_are_silenced(make):
    """Whatever form a library's error has, and however deep."""
    text = f"cannot reach postgresql://u:{SECRET}@h/d?password={SECRET}"

    def fail() -> None:
        try:
            try:
                raise make(text)
            except Exception as first:
                first.add_note(text)
                raise RuntimeError("above it") from first
        except RuntimeError as error:
            raise H2QError("cannot") from error

    with pytest.raises(H2QError) as caught:
        fail()
    check_silent_error(caught.value, text)
    assert "postgresql://u@h/d" in "".join(traceback.format_exception(caught.value))


def test_to_hush_an_error_leaves_what_is_no_secret():
    error = FileNotFoundError(2, "No such file", "a:b/c.npy")
    hush(error)
    assert (error.errno, error.filename) == (2, "a:b/c.npy")
    hush(None)
