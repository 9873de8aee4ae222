"""Figures, the page and the folder that are made from results."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from h2q.errors import InvalidInputError
from h2q.experiments.compare import Published
from h2q.experiments.figures import draw_all, gain_by_bits, save_figure, times
from h2q.experiments.pages import write_folder
from h2q.experiments.report import difference_rows, write_report
from h2q.experiments.results import Result

pytest.importorskip("matplotlib", reason="figures need the extra 'plot'")


def test_the_gain_drawn_is_the_gain_over_none(small_run: list[Result]) -> None:
    (axes,) = gain_by_bits(small_run).axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert drawn["+ H²Q (graduated)"] == pytest.approx([5.0, 5.0])
    assert drawn["+ random rotation"] == pytest.approx([-2.0, -2.0])
    assert "none" not in drawn


def test_a_loss_that_lacks_a_quantization_does_not_tilt_the_lines(
    make_result, small_run: list[Result]
) -> None:
    easy = [
        make_result(loss="hyp2", bits=16, quantization=name, value=value)
        for name, value in (("none", 0.1), ("h2q", 0.9))
    ]
    (axes,) = gain_by_bits([*small_run, *easy]).axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}
    assert drawn["+ H²Q (graduated)"] == pytest.approx([5.0, 5.0])


def test_what_was_run_at_some_lengths_only_is_named_and_hides_nothing_else(make_result) -> None:
    whole = [
        make_result(quantization=name, bits=bits, value=value)
        for name, value in (("none", 0.5), ("itq", 0.6))
        for bits in (16, 32)
    ]
    (axes,) = gain_by_bits([*whole, make_result(quantization="h2q", bits=16, value=0.7)]).axes
    drawn = [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]
    assert drawn == ["+ ITQ"]
    assert "in part only: + H²Q (graduated)" in axes.get_xlabel()
    assert "losses: 1" in axes.get_title()


def test_a_penalty_pays_for_its_search(small_run: list[Result]) -> None:
    (axes,) = times(small_run).axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    widths = dict(zip(names, (bar.get_width() for bar in axes.patches), strict=True))
    assert widths["+ penalty"] == pytest.approx((2 * 10 + 1) / 10)  # two lambdas
    assert widths["+ ITQ"] == pytest.approx((10 + 1) / 10)


def test_figures_are_written_as_svg_and_pdf_the_same_each_time(
    tmp_path: Path, small_run: list[Result]
) -> None:
    for kind in ("svg", "pdf"):
        first, second = (
            save_figure(gain_by_bits(small_run), tmp_path / f"{n}.{kind}").read_bytes()
            for n in "ab"
        )
        assert first == second
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")  # noqa: S314
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    with pytest.raises(InvalidInputError, match=r"\.svg, \.pdf or \.png"):
        save_figure(gain_by_bits(small_run), tmp_path / "a.bmp")


def test_what_was_not_measured_is_not_drawn(make_result) -> None:
    assert set(draw_all([make_result(), make_result(quantization="itq")])) == {"gain_by_bits"}
    with pytest.raises(InvalidInputError, match="nothing a figure"):
        draw_all([make_result(metric="other")])


def test_the_page_stands_alone_and_holds_every_part(
    tmp_path: Path, small_run: list[Result]
) -> None:
    published = [Published("alexnet", "cifar10", 16, "cel", "none", 70.0, 0.5)]
    text = write_report(tmp_path / "report.html", small_run, published).read_text()
    assert not re.search(r'(src|href)="(?!data:)', text)
    assert "://" not in text
    for part in ("Paired comparisons", "hamming ranking", "asymmetric ranking", "Lambda, chosen"):
        assert part in text
    assert "70.0 (alexnet)" in text
    assert text.count("<img") == len(draw_all(small_run))


def test_differences_are_given_in_points_with_their_interval(small_run: list[Result]) -> None:
    header, rows = difference_rows(small_run)
    row = next(r for r in rows if r[:2] == ["h2q - itq", "hamming"])
    assert dict(zip(header, row, strict=True))["points"] == "+2.00"
    assert row[3] == "+2.00 to +2.00"


def test_a_folder_is_filled_and_filled_again_the_same(
    tmp_path: Path, small_run: list[Result]
) -> None:
    paths = write_folder(tmp_path, small_run)
    names = {str(path.relative_to(tmp_path)) for path in paths}
    assert {"report.html", "tables.md", "comparisons.md", "figures/gain_by_bits.svg"} <= names
    before = {path: path.read_bytes() for path in paths}
    assert {path: path.read_bytes() for path in write_folder(tmp_path, small_run)} == before
