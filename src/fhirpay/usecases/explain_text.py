"""A chain as people read it, a tree of lines; and as programs do, JSON. Pure; used by explain.py, the CLI and the demo.

A node is one thing with an id: a message, a resource, an obligation, a payment, an entry, a posting. To show more of
a kind of thing, put it into its node in explain.py; nothing here knows kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Node:
    """One thing in the chain. `says` is its line; `notes` are sentences under it; `facts` is what JSON shows."""

    kind: str
    id: str
    says: str
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    children: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Chain:
    """Everything that hangs together with the id that was asked for."""

    asked: str
    found_as: str  # "the payment pay…", "MSH-10 of …"
    roots: tuple[Node, ...]

    def as_json(self) -> dict[str, Any]:
        return {"asked": self.asked, "foundAs": self.found_as, "chain": [_json(node) for node in self.roots]}

    def as_text(self) -> str:
        lines = [f"{self.asked} is {self.found_as}"]
        for root in self.roots:
            lines += ["", *_lines(root)]
        return "\n".join(lines)


def _json(node: Node) -> dict[str, Any]:
    shown: dict[str, Any] = {"kind": node.kind, "id": node.id, "says": node.says, **node.facts}
    if node.notes:
        shown["notes"] = list(node.notes)
    if node.children:
        shown["then"] = [_json(child) for child in node.children]
    return shown


def _lines(node: Node) -> Iterator[str]:
    yield node.says
    below = "│  " if node.children else "   "
    for note in node.notes:
        yield f"{below}{note}"
    for index, child in enumerate(node.children):
        last = index == len(node.children) - 1
        first, rest = ("└─ ", "   ") if last else ("├─ ", "│  ")
        for number, line in enumerate(_lines(child)):
            yield (rest if number else first) + line
