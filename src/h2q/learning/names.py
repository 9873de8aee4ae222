"""Names of losses and backbones, checked without torch: a typo is said at once."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from h2q.errors import InvalidInputError

#: The losses that `h2q.learning.losses.create` knows by a name of ours.
LOSSES: Final = ("adsh", "cel", "dch", "dhn", "dpsh", "dsh", "hashnet", "hyp2", "wglhh")
#: The backbones that are not timm's.
BACKBONES: Final = ("alexnet", "digits-cnn", "features", "vgg16")
_OF_TIMM: Final = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)


def check_loss(name: str) -> None:
    """Refuse the name of a loss that is none; one of another library is left to `create`.

    Raises
    ------
    InvalidInputError
        Names the nearest.
    """
    if ":" not in name and name.lower().replace("-", "_").replace("²", "2") not in LOSSES:
        raise InvalidInputError(
            f"there is no loss {name!r}{_nearest(name, LOSSES)}; known: {', '.join(LOSSES)}, and "
            "pml:CLASS of pytorch-metric-learning"
        )


def check_backbone(name: str) -> None:
    """Refuse the name of a backbone that is none, by the text of timm's modules.

    A name that occurs anywhere in them is left to timm itself.

    Raises
    ------
    InvalidInputError
        Names the nearest.
    """
    if ":" in name and not name.startswith("timm:"):
        return
    bare = name.removeprefix("timm:").partition(".")[0]
    found = importlib.util.find_spec("timm")
    if name in BACKBONES or found is None or found.origin is None:
        return
    files = (Path(found.origin).parent / "models").glob("*.py")
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    if not texts or any(bare in text for text in texts):
        return
    known = [*BACKBONES, *(each for text in texts for each in _OF_TIMM.findall(text))]
    raise InvalidInputError(
        f"unknown backbone {name!r}{_nearest(bare, known)}; h2q has {', '.join(BACKBONES)} and "
        "local-dir:PATH, and timm has no model of that name"
    )


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.4)
    return f": did you mean {near[0]!r}?" if near else ""
