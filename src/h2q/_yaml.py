"""YAML of a file that may be hostile: plain values alone, no aliases, and short."""

from __future__ import annotations

from typing import Any, Final

from h2q._foreign import reading, size_of
from h2q._lazy import require
from h2q._paths import as_path
from h2q._typing import StrPath
from h2q.errors import FormatError

#: A config has some dozen lines; the parser takes seconds for a megabyte.
_LONGEST: Final = 256 << 10
_INT64: Final = 1 << 63


def read_yaml(path: StrPath, what: str = "a YAML file") -> Any:
    """Read a file; see `parse_yaml`.

    Raises
    ------
    FormatError
        Also if the file is larger than 256 KiB.
    """
    path = as_path(path)
    if size_of(path) > _LONGEST:
        raise FormatError(f"{path}: {size_of(path):,} bytes; {what} has at most {_LONGEST:,}")
    with reading(path, what):
        text = path.read_text(encoding="utf-8")
    return parse_yaml(text, path, what)


def parse_yaml(text: str, name: object, what: str = "a YAML file") -> Any:
    """Parse YAML into plain values.

    Aliases are refused: nine lines of them stand for a billion values, which cost nothing until
    somebody prints or copies them.

    Raises
    ------
    FormatError
        If it is no YAML, names Python objects, or uses aliases.
    """
    yaml = require("yaml", "train")

    class Loader(yaml.SafeLoader):  # type: ignore[misc, name-defined]
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise FormatError(f"{name}: aliases (*) are not taken; write the value out")
            return super().compose_node(parent, index)

        def construct_yaml_int(self, node: Any) -> Any:
            value = super().construct_yaml_int(node)
            if not -_INT64 <= value < _INT64:
                raise FormatError(f"{name}: a number of more than 64 bits")
            return value

    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
    with reading(name, what):
        return yaml.load(text, Loader)
