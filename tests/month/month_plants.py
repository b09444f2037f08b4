"""What an error is that is planted into a month, and what those who plant them share.

A plant is where it goes and by what it is to be found: a kind of kinds.toml and the amount that its `hook` gives back.
The hook changes what a processor lists, a bank writes, an EHR has or a hand does in a database, never the program, and
says in `world.apart` how far the books are from the plan's until somebody puts it right.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from month_places import Act

from fhirpay.errors import FhirpayError
from fhirpay.simulators.processor_books import Books, Doc

if TYPE_CHECKING:
    from month_world import MonthWorld

Hook = Callable[["MonthWorld", Act], Awaitable["int | None"]]
ONE_EACH = ("pay_out", "bank_file")  # acts that bear one error each
BEFORE = ("bag",)  # acts before which it is planted
NOT_OPEN = ""  # as a kind: it is refused, or found otherwise than by an open item


@dataclass(frozen=True)
class Plant:
    """`hook` is called after an act of this kind at this place (a bank's file: before it is sent), from that workday of
    the plan on, until it says by what amount the error is found; None: it doesn't fit here. `whole`: it needs more days
    than ten."""

    name: str
    kind: str
    act: str
    place: str
    day: int
    hook: Hook
    whole: bool = False


@dataclass(frozen=True)
class Error:
    """What was planted, and the open item by which it is to be found: that kind, that amount, and no other."""

    name: str
    kind: str
    cents: int


def payout(world: MonthWorld, act: Act) -> tuple[Books, Doc]:
    """That an act has made."""
    books = world.books(act.place)
    return books, books.get("payout", world.known[act.name])


def captured(books: Books, payout: str) -> Doc | None:
    """The largest payment in it."""
    lines = [one for one in books.lines(payout=payout) if one["type"] == "capture"]
    return max(lines, key=lambda one: (one["amount"], one["id"]), default=None)


def count(world: MonthWorld, table: str) -> int:
    return int(world.inline.raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


async def refused(world: MonthWorld, name: str, taking: Awaitable[Any]) -> None:
    """It is to be refused, and what its sender is told is kept."""
    try:
        await taking
    except FhirpayError as error:
        says = error.location or ""
        world.refused[name] = f"{error.code} at {says}: {error.message}"
    else:
        world.wrong.append(f"{name}: it was taken")
