import re
from html.parser import HTMLParser

import pytest

from h2q.errors import InvalidInputError
from h2q.experiments.results import Result
from h2q.experiments.table import make_tables


def line(text: str, name: str) -> str:
    return next(row for row in text.splitlines() if f"| {name} |" in row)


def test_the_best_is_bold_and_what_is_below_none_is_marked(small_run: list[Result]) -> None:
    (table,) = make_tables(small_run)
    text = table.render("markdown")
    assert "**57.1 ± 0.7**" in line(text, "+ H²Q (graduated)")  # 0.5 + 0.016 + 0.005 + 0.05
    assert line(text, "+ random rotation").count("▾") == 2
    assert "▾" not in line(text, "+ ITQ")
    assert "**" not in line(text, "real embeddings, cosine (bound)")
    assert "2 seeds" in text


def test_every_format_holds_the_same_numbers(small_run: list[Result]) -> None:
    (table,) = make_tables(small_run, ranking="asymmetric")
    found = {
        form: re.findall(r"\d\d\.\d", table.render(form)) for form in ("markdown", "latex", "html")
    }
    assert found["markdown"] == found["latex"] == found["html"]
    assert len(found["html"]) == 2 * 2 * 7  # losses, lengths, rows (with the bound)


def test_latex_has_as_many_columns_as_it_says_and_no_bare_special_character(
    small_run: list[Result],
) -> None:
    (table,) = make_tables(small_run)
    text = table.render("latex")
    rows = [row for row in text.splitlines() if row.endswith(r"\\")]
    assert {row.count("&") for row in rows} == {3}
    assert r"\begin{tabular}{llrr}" in text
    assert r"\textcolor{red}{" in text
    assert not re.search(r"(?<!\\)[%_#](?!.*needs)", text.split("\n", 1)[1])
    assert all(ord(c) < 128 for c in text)


def test_html_is_well_formed_and_escaped(make_result) -> None:
    results = [make_result(loss="<b>&"), make_result(loss="<b>&", quantization="itq", value=0.4)]
    (table,) = make_tables(results)
    opened: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag, attrs):
            opened.append(tag)

        def handle_endtag(self, tag):
            assert opened.pop() == tag

    Checker().feed(table.render("html"))
    assert not opened
    assert "&lt;b&gt;&amp;" in table.render("html")
    assert re.search(r'<td [^>]*class="[^"]*\bworse"', table.render("html"))


def test_a_case_that_was_not_run_is_an_empty_place(make_result) -> None:
    results = [make_result(bits=16), make_result(bits=32, quantization="itq")]
    (table,) = make_tables(results)
    assert line(table.render(), "none") == "| cel | none | 50.0 |  |"


def test_a_ranking_without_figures_is_an_error_that_names_those_there_are(make_result) -> None:
    with pytest.raises(InvalidInputError, match="rankings: hamming"):
        make_tables([make_result()], ranking="asymmetric")
