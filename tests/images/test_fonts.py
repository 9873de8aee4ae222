from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from h2q.images import Tile, _fonts, contact_sheet


def picture(text: str) -> np.ndarray:
    image = Image.new("RGB", (400, 30), "white")
    _fonts.draw_text(ImageDraw.Draw(image), (2, 2), text, 16, (0, 0, 0))
    return np.asarray(image.convert("L"))


@pytest.fixture
def fonts() -> None:
    pytest.importorskip("manimgx_fonts")
    pytest.importorskip("manimgx_fonts_cjk")


@pytest.mark.usefixtures("fonts")
@pytest.mark.parametrize(
    "texts",
    [
        ("é", "è", "e"),
        ("写真", "真写", "寫真"),
        ("사진", "진사"),
        ("ж", "д"),
        ("🐈", "🐕", "🎉"),
        ("שלום", "תמונה"),
        ("हिन्दी", "फोटो"),
    ],
)
def test_every_script_has_shapes_of_its_own(texts: tuple[str, ...]) -> None:
    box = picture("\uffff")
    shapes = [picture(text) for text in texts]
    for i, shape in enumerate(shapes):
        assert shape.min() < 100  # something is drawn
        assert not np.array_equal(shape, box)
        for other in shapes[:i]:
            assert not np.array_equal(shape, other)


@pytest.mark.usefixtures("fonts")
def test_marks_stay_with_their_letter() -> None:
    for text in ("हिन्दी", "e\u0301", "🏖\ufe0f"):
        assert len(list(_fonts._runs(text, 16))) == 1


def test_without_the_packages_names_still_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_fonts, "_paths", list)
    _fonts._font_of.cache_clear()
    try:
        assert not np.array_equal(picture("写"), picture("真"))
        assert "".join(part for _, part in _fonts._runs("a写", 16)) == "a\\u5199"
    finally:
        _fonts._font_of.cache_clear()


@pytest.mark.parametrize(
    "name", ["word " * 20, "x" * 100, "a/very/long_path-with.many" * 4, "写" * 60]
)
def test_a_line_is_broken_and_nothing_lost(name: str) -> None:
    lines = _fonts.wrapped(name, 120, 13)
    assert len(lines) > 1
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")
    assert all(_fonts.text_width(line, 13) <= 120 for line in lines)


def test_long_names_that_differ_in_the_middle_look_different() -> None:
    start, end = "folder/" * 40, "/photo" * 40
    field = Image.new("RGB", (4, 4), "red")
    sheets = [
        contact_sheet([Tile(field, f"{start}{one}{end}"), Tile(field, f"{start}{two}{end}")])
        for one, two in [("a", "b")]
    ]
    for sheet in sheets:
        pixels = np.asarray(sheet)
        half = pixels.shape[1] // 2
        gap = max(10, 160 // 12)
        left, right = pixels[:, gap : gap + 160], pixels[:, gap + 160 + gap : gap + 160 + gap + 160]
        assert half > 160
        assert not np.array_equal(left, right)


def test_pictures_of_any_shape_are_seen() -> None:
    for size in [(1, 4000), (4000, 1), (3, 3), (900, 100)]:
        sheet = np.asarray(contact_sheet([Tile(Image.new("RGB", size, "red"), "x")]))
        red = (sheet[..., 0] > 200) & (sheet[..., 1] < 60)
        assert red.sum() >= 150
