"""Reading JSON that a server may have written anyhow: what isn't of the kind that is looked for isn't there. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a list; nothing of what is none."""
    yield from (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""
