"""A path that is none: every door of the library says so in our words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import h2q
from h2q.codes import load_codes, save_codes
from h2q.datasets import load_dataset
from h2q.duplicates.moving import MovePlan, apply_plan, read_plan, undo_moves
from h2q.encoders import load_encoder
from h2q.errors import InvalidInputError
from h2q.images import find_photos, read_photo, scan_folder
from h2q.ingest import encode_file, fit_shards, index_folder, index_photos, ingest
from h2q.ingest.quantizers import load_quantizer
from h2q.rowfiles import find_shards, load_embeddings, open_rows, read_codes, save_embeddings
from h2q.rowfiles.embeddings import Embeddings
from h2q.searching import Searcher

ROWS = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)
QUANTIZER = h2q.SignQuantizer().fit(ROWS)
EMBEDDINGS = Embeddings(ROWS, list(range(40)))

DOORS: dict[str, Callable[[Any], Any]] = {
    "load": h2q.load,
    "open_collection": lambda path: h2q.open_collection(path, n_bits=8),
    "open_photos": h2q.open_photos,
    "duplicates": h2q.duplicates,
    "quantizer.save": QUANTIZER.save,
    "save_codes": lambda path: save_codes(path, QUANTIZER.transform(ROWS), 8),
    "load_codes": load_codes,
    "save_embeddings": lambda path: save_embeddings(path, EMBEDDINGS),
    "load_embeddings": load_embeddings,
    "open_rows": open_rows,
    "read_codes": read_codes,
    "find_shards": find_shards,
    "fit_shards": lambda path: fit_shards(path, h2q.SignQuantizer()),
    "encode_file": lambda path: encode_file(path, QUANTIZER, "codes.npz"),
    "ingest": lambda path: ingest(path, "c.h2q"),
    "ingest into": lambda path: ingest(EMBEDDINGS, path, quantizer=QUANTIZER),
    "index_photos": lambda path: index_photos(path, "c.h2q"),
    "index_folder": lambda path: index_folder(path, _of_eight_bits(), _Encoder()),
    "load_quantizer": load_quantizer,
    "load_dataset": load_dataset,
    "scan_folder": scan_folder,
    "find_photos": find_photos,
    "Searcher.file": lambda path: Searcher(_of_eight_bits()).file(path),
    "read_plan": read_plan,
    "apply_plan": lambda path: apply_plan(MovePlan("c.h2q", []), path),
    "undo_moves": undo_moves,
    "backup": lambda path: _of_eight_bits().backup(path),
}
#: Where bytes are the content of a file.
OR_CONTENT: dict[str, Callable[[Any], Any]] = {
    "read_photo": read_photo,
    "open_collection(model=)": lambda path: h2q.open_collection("c.h2q", model=path or 7),
}


class _Encoder:
    n_bits = 8
    batch_size = 4
    on_gpu = False


def _of_eight_bits() -> h2q.collections.Collection:
    return h2q.open_collection("eight.h2q", n_bits=8)


@pytest.mark.parametrize("path", [None, b"photos.h2q", "", "a\0b", 7, ["a"]], ids=repr)
@pytest.mark.parametrize("door", DOORS)
def test_what_is_no_path_is_refused_in_our_words(door, path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match=r"is a str or|is bytes|is empty|NUL|got \["):
        DOORS[door](path)
    assert {each.name.partition(".")[0] for each in tmp_path.iterdir()} <= {"eight"}


@pytest.mark.parametrize("path", [None, "", 7], ids=repr)
@pytest.mark.parametrize("door", OR_CONTENT)
def test_so_is_what_is_neither_path_nor_content(door, path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInputError, match=r"is a str or|is empty"):
        OR_CONTENT[door](path)


def test_a_plan_is_not_a_path():
    with pytest.raises(InvalidInputError, match=r"read_plan\(path\)"):
        apply_plan("plan.json", "to")


def test_a_path_object_is_a_path_everywhere(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_embeddings(Path("rows.npz"), EMBEDDINGS)
    assert ingest(Path("rows.npz"), Path("c.h2q"), n_bits=4).added == 40
    assert len(Searcher(h2q.open_collection(Path("c.h2q"))).file(Path("rows.npz"))) == 40
    assert len(find_shards(Path("rows.npz"))) == 1
    assert h2q.open_photos(Path("c.h2q")).uri == "c.h2q"
    with pytest.raises(InvalidInputError, match="no data set"):
        load_dataset(Path("nothing"))
    with pytest.raises(InvalidInputError, match="encoder"):
        load_encoder(Path("nothing"))
