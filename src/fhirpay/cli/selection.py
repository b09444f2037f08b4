"""Which messages a command means: the same options for `fhirpay messages` and `fhirpay replay`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from ..config import Tenant
from ..errors import ConfigInvalid
from ..inbox.search import Selector

PatientOption = Annotated[str, typer.Option("--patient", help="An identifier of the patient, or the name.")]
AccountOption = Annotated[str, typer.Option("--account", help="The account's number.")]
ControlIdOption = Annotated[str, typer.Option("--control-id", help="MSH-10, or an event's id.")]
TypeOption = Annotated[str, typer.Option("--type", help="DFT^P03, or DFT for all of that type.")]
StateOption = Annotated[str, typer.Option("--state", help="received, applied, parked or ignored.")]
SinceOption = Annotated[str, typer.Option("--since", help="Received then or later: 2026-11-20, or with a time.")]
UntilOption = Annotated[str, typer.Option("--until", help="Received before then.")]
STATES = ("", "received", "applied", "parked", "ignored")


def moment(text: str, tenant: Tenant) -> datetime | None:
    """A day or a moment; without an offset as the tenant's first facility counts. Raises ConfigInvalid."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigInvalid(f"'{text}' is no moment; write 2026-11-20 or 2026-11-20T15:00") from None
    zone = tenant.facilities[0].zone if tenant.facilities else "UTC"
    return found if found.tzinfo is not None else found.replace(tzinfo=ZoneInfo(zone))


def checked(wanted: Selector) -> Selector:
    """Raises ConfigInvalid for a state that there is not."""
    if wanted.state not in STATES:
        raise ConfigInvalid(f"'{wanted.state}' is no state of a message; there are:{', '.join(STATES)[1:]}")
    return wanted
