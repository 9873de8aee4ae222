from __future__ import annotations

import json
import re
from collections.abc import Callable
from operator import eq
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from h2q import open_collection


def test_leaves_pictures_report_and_a_collection(demo: Path) -> None:
    for name in ("scores", "coordinates", "distances", "bits", "neighbours"):
        with Image.open(demo / f"{name}.png") as picture:
            colours = picture.convert("RGB").getcolors(1 << 24)
        assert colours is not None
        assert len(colours) > 5, name
    with open_collection(demo / "digits.h2q", mode="r") as collection:
        assert len(collection) == len(list((demo / "photos").rglob("*.png"))) > 500


def test_report_is_self_contained(demo: Path) -> None:
    page = (demo / "report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == page.count("<img") == 5
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)
    for words in ("H²Q", "ITQ", "none (sign)", "cosine (bound)", "h2q search"):
        assert words in page
    # The rows that stand out are those of the best values, whoever's they are.
    table = page[page.index("<table") : page.index("</table>")]
    rows = re.findall(r"<tr( class=.strong.)?>(.*?)</tr>", table, re.DOTALL)
    values = {}
    for strong, cells in rows[1:-1]:
        texts = re.findall(r"<td[^>]*>(.*?)</td>", cells, re.DOTALL)
        values[texts[0]] = (bool(strong), [float(text.split()[0]) for text in texts[1:4]])
    best = [max(value[i] for _, value in values.values()) for i in range(3)]
    for strong, value in values.values():
        ahead = sum(a == b for a, b in zip(value, best, strict=True))
        assert strong == (ahead == max(sum(map(eq, v, best)) for _, v in values.values()))


@pytest.mark.slow
def test_same_seed_gives_the_same_codes_in_the_same_folder(
    demo: Path, h2q: Callable[..., Any]
) -> None:
    def codes() -> dict[object, bytes]:
        with open_collection(demo / "digits.h2q", mode="r") as collection:
            return {
                item_id: code.tobytes()
                for batch in collection.iterate()
                for item_id, code in zip(batch.ids, batch.codes, strict=True)
            }

    before = codes()
    outcome = h2q("demo", "--out", demo, "--epochs", 4, "--json")
    assert outcome.code == 0, outcome
    assert codes() == before
    table = json.loads(outcome.out)
    assert set(table["quantizers"]) == {"none", "itq", "h2q"}
    for ranking in ("hamming", "asymmetric", "embedding"):
        none, h2q_score = (table["quantizers"][m][ranking]["mean"] for m in ("none", "h2q"))
        assert 0.2 < none < h2q_score <= 1  # rotation helps, on every ranking
    errors = {
        m: table["quantizers"][m]["quantization_error"]["fitted"] for m in table["quantizers"]
    }
    assert errors["h2q"] < errors["itq"] < errors["none"]


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, h2q: Callable[..., Any]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").touch()
    outcome = h2q("demo", "--out", tmp_path)
    assert outcome.code == 1
    assert "holds other files" in outcome.err
    assert (tmp_path / "photos" / "mine.jpg").exists()
