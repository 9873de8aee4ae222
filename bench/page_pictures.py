"""Pictures of the page for the docs, taken of the page itself over a collection of photos.

    python bench/page_pictures.py photos.h2q docs/images --like sunflower/image_0001.jpg

Writes page_search, page_map, page_duplicates and page_phone as WebP, each below 150 kB.
"""

from __future__ import annotations

import argparse
import io
import urllib.parse
from pathlib import Path
from typing import Any

from PIL import Image

from page import browsing

_MOST_BYTES = 150_000
#: The longest that t-SNE or the search for duplicates may take, in milliseconds.
_PATIENCE = 900_000


def keep(picture: bytes, path: Path, width: int) -> None:
    """Write a picture, as good as the bytes allow."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.thumbnail((width, 10_000), Image.Resampling.LANCZOS)
    for quality in range(86, 30, -8):
        image.save(path, "WEBP", quality=quality, method=6)
        if path.stat().st_size <= _MOST_BYTES:
            break
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def take(browser: Any, url: str, like: str, target: Path) -> None:
    """Open each view, wait until it is whole, and keep it."""
    query = "?" + urllib.parse.urlencode({"like": f"item:s:{like}"})
    whole = (
        "() => [...document.querySelectorAll('.cell img')].slice(0, 12).every((i) => i.complete)"
    )
    size = {"width": 1280, "height": 800}

    def page_at(path: str, shown: str, **options: Any) -> Any:
        page = browser.new_page(**{"viewport": size, **options})
        page.set_default_timeout(_PATIENCE)
        page.goto(url + path)
        page.wait_for_selector(shown)
        page.wait_for_function(whole)
        page.wait_for_timeout(700)
        return page

    keep(page_at(query, ".cell img.loaded").screenshot(), target / "page_search.webp", 1280)
    page = page_at(f"{query}&view=map", ".map:not([data-count='0'])", color_scheme="dark")
    page.wait_for_selector(".mapbar:not(:has([role=status]))")
    page.wait_for_timeout(700)
    keep(page.screenshot(), target / "page_map.webp", 1280)
    page = page_at("?view=duplicates", ".group.now img")
    page.wait_for_timeout(1500)
    keep(page.screenshot(), target / "page_duplicates.webp", 1280)
    phone = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "has_touch": True}
    keep(page_at(query, ".cell img.loaded", **phone).screenshot(), target / "page_phone.webp", 540)


def main() -> None:
    """Read the arguments and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("collection", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--like", required=True, help="Id of the item that is searched with.")
    args = parser.parse_args()
    with browsing(args.collection) as (browser, url):
        take(browser, url, args.like, args.target)


if __name__ == "__main__":
    main()
