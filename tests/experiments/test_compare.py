from pathlib import Path

import pytest

from h2q.errors import FormatError, InvalidInputError
from h2q.experiments.compare import compare, read_published, render_comparison

HEADER = "backbone,dataset,bits,loss,quantization,map_mean_percent,map_std_percent\n"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    path = tmp_path / "published.csv"
    path.write_text(
        HEADER
        + "alexnet,cifar10,16,cel,none,70.0,0.5\n"
        + "vgg16,cifar10,16,cel,none,80.0,0.5\n"
        + "alexnet,cifar10,16,cel,itq,71.0,\n"
        + "alexnet,coco,16,cel,none,60.0,0.1\n"
    )
    return path


def test_the_same_setting_is_found_and_said_to_be_the_same(published: Path, make_result) -> None:
    pairs = compare([make_result(ranking="embedding", value=0.72)], read_published(published))
    (pair,) = [p for p in pairs if p.published_backbone == "alexnet"]
    assert (pair.ours, pair.published, pair.differences) == (pytest.approx(72.0), 70.0, ())
    assert "| +2.0 | nothing |" in render_comparison([pair])


def test_what_is_not_the_same_is_said(published: Path, make_result) -> None:
    ours = make_result(
        ranking="embedding", backbone="mobilenetv2", freeze_backbone=True, metric="mAP@100"
    )
    pairs = compare([ours], read_published(published))
    assert {p.published_backbone for p in pairs} == {"alexnet", "vgg16"}
    assert pairs[0].differences == (
        "backbone mobilenetv2, not alexnet",
        "backbone frozen, not fine-tuned",
        "mAP@100, not mAP@5000",
    )


def test_the_ranking_compared_is_the_publications(published: Path, make_result) -> None:
    assert compare([make_result(ranking="hamming")], read_published(published)) == []
    assert "No published figure" in render_comparison([])


def test_files_that_cannot_be_compared_with_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="there is no"):
        read_published(tmp_path / "absent.csv")
    path = tmp_path / "bad.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(FormatError, match="no column 'backbone'"):
        read_published(path)
    path.write_text(HEADER + "alexnet,cifar10,sixteen,cel,none,70.0,\n")
    with pytest.raises(FormatError, match="line 2"):
        read_published(path)


@pytest.mark.shared
def test_the_reference_table_is_read_whole(shared: Path) -> None:
    published = read_published(shared / "reference" / "paper_results.csv")
    assert len(published) == 1600
    assert {p.bits for p in published} == {16, 32, 48, 64}
