"""What a processor's list of its own events is read by: for an event that was never delivered. Adapters implement it.

Optional, as the other protocols of port.py. A list is read from the newest event back, page by page, so what happens
meanwhile stands in front of the page that comes next; usecases/sweep.py keeps the place. The list is asked over our
own connection with our own key: that it is the processor's word needs no signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from .port import ProcessorEvent


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events, newest first. `cursor` leads to those before them; empty: there are none.

    An event without a `body` is known by its id only, and is read by `read_listed`.
    """

    events: tuple[ProcessorEvent, ...]
    cursor: str = ""


@runtime_checkable
class EventList(Protocol):
    """A processor whose events can be listed afterwards."""

    events_reach: timedelta  # how far back its list goes

    async def list_events(self, since: datetime, until: datetime, cursor: str) -> EventPage:
        """The events of that time; the same times with every cursor. Raises ProcessorUnavailable for what can't be
        listed or read now: an event that is left out would be missed for good."""
        ...

    async def read_listed(self, event: ProcessorEvent) -> ProcessorEvent:
        """An event of a page whole, with its body. Raises ProcessorUnavailable."""
        ...
