"""What a person does wrong is said early, in the words of the command line, with the remedy."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q import open_collection
from h2q.rowfiles import open_rows
from tests.cli.conftest import Run

ROWS = np.random.default_rng(0).standard_normal((120, 16)).astype(np.float32)
#: Clears a screen, sets a title, turns the direction of writing, and is a control code by itself.
STEERS = "a\x1b[2J\x1b]0;title\x07\u202egpj\x9b31m\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, h2q: Run) -> Path:
    folder = tmp_path_factory.mktemp("made")
    np.save(folder / "rows.npy", ROWS)
    np.save(folder / "wide.npy", np.hstack([ROWS, ROWS]))
    np.save(folder / "none.npy", ROWS[:0])
    (folder / "photos").mkdir()
    for i in range(3):
        Image.new("RGB", (40, 40), (80 * i, 0, 0)).save(folder / f"photos/{i}.png")
    quantizer = folder / "eight.safetensors"
    assert h2q("fit", folder / "rows.npy", "--bits", 8, "--out", quantizer).code == 0
    into = ("-c", folder / "c.h2q", "--quantizer", quantizer)
    assert h2q("index", folder / "rows.npy", *into).code == 0
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "words"),
    [
        # no rows
        ("fit none.npy --bits 8 --out q.safetensors", "none.npy holds no rows"),
        ("index none.npy -c new.h2q --bits 8", "none.npy holds no rows"),
        ("index none.npy -c new.h2q --quantizer itq --bits 8", "none.npy holds no rows"),
        ("encode none.npy --quantizer eight.safetensors --out c.npz", "none.npy holds no rows"),
        ("eval none.npy", "none.npy: holds no rows"),
        ("search c.h2q none.npy", "none.npy holds no rows"),
        # lengths
        ("fit rows.npy --bits 1000000000 --out q.safetensors", "use n_bits <= 16"),
        ("fit rows.npy --bits 1000000000 --quantizer local-search --out q.safetensors", "16,384"),
        ("index rows.npy -c new.h2q --bits 1000000000", "use n_bits <= 16"),
        ("index rows.npy -c new.h2q --bits 999999999 --quantizer local-search", "at most 16,384"),
        ("index photos -c new.h2q --bits 1000000000", "1 to 1280 can be had"),
        ("index rows.npy -c new.h2q --quantizer eight.safetensors --bits 16",
         "eight.safetensors makes codes of 8 bits, and 16 were asked for (--bits)"),
        # other rows
        ("index wide.npy -c c.h2q", "rows of 32 columns, and the quantizer of c.h2q was fitted on"),
        ("index wide.npy -c new.h2q --quantizer eight.safetensors", "was fitted on rows of 16"),
        ("encode wide.npy --quantizer eight.safetensors --out c.npz", "fitted on rows of 16"),
        ("search c.h2q wide.npy", "wide.npy holds rows of 32 columns"),
        # photos
        ("index photos -c new.h2q --quantizer eight.safetensors", "photos holds photos, and"),
        ("index photos -c new.h2q --quantizer itq --bits 8", "photos get a rotation"),
        ("import photos --collection new.h2q", "photos holds photos and no files of codes"),
        ("encode rows.npy --quantizer c.h2q --out c.npz", "c.h2q is a collection (or another SQ"),
        ("compact nothing", "no such collection to read; there is c.h2q"),
        ("delete nothing --where n=1", "no such collection to read; there is c.h2q"),
        ("paper run --data digits --bits 1000000000 --out p", "bits must be at most 16,384"),
        # places, before the work
        ("export c.h2q no/x.npz", "no/x.npz cannot be written"),
        ("encode rows.npy --quantizer eight.safetensors --out no/c.npz", "no/c.npz cannot be"),
        ("fit rows.npy --out no/q.safetensors", "no/q.safetensors cannot be written"),
        ("fit rows.npy --out q.safetensors --decoder-out photos", "photos is a folder; give"),
        ("index rows.npy -c no/new.h2q --bits 8", "there is no folder"),
        ("search c.h2q rows.npy --out no/sheet.png", "no/sheet.png cannot be written"),
        ("search c.h2q rows.npy --out sheet.docx", "name it .png, .jpg, .webp or .html"),
        ("duplicates c.h2q --plan no/plan.json", "no/plan.json cannot be written"),
        ("duplicates c.h2q --out no/table.csv", "no/table.csv cannot be written"),
    ],
)  # fmt: skip
def test_each_names_the_input_and_the_remedy(h2q: Run, here: Path, command: str, words: str):
    before = sorted(here.iterdir())
    outcome = h2q(*command.split())
    assert outcome.code == 1, outcome
    assert words in outcome.err
    assert "fitted on the rows" not in outcome.err
    for jargon in ("sample(s)", "mode=", "Traceback", "split '"):
        assert jargon not in outcome.err
    assert sorted(here.iterdir()) == before


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("fit rows.npy --decoder linear --out q.safetensors", "--decoder-out"),
        ("index rows.npy -c new.h2q --bits 8 --workers 2", "--ray auto"),
        ("encode rows.npy --quantizer eight.safetensors --out c.npz -j 2", "--ray auto"),
        ("index rows.npy -c new.h2q --bits 8 --batch-size 4", "takes no batch_size"),
        ("index rows.npy -c new.h2q --bits 8 --max-pixels 4", "takes no max_pixels"),
        ("index rows.npy -c new.h2q --bits 8 --device cuda", "takes no device"),
        ("index rows.npy -c new.h2q --bits 8 --gps", "takes no gps"),
        ("index photos -c new.h2q --split train", "takes no split"),
        ("index photos -c new.h2q --key X", "takes no key"),
        ("search c.h2q --id 5 --key X", "is for a file of embeddings"),
        ("import rows.npy --collection new.h2q --bits 8", "uint8"),
        ("export c.h2q codes.npz --quantizer eight.safetensors", "is for faiss-lsh"),
        ("eval c.h2q --bits 8", "is for embeddings or a model"),
        ("info eight.safetensors --check", "eight.safetensors"),
    ],
)
def test_no_option_is_ignored(h2q: Run, here: Path, command: str, words: str):
    before = sorted(here.iterdir())
    outcome = h2q(*command.split())
    assert outcome.code in (1, 2), outcome
    assert words in " ".join(outcome.err.replace("│", " ").split())
    assert sorted(here.iterdir()) == before


def test_a_condition_that_says_nothing_deletes_nothing(h2q: Run, here: Path):
    for nothing in ("{}", '{"$and": []}'):
        outcome = h2q("delete", "c.h2q", "--where", nothing)
        assert outcome.code == 2, outcome
        assert "is met by every item" in outcome.err
    with open_collection("c.h2q") as collection:
        assert len(collection) == 120


def test_a_text_that_is_no_number_is_an_id(h2q: Run, here: Path):
    for odd in ("--5", "²", "9" * 30, "-", "9" * 5000):
        outcome = h2q("get", "c.h2q", "--", odd)
        assert outcome.code == 1, outcome
        assert "holds no item" in outcome.err


def test_a_length_that_agrees_with_the_quantizer_is_fine(h2q: Run, here: Path):
    outcome = h2q("index", "rows.npy", "-c", "n.h2q", "--quantizer", "eight.safetensors", "-b", 8)
    assert outcome.code == 0, outcome
    assert "fitted" not in outcome.err


def test_what_was_fitted_is_said_by_its_name_and_afterwards(h2q: Run, here: Path):
    fitted = h2q("index", "rows.npy", "-c", "r.h2q", "--bits", 8).err
    assert "rotation to 8 bits fitted on the rows of rows.npy" in fitted
    named = h2q("index", "rows.npy", "-c", "l.h2q", "--quantizer", "local-search", "-b", 8).err
    assert "quantizer local-search to 8 bits fitted on the rows of rows.npy" in named
    assert "rotation" not in named
    np.save("bad.npy", np.vstack([ROWS, np.full((1, 16), np.nan, np.float32)]))
    failed = h2q("index", "bad.npy", "-c", "b.h2q", "--bits", 8)
    assert failed.code == 1
    assert "fitted on the rows" not in failed.err


def test_ids_that_come_again_are_counted(h2q: Run, here: Path):
    ids = np.array([f"item {i % 100}" for i in range(120)])
    np.savez("again.npz", features=ROWS, ids=ids)
    outcome = h2q("index", "again.npz", "-c", "again.h2q", "--bits", 8)
    assert "20 rows of the input had ids that came again: of each id the last row" in outcome.err
    assert "100 added, 20 updated" in outcome.out
    with open_collection("again.h2q") as collection:
        last = collection.quantizer.transform(ROWS[105:106])[0]
        assert np.array_equal(collection.get(["item 5"])[0].code, last)
    again = h2q("index", "rows.npy", "-c", "c.h2q", "--json")  # held before, and none comes twice
    assert json.loads(again.out)["updated"] == 120
    assert json.loads(again.out)["repeated"] == 0
    assert h2q("export", "again.h2q", "codes.npz").code == 0
    ids = open_rows("codes.npz").read(0, 100).ids
    np.savez("twice.npz", format="h2q-codes", format_version=1, n_bits=8, bit_order="msb",
             codes=np.zeros((3, 1), np.uint8), ids=np.array([ids[0], ids[1], ids[0]]))  # fmt: skip
    outcome = h2q("import", "twice.npz", "--collection", "twice.h2q")
    assert "1 row of the input had an id that came again" in outcome.err, outcome


def test_labels_that_nobody_shares_judge_nothing(h2q: Run, here: Path):
    np.savez("own.npz", features=ROWS, labels=np.arange(120))
    outcome = h2q("eval", "own.npz", "--bits", 8)
    assert outcome.code == 1
    assert "each of its 120 items has a label of its own" in outcome.err
    h2q("index", "own.npz", "-c", "own.h2q", "--bits", 8)
    outcome = h2q("eval", "own.h2q")
    assert outcome.code == 1
    assert "nothing can be relevant" in outcome.err


def test_a_collection_in_a_place_that_is_read_only_says_what_to_do(h2q: Run, here: Path):
    if os.geteuid() == 0:
        pytest.skip("permissions do not bind root")
    here.chmod(0o555)
    Path("c.h2q").chmod(0o444)
    try:
        outcome = h2q("index", "rows.npy", "-c", "c.h2q")
    finally:
        here.chmod(0o755)
    assert outcome.code == 1
    assert "allow writing to the file and its folder" in outcome.err


def test_nothing_that_is_shown_steers_the_terminal(h2q: Run, here: Path):
    with open_collection("s.h2q", n_bits=8) as collection:
        collection.add(
            [STEERS, "b"], np.zeros((2, 1), np.uint8), [{STEERS: STEERS}, {"label": STEERS}]
        )
    shown = [
        h2q("list", "s.h2q"),
        h2q("get", "s.h2q", STEERS),
        h2q("get", "s.h2q", f"no {STEERS}"),
        h2q("search", "s.h2q", "--id", STEERS),
        h2q("search", "s.h2q", "--id", "b"),
        h2q("search", "s.h2q", f"{STEERS}.jpg"),
        h2q("duplicates", "s.h2q"),
        h2q("delete", "s.h2q", f"no {STEERS}"),
        h2q("info", f"{STEERS}.h2q"),
        h2q("index", f"photos{STEERS}", "-c", "s.h2q"),
        h2q("list", "s.h2q", "--where", f"{STEERS}=1"),
        h2q("list", "s.h2q", "--json"),
    ]
    for outcome in shown:
        for text in (outcome.out, outcome.err):
            steering = {c for c in text if c != "\n" and not c.isprintable()}
            assert not steering, outcome
    assert r"a\x1b[2J\x1b]0;title\x07\u202egpj\x9b31m\n" in shown[0].out.splitlines()
    line = json.loads(shown[-1].out.splitlines()[0])
    assert line == {"id": STEERS, "payload": {STEERS: STEERS}}


def test_photos_of_such_names_are_listed_escaped(h2q: Run, here: Path):
    name = "bad\x1b[31m\u202e.jpg"
    Path("photos", name).write_bytes(b"no photo")
    outcome = h2q("embed", "photos", "--model", "absent", "--out", "o.npz")
    assert outcome.code == 1
    outcome = h2q("index", "photos", "-c", "p.h2q", "--bits", 8)
    assert outcome.code == 3, outcome
    assert r"bad\x1b[31m\u202e.jpg" in outcome.err
    assert "\x1b" not in outcome.err + outcome.out
