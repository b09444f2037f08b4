"""Reports read as a practice would read them: a wish in words, and the rows as CSV."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fhirpay.config import Tenant
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.reports.frame import Wish, asked, rows
from fhirpay.reports.registry import report_of
from fhirpay.reports.shown import as_csv


def on(clock: FrozenClock, moment: str) -> None:
    """It is this moment, later than before: `2026-07-01`, three in the afternoon in UTC, or `2026-12-01T03:30`."""
    found = datetime.fromisoformat(moment if "T" in moment else f"{moment}T15:00").replace(tzinfo=UTC)
    clock.advance(found - clock.now())


async def csv(units: Units, tenant: Tenant, name: str, **wish: Any) -> list[str]:
    """The report's lines, the names of its columns first."""

    def found(tx: Tx) -> list[str]:
        report = report_of(name)
        about = asked(tx, report, Wish(**wish), tenant)
        return [line.removesuffix("\r\n") for line in as_csv(report.header(about.by), rows(tx, report, about))]

    return await units.read(found)
