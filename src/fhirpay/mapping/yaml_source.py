"""YAML → plain values plus the line of each, strict where YAML is not: no `NO` that is false, no number that is a
float, no key that is there twice, no date that is guessed. Read by `loader` and the sample interface.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigInvalid

Place = tuple[str | int, ...]
# libyaml's reader, where it was built in, makes every start a quarter of a second shorter.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Source:
    """A file's content, and where in the file each part stands."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._lines: dict[Place, int] = {(): 1}
        try:
            node = yaml.compose(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            line = mark.line + 1 if mark else 1
            raise ConfigInvalid(f"not YAML: {error.problem or error.context}", location=f"{name}:{line}") from None
        except yaml.YAMLError as error:
            raise ConfigInvalid(f"not YAML: {error}", location=name) from None
        self.content: Any = None if node is None else self._value(node, ())

    @classmethod
    def read(cls, path: Path, name: str) -> Source:
        try:
            return cls(name, path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise ConfigInvalid("not UTF-8", location=name) from None

    def line(self, place: Place) -> int:
        """The line of this part, or of the nearest part around it."""
        while place and place not in self._lines:
            place = place[:-1]
        return self._lines[place]

    def at(self, place: Place) -> str:
        return f"{self.name}:{self.line(place)}"

    def _value(self, node: yaml.Node, place: Place) -> Any:
        self._lines[place] = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = str(key_node.value)
                line = key_node.start_mark.line + 1
                if key in found:
                    raise ConfigInvalid(f"'{key}' is there twice: keep one", location=f"{self.name}:{line}")
                found[key] = self._value(value_node, (*place, key))
                self._lines[(*place, key)] = line
            return found
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*place, number)) for number, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        return _scalar(node)


def _scalar(node: yaml.ScalarNode) -> Any:
    text = node.value
    if node.style:  # quoted, or a block: it is text
        return text
    if text in ("true", "false"):
        return text == "true"
    if text in ("null", "~", ""):
        return None
    if node.tag.endswith(":int"):
        return int(text) if text.lstrip("+-").isdecimal() else text
    if node.tag.endswith(":float"):
        return Decimal(text)
    return text
