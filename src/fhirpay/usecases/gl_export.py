"""The general journal of some days: the ledger's postings by the accounts of the practice's general ledger. Reads only.

Called by `fhirpay ledger gl`. The facility of a posting is found where it says it: its obligation's, as that was filed
when the entry was recorded; else its payment's; else that of its till; else that of its merchant, where it has but one.
All of these are kept, so the same days are the same lines again, as long as the configuration is the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy import RowMapping, func, select

from ..billing.filed_tables import FiledBeforeRow
from ..billing.tables import Obligation
from ..config import Tenant
from ..config_gl import GlAccount
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.events import Event
from ..errors import ConfigInvalid
from ..ledger.as_of import AsOf
from ..ledger.chart import CHART, Side
from ..ledger.closed import LATE
from ..ledger.journal import LEFT_OUT, DayLine, GlNumber, Journal, Leg, Mapped, by_day, journal
from ..ledger.tables import LedgerEntry, LedgerPosting
from ..payments.tables import PaymentRow

_entry, _posting = table(LedgerEntry), table(LedgerPosting)
_payment, _obligation, _former = table(PaymentRow), table(Obligation), table(FiledBeforeRow)


@dataclass(frozen=True, slots=True)
class Exported:
    """Lines by day and account; and how many entries were left out because the EHR has them."""

    lines: tuple[DayLine, ...]
    left_out: int


def gl_export(tx: Tx, tenant: Tenant, first: date, books: AsOf) -> Exported:
    """From the business day `first` to `books.day`, of the entries within its other limits.

    Raises ConfigInvalid for a mapping of what there is not, RuleBroken for an account without one.
    """
    lines: list[DayLine] = []
    left_out = 0
    for found in _journals(tx, tenant, first, books):
        lines += by_day(found.legs)
        left_out += found.left_out
    return Exported(tuple(lines), left_out)


def gl_postings(tx: Tx, tenant: Tenant, first: date, books: AsOf) -> Iterator[Mapped]:
    """Each posting of the same days, in the order of the ledger by day; a day is held at a time.

    Raises as `gl_export` does, on the day where it is so: ask that first where nothing may come out then.
    """
    for found in _journals(tx, tenant, first, books):
        yield from found.legs


def _journals(tx: Tx, tenant: Tenant, first: date, books: AsOf) -> Iterator[Journal]:
    """A day at a time."""
    mapping = _Mapping(tenant)
    days = select(_entry.c.business_date).where(
        _entry.c.tenant_id == tx.tenant, _entry.c.business_date >= first.isoformat(), *books.limits()
    )
    for row in tx.all(days.distinct().order_by(_entry.c.business_date)):
        day = row["business_date"]
        yield journal(_legs(tx, day, books, mapping), mapping, with_charges=mapping.with_charges)


def _legs(tx: Tx, day: str, books: AsOf, mapping: _Mapping) -> Iterator[Leg]:
    former = (
        select(_former.c.facility)
        .where(_former.c.tenant_id == tx.tenant, _former.c.obligation_id == _posting.c.obligation_id)
        .where(_former.c.until > _entry.c.recorded_at)
        .order_by(_former.c.revision)
        .limit(1)
        .correlate(_posting, _entry)
        .scalar_subquery()
    )
    of_payment = (_payment.c.tenant_id == _posting.c.tenant_id) & (_payment.c.payment_id == _posting.c.payment_id)
    of_obligation = (_obligation.c.tenant_id == _posting.c.tenant_id) & (
        _obligation.c.obligation_id == _posting.c.obligation_id
    )
    query = (
        select(
            *(_entry.c[name] for name in ("seq", "entry_id", "kind", "body")),
            *(_posting.c[name] for name in ("account", "side", "amount_minor", "currency")),
            *(_posting.c[name] for name in ("merchant", "till", "payment_id")),
            func.coalesce(former, _obligation.c.facility, _payment.c.facility).label("facility"),
        )
        .join(_posting, (_entry.c.tenant_id == _posting.c.tenant_id) & (_entry.c.entry_id == _posting.c.entry_id))
        .outerjoin(_payment, of_payment)
        .outerjoin(_obligation, of_obligation)
        .where(_entry.c.tenant_id == tx.tenant, _entry.c.business_date == day, *books.limits())
        .order_by(_entry.c.seq, _posting.c.line)
    )
    for row in tx.all(query):
        yield _leg(row, date.fromisoformat(day), mapping)


def _leg(row: RowMapping, day: date, mapping: _Mapping) -> Leg:
    late = json.loads(row["body"])["refs"].get(LATE, "") if f'"{LATE}"' in row["body"] else ""
    merchant, till = row["merchant"] or "", row["till"] or ""
    return Leg(
        seq=row["seq"],
        entry_id=row["entry_id"],
        event=row["kind"],
        day=day,
        late_of=late,
        account=row["account"],
        side=Side(row["side"]),
        minor=row["amount_minor"],
        currency=row["currency"],
        facility=row["facility"] or mapping.facility_of(till, merchant),
        merchant=merchant,
        till=till,
        payment=row["payment_id"] or "",
    )


class _Mapping:
    """The tenant's `gl_accounts`: of those that fit a posting, the closest."""

    def __init__(self, tenant: Tenant) -> None:
        self._lines: dict[str, list[GlAccount]] = {}
        for one in sorted(tenant.gl_accounts, key=lambda one: [not value for value in one.key]):
            if one.account not in CHART:
                raise ConfigInvalid(f"gl_accounts name '{one.account}', which is not in the chart of accounts")
            if one.event and one.event not in set(Event):
                raise ConfigInvalid(f"gl_accounts name the event '{one.event}', which there is not")
            self._lines.setdefault(one.account, []).append(one)
        self._at = {till.name: till.facility for till in tenant.tills}
        self._at |= {f"safe:{facility.name}": facility.name for facility in tenant.facilities}
        paid: dict[str, list[str]] = {}
        for facility in tenant.facilities:
            paid.setdefault(facility.merchant, []).append(facility.name)
        self._only = {merchant: names[0] for merchant, names in paid.items() if len(names) == 1}

    @property
    def with_charges(self) -> bool:
        return LEFT_OUT in self._lines

    def facility_of(self, till: str, merchant: str) -> str:
        return self._at.get(till, "") or self._only.get(merchant, "")

    def __call__(self, leg: Leg) -> GlNumber | None:
        said = (leg.account, leg.event, leg.till, leg.merchant, leg.facility)
        for one in self._lines.get(leg.account, ()):
            if all(wanted in ("", value) for wanted, value in zip(one.key, said, strict=True)):
                return GlNumber(one.number, one.title)
        return None
