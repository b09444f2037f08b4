"""Named functions of `mappings/base/message.yaml`: what is said of a message as such. See functions.FUNCTIONS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .context import Context
from .paths import Path

Paths = Sequence[Path]


def message_identifier(ctx: Context, paths: Paths) -> dict[str, str] | None:
    """The message's own number, under the interface."""
    number = ctx.text(paths[0])
    return {"system": f"{ctx.system}:message", "value": number} if number else None


def message_type(ctx: Context, paths: Paths) -> str | None:
    """`ADT^A01^ADT_A01`."""
    slot = ctx.slot(paths[0])
    parts = [slot.part(component) for component in (1, 2, 3)] if slot is not None else []
    return "^".join(part for part in parts if part) or None


def message_said(ctx: Context, paths: Paths) -> str:
    """What the source has done: sent this message."""
    structure = ctx.message.get("MSH-9.3")
    return f"message - {ctx.message.label}{'^' + structure if structure else ''}"


def event_said(ctx: Context, paths: Paths) -> str:
    """What has happened there."""
    return f"event - {ctx.message.label}"


def all_that_it_says(ctx: Context, paths: Paths) -> list[dict[str, Any]] | None:
    """References to everything that the message was mapped to."""
    return [{"reference": url} for url in ctx.said] or None


def the_patient(ctx: Context, paths: Paths) -> dict[str, str] | None:
    """A reference to the message's patient."""
    return {"reference": ctx.patient} if ctx.patient else None


def unknown_where_empty(ctx: Context, paths: Paths) -> str | None:
    """Why an endpoint is absent: nothing names the application."""
    return None if ctx.valued(paths) is not None else "unknown"


def now(ctx: Context, paths: Paths) -> str:
    """When it was mapped."""
    return ctx.now
