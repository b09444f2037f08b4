"""What the program is told of the practice, and what it runs on: its configuration, a clock that stands, a database."""

from __future__ import annotations

import sqlite3
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from month_bank import BANKS
from month_places import PLACES

from fhirpay.config import AgreedFees, ApiClient, Connection, Facility, FeeRate, Interface, Merchant, Tenant, Till
from fhirpay.config_in_transit import InTransit
from fhirpay.db.inline import InlineDatabase
from fhirpay.db.migrations import migrate
from sim_time import SeededIds

TOKEN, EHR_TOKEN, SECRET = "month-token", "ehr-month", "whsec_month"
GOOD, DECLINED = "4242424242424242", "4000000000000002"
ACCOUNTS = {
    "bank": "000123456789",
    "bank_returns": "000222222227",
    "bank_changes": "000333333333",
    "bank_fails": "000111111116",
}
Json = dict[str, Any]
RATE = FeeRate(percent="2.9", fixed="0.30")  # of cards and of bank debits


class Clock:
    """It stands still until it is set."""

    def __init__(self) -> None:
        self.at = datetime.fromisoformat("2026-03-01T00:00:00+00:00")

    def now(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()


class Lives(Protocol):
    """Whose clock and ids they are."""

    clock: Clock
    ids: SeededIds


class Stage:
    """What the months of one process share, one after the other: a database whose statements are compiled once."""

    _only: Stage | None = None

    def __init__(self) -> None:
        self.world: Lives | None = None
        with tempfile.TemporaryDirectory() as folder:
            migrate(f"sqlite:///{folder}/template.db")
            template = sqlite3.connect(f"{folder}/template.db")
            self._template = sqlite3.connect(":memory:")
            template.backup(self._template)
            template.close()
        self.inline = InlineDatabase(Path(":memory:"), clock=self, ids=self)

    @classmethod
    def set_for(cls, world: Lives) -> InlineDatabase:
        """An empty one."""
        if cls._only is None:
            cls._only = cls()
        cls._only._template.backup(cls._only.inline.raw)
        cls._only.world = world
        return cls._only.inline

    def now(self) -> datetime:
        assert self.world is not None
        return self.world.clock.now()

    def new(self, kind: str) -> str:
        assert self.world is not None
        return self.world.ids.new(kind)

    def secret(self) -> str:
        assert self.world is not None
        return self.world.ids.secret()


def tenant() -> Tenant:
    return Tenant(
        name="main",
        facilities=tuple(
            Facility(name=one.name, zone=one.zone, merchant=one.name, organization=one.name, bill_hold_days=0)
            for one in PLACES
        ),
        interfaces=tuple(
            Interface(
                name=one.name,
                facility=one.name,
                namespace=f"urn:{one.name}",
                account_key="PID-18",
                co_means="due",
                carries_coverage=True,
                self_pay_classes=("SP",),
                payment_sign="positive",
                payments_from="patient",
            )
            for one in PLACES
        ),
        merchants=tuple(
            Merchant(
                name=one.name,
                processor="simulated",
                base_url=f"https://{one.name}.test",
                secret_key=f"sk_{one.name}",
                webhook_secrets=(SECRET,),
                pay_by=("card", "bank"),
                fees=(AgreedFees(card=(RATE,), ach=(RATE,), dispute="15.00", ach_return="4.00"),),
            )
            for one in PLACES
        ),
        tills=tuple(Till(name=one.name, facility=one.name) for one in PLACES),
        in_transit=InTransit(receipt_days=3),
        bank_accounts=tuple(BANKS[one.name] for one in PLACES),
        connections=(
            Connection(
                name="ehr",
                base_url="https://ehr.test/fhir",
                token=EHR_TOKEN,
                organization="clinic",
                read_back=True,
            ),
        ),
        clients=(ApiClient(name="desk", token=TOKEN, scopes=("system/*.cruds", "hl7v2", "payments", "staff")),),
    )


def amount(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def money(cents: int) -> Json:
    return {"value": amount(cents), "currency": "USD"}
