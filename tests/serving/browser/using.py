"""What the tests do on the page, and read from it."""

from __future__ import annotations

import base64
import io
from typing import Any

from axe_playwright_python.sync_playwright import Axe

from tests.serving.browser.conftest import scene


def png(number: int, kind: int) -> str:
    data = io.BytesIO()
    scene(number, kind).save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def transfer(page: Any, content: str, kind: str = "image/png", name: str = "mine.png") -> Any:
    return page.evaluate_handle(
        """([content, type, name]) => {
          const data = new DataTransfer();
          const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
          data.items.add(new File([bytes], name, { type }));
          return data;
        }""",
        [content, kind, name],
    )


def title(page: Any, text: str) -> None:
    page.wait_for_function(
        "t => document.querySelector('h1.title')?.textContent.includes(t)", arg=text
    )


def names_in(page: Any) -> list[str]:
    page.locator(".cell .name").first.wait_for()
    return [str(name) for name in page.locator(".cell .name").all_inner_texts()]


def serious(page: Any, *, colours_alone: bool = False) -> list[tuple[str, str]]:
    """What axe-core finds that is serious or critical."""
    rules = ["color-contrast"] if colours_alone else []
    options = {"runOnly": {"type": "rule", "values": rules}} if rules else {}
    found = Axe().run(page, options=options).response["violations"]
    return [
        (v["id"], v["nodes"][0]["html"][:200])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]


def lasso(page: Any) -> None:
    """Draw a lasso around the left half of the map."""
    box = page.locator(".map canvas").first.bounding_box()
    page.get_by_role("button", name="Lasso", exact=True).click()
    x, y, w, h = box["x"], box["y"], box["width"], box["height"]
    corners = [(0.02, 0.02), (0.5, 0.02), (0.5, 0.98), (0.02, 0.98), (0.02, 0.5)]
    page.mouse.move(x + corners[0][0] * w, y + corners[0][1] * h)
    page.mouse.down()
    for a, b in corners[1:]:
        page.mouse.move(x + a * w, y + b * h, steps=8)
    page.mouse.up()
