from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from h2q.errors import InvalidInputError
from h2q.ingest.photos import index_photos
from h2q.searching import Hit, Searcher

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from tests.encoders.tiny_onnx import photo_network


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 flat pictures of random colours, and a copy of one."""
    folder = tmp_path_factory.mktemp("flat")
    colours = np.random.default_rng(0).integers(0, 256, (60, 3))
    for i, colour in enumerate(colours):
        Image.new("RGB", (12, 9), tuple(int(c) for c in colour)).save(folder / f"{i:02d}.png")
    shutil.copy(folder / "00.png", folder / "copy.png")
    return folder


@pytest.fixture(scope="module")
def searcher(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searcher]:
    network = photo_network(tmp_path_factory.mktemp("net") / "mine.onnx", columns=64)
    uri = str(tmp_path_factory.mktemp("c") / "flat.h2q")
    index_photos(folder, uri, encoder=f"onnx:{network}", n_bits=32)
    with Searcher(uri) as opened:
        yield opened


def ids(hits: list[Hit]) -> list[object]:
    return [hit.id for hit in hits]


def test_every_way_to_name_a_photo_finds_the_same(searcher: Searcher, folder: Path) -> None:
    path = folder / "07.png"
    with Image.open(path) as image:
        array = np.asarray(image)
        queries = [searcher.any_of(each) for each in (path, str(path), image, array)]
    results = searcher.search(queries, k=5)
    found = [ids(result.hits) for result in results]
    # Flat colours that are near share a code; which of them comes first says nothing.
    assert "07.png" in {hit.id for hit in results[0].hits if hit.distance == 0}
    assert all(each == found[0] for each in found)
    assert "07.png" not in ids(searcher.search([searcher.any_of("07.png")], k=5)[0].hits)


def test_k_and_radius_together_give_at_most_k(searcher: Searcher, folder: Path) -> None:
    query = searcher.any_of(folder / "07.png")
    (all_near,) = searcher.search([query], radius=12)
    assert len(all_near.hits) > 3
    assert all(hit.distance <= 12 for hit in all_near.hits)
    (few,) = searcher.search([query], k=3, radius=12)
    assert ids(few.hits) == ids(all_near.hits)[:3]
    assert len(searcher.search([query])[0].hits) == 10


def test_distinct_leaves_near_duplicates_out(searcher: Searcher, folder: Path) -> None:
    query = searcher.any_of(folder / "00.png")
    (plain,) = searcher.search([query], k=10)
    assert {"00.png", "copy.png"} <= set(ids(plain.hits))
    (distinct,) = searcher.search([query], k=10, distinct=True)
    assert len(distinct.hits) == 10
    assert len({"00.png", "copy.png"} & set(ids(distinct.hits))) == 1
    codes = [searcher.collection.get([hit.id])[0] for hit in distinct.hits]
    for i, one in enumerate(codes):
        for other in codes[:i]:
            assert one is not None
            assert other is not None
            assert int(np.bitwise_count(one.code ^ other.code).sum()) > 2


def test_several_photos_count_together(searcher: Searcher, folder: Path) -> None:
    one, other = searcher.any_of(folder / "07.png"), searcher.any_of(folder / "21.png")
    both = searcher.combined([one, other])
    rotated = [searcher._rotated(query.row) for query in (one, other)]
    wanted = np.mean(rotated, axis=0)
    found = searcher._rotated(both.row)
    cosine = wanted @ found / np.linalg.norm(wanted) / np.linalg.norm(found)
    assert cosine > 0.9999
    assert both.paths == (folder / "07.png", folder / "21.png")
    # By id, the picture is its code: what both have in common is still found.
    stored = searcher.combined([searcher.any_of("07.png"), searcher.any_of("21.png")])
    assert not {"07.png", "21.png"} & set(ids(searcher.search([stored], k=10)[0].hits))


def test_not_leads_away(searcher: Searcher, folder: Path) -> None:
    like, unlike = searcher.any_of(folder / "07.png"), searcher.any_of(folder / "21.png")
    query = searcher.combined([like], [unlike])

    def away(row: np.ndarray) -> float:
        return float(searcher._rotated(row) @ searcher._rotated(unlike.row))

    assert away(query.row) < away(like.row)
    with pytest.raises(InvalidInputError, match="at least one"):
        searcher.combined([], [unlike])


def test_payloads_come_with_the_results(searcher: Searcher, folder: Path) -> None:
    (result,) = searcher.search([searcher.any_of(folder / "07.png")], k=1)
    (hit,) = result.hits
    assert hit.payload is not None
    assert (hit.payload["width"], hit.payload["height"]) == (12, 9)
    assert hit.path == folder / str(hit.id)
