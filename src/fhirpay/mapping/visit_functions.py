"""Named functions of what was done and found at a visit (DG1, PR1, IN3) and of messages about the message itself.

Entered in `functions.FUNCTIONS`, which is what mapping files may call. Each takes the Context and the places that its
addresses lead to, as those do.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from .context import Context
from .datatypes import TYPES, Options
from .paths import Path, Slot
from .times import has_time

Paths = Sequence[Path]


def numbered(ctx: Context, paths: Paths) -> str | None:
    """The id of what stands inside its visit: `dg1-2` for the second DG1."""
    standing = ctx.standing
    return f"{standing.name.lower()}-{standing.index}" if standing is not None else None


def numbered_reference(ctx: Context, paths: Paths) -> str | None:
    """A reference to what `numbered` named."""
    return f"#{numbered(ctx, paths)}"


def coded_with_text(ctx: Context, paths: Paths) -> dict[str, Any] | None:
    """A coded field; a second field is its text where it has none of its own."""
    coded, text = paths
    slot = ctx.valued([coded])
    found = TYPES["CodeableConcept"](slot, ctx, Options()) if slot is not None else None
    said = ctx.text(text)
    return {**(found or {}), "text": said} if said and "text" not in (found or {}) else found


def performed_at(ctx: Context, paths: Paths) -> str | None:
    """When a procedure was done, where no length makes it a period."""
    if _begins(ctx, paths) is not None:
        return None
    slot = ctx.valued(paths[:1])
    return TYPES["dateTime"](slot, ctx, Options()) if slot is not None else None


def performed_period(ctx: Context, paths: Paths) -> dict[str, Any] | None:
    """A procedure's start (to the minute) and, its minutes later, its end."""
    found = _begins(ctx, paths)
    if found is None:
        return None
    start, minutes = found
    return {"start": start, "end": (datetime.fromisoformat(start) + timedelta(minutes=minutes)).isoformat()}


def _begins(ctx: Context, paths: Paths) -> tuple[str, int] | None:
    at, minutes = ctx.valued(paths[:1]), ctx.text(paths[1])
    if at is None or not has_time(at.text) or not minutes.isdecimal() or len(minutes) > 5:
        return None
    start = TYPES["dateTime"](at, ctx, Options())
    return (start, int(minutes)) if start else None


def case_manager(ctx: Context, paths: Paths) -> str | None:
    """IN3-21 of the IN3 that follows the IN1 we stand on, before the next IN1."""
    standing, inside = ctx.segment("IN1"), False
    for segment in ctx.message.all_segments():
        if segment.name == "IN1":
            inside = standing is not None and segment.index == standing.index
        elif segment.name == "IN3" and inside:
            return Slot(segment, 21).text or None
    return None


def case_manager_reference(ctx: Context, paths: Paths) -> str | None:
    """A reference to the team that `case_manager` is of."""
    return "#case-management" if case_manager(ctx, paths) else None
