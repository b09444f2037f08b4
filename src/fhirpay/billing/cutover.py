"""Feeds that are taken over from another system: where each stands, and what of it is of before its watermark.

`note` is called in the unit that writes what a feed says, `of_facts` by store.reassess, the rest by
usecases/cutover.py. A feed has a watermark by its configuration (`Interface.watermark`); from then on it is kept here
too, so that a line deleted there makes nothing askable. Going live fixes the watermark for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import RowMapping, bindparam, case, select, update
from sqlalchemy.dialects.postgresql import insert

from ..config import Tenant
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import Conflict, NotFound, RuleBroken
from ..fhir.store import Stored
from .elements import Resource, at, day_of
from .facts import AccountFacts, CopayDue, Opening
from .tables import CutoverSeen, CutoverStage, OpeningBalance

stages, seen, openings = table(CutoverStage), table(CutoverSeen), table(OpeningBalance)
_TENANT = bindparam("tenant")
_STAGES = select(stages).where(stages.c.tenant_id == _TENANT).order_by(stages.c.interface, stages.c.number)
_SAY = insert(stages).on_conflict_do_nothing()
_SEEN = select(seen).where(seen.c.tenant_id == _TENANT, seen.c.ref.in_(bindparam("refs", expanding=True)))
_NEW = insert(seen)
_SEE = _NEW.on_conflict_do_update(
    index_elements=["tenant_id", "ref", "interface"],
    set_={
        "first_day": case(
            (seen.c.first_day.is_(None), _NEW.excluded.first_day),
            (_NEW.excluded.first_day < seen.c.first_day, _NEW.excluded.first_day),
            else_=seen.c.first_day,
        )
    },
)
_OPENINGS = (
    select(openings)
    .where(openings.c.tenant_id == _TENANT, openings.c.account_ref == bindparam("account"))
    .order_by(openings.c.opening_id)
)
_OPEN = insert(openings).on_conflict_do_nothing()
_BY_REFERENCE = select(openings).where(openings.c.tenant_id == _TENANT, openings.c.reference == bindparam("reference"))
_SPEAKS_OF = frozenset({"ChargeItem", "Invoice", "Encounter", "Appointment", "PaymentReconciliation", "Account"})


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a feed stands. `live_since`: when it went live; None: it is backfilled, and nothing is asked for."""

    feed: str
    watermark: date
    live_since: datetime | None = None
    said_by: str = ""
    said_why: str = ""
    number: int = 0  # of its row; 0: the configuration says so, and nothing has come in

    @property
    def live(self) -> bool:
        return self.live_since is not None

    @property
    def says(self) -> str:
        return f"of before {self.watermark}, from when on '{self.feed}' is collected here"


# ── where a feed stands ───────────────────────────────────────────────────────────────────────────────────────────────


def stages_of(tx: Tx, tenant: Tenant) -> dict[str, Stage]:
    """The feeds that have a watermark. What is kept counts before the configuration, once a feed is live."""
    found: dict[str, Stage] = {}
    for row in tx.all(_STAGES, tenant=tx.tenant):
        found[row["interface"]] = Stage(
            feed=row["interface"],
            watermark=date.fromisoformat(row["watermark"]),
            live_since=row["said_at"] if row["stage"] == "live" else None,
            said_by=row["said_by"],
            said_why=row["said_why"],
            number=row["number"],
        )
    for interface in tenant.interfaces:
        if interface.watermark is None:
            continue
        known = found.get(interface.name)
        if known is None:
            found[interface.name] = Stage(interface.name, interface.watermark)
        elif not known.live and known.watermark != interface.watermark:
            found[interface.name] = replace(known, watermark=interface.watermark)
    return found


def go_live(tx: Tx, stage: Stage, *, by: str, why: str) -> None:
    """From now on what is not of before the watermark is asked for. Raises RuleBroken, or Conflict in a race."""
    if stage.live:
        raise RuleBroken(f"'{stage.feed}' went live on {stage.live_since:%Y-%m-%d}, by {stage.said_by}")
    if not by.strip() or not why.strip():
        raise RuleBroken("going live needs a name and a reason: both are kept")
    if not _say(tx, stage, "live", by=by, why=why):
        raise Conflict(f"somebody else has just said where '{stage.feed}' stands: look, and try again")


def _say(tx: Tx, stage: Stage, what: str, *, by: str = "", why: str = "") -> bool:
    row = {"tenant_id": tx.tenant, "interface": stage.feed, "number": stage.number + 1, "stage": what}
    row |= {"watermark": stage.watermark.isoformat(), "said_by": by, "said_why": why, "said_at": tx.now}
    return tx.put(_SAY, row) == 1


# ── what a feed has spoken of ─────────────────────────────────────────────────────────────────────────────────────────


def note(tx: Tx, feed: str, written: Iterable[Stored], tenant: Tenant) -> None:
    """In the unit that writes what this feed says: keep the earliest day of service that it ever gives for it."""
    known = stages_of(tx, tenant)
    stage = known.get(feed)
    if stage is None:
        return
    if stage.number == 0 or (not stage.live and _kept_watermark(tx, feed) != stage.watermark):
        _say(tx, stage, "backfill", why="the configuration says so")
    zone = _zone(tenant, feed)
    for one in written:
        if one.type in _SPEAKS_OF:
            day = _first_day(one.resource, zone)
            row = {"tenant_id": tx.tenant, "ref": one.reference, "interface": feed, "seen_at": tx.now}
            tx.put(_SEE, {**row, "first_day": day.isoformat() if day else None})


def carry_over(tx: Tx, old: str, new: str) -> None:
    """Accounts were merged: what spoke of the one speaks of the other."""
    for row in tx.all(_SEEN, refs=[old]):
        tx.put(_SEE, {**row, "ref": new})


def _kept_watermark(tx: Tx, feed: str) -> date:
    row = [one for one in tx.all(_STAGES, tenant=tx.tenant) if one["interface"] == feed][-1]
    return date.fromisoformat(row["watermark"])


def _zone(tenant: Tenant, feed: str) -> ZoneInfo:
    named = next((one.facility for one in tenant.interfaces if one.name == feed), "")
    facilities = {one.name: one.zone for one in tenant.facilities}
    return ZoneInfo(facilities.get(named) or next(iter(facilities.values()), "UTC"))


def _first_day(resource: Resource, zone: ZoneInfo) -> date | None:
    match resource.get("resourceType"):
        case "ChargeItem":
            period = resource.get("occurrencePeriod")
            when = resource.get("occurrenceDateTime") or at(period, "start") or at(period, "end")
        case "Invoice":
            when = resource.get("date")
        case "Encounter":
            when = at(resource, "period", "start")
        case "Appointment":
            when = resource.get("start")
        case "PaymentReconciliation":
            when = resource.get("paymentDate")
        case _:
            when = None
    return day_of(when, zone, first=True)


# ── what that means for an account ────────────────────────────────────────────────────────────────────────────────────


def of_facts(tx: Tx, facts: AccountFacts, tenant: Tenant) -> AccountFacts:
    """The facts, with what is of before a watermark, what waits for a feed to go live, and opening balances."""
    known = stages_of(tx, tenant)
    if not known:
        return facts
    spoken: dict[str, list[tuple[Stage, RowMapping]]] = {}
    for row in tx.all(_SEEN, refs=sorted({*_refs(facts), *(ref for one in facts.elsewhere for ref in _refs(one))})):
        if row["interface"] in known:
            spoken.setdefault(row["ref"], []).append((known[row["interface"]], row))
    found = replace(_apart(facts, spoken), openings=openings_of(tx, facts.ref))
    waiting = {ref: stage.feed for ref, rows in spoken.items() for stage, _ in rows if not stage.live}
    waiting |= {one.opening_id: one.feed for one in found.openings if one.feed in known and not known[one.feed].live}
    late = {ref for ref, rows in spoken.items() for stage, row in rows if _came_late(stage, row)}
    elsewhere = tuple(_apart(one, spoken) for one in found.elsewhere)
    return replace(found, elsewhere=elsewhere, waiting=waiting, late=frozenset(late))


def payments_before(tx: Tx, refs: Iterable[str], tenant: Tenant) -> dict[str, bool]:
    """Which of these PaymentReconciliations are of before their feed's watermark: an opening balance holds them. Each
    with whether it came after the feed had gone live, so that nobody may have counted it."""
    known = stages_of(tx, tenant)
    found: dict[str, bool] = {}
    for row in tx.all(_SEEN, refs=sorted(set(refs))) if known else ():
        stage = known.get(row["interface"])
        if stage is not None and (row["first_day"] is None or row["first_day"] < stage.watermark.isoformat()):
            found[row["ref"]] = _came_late(stage, row)
    return found


_Spoken = Mapping[str, list[tuple[Stage, RowMapping]]]


def _refs(facts: AccountFacts) -> Iterator[str]:
    yield facts.ref
    for one in (*facts.charges, *facts.invoices, *facts.visits, *facts.relief):
        yield one.ref
    yield from (copay.visit for copay in facts.copays if copay.visit)


def _came_late(stage: Stage, row: RowMapping) -> bool:
    return stage.live_since is not None and row["seen_at"] >= stage.live_since


def _apart(facts: AccountFacts, spoken: _Spoken) -> AccountFacts:
    before: dict[str, str] = {}
    for one in facts.charges:
        before |= _by_day(one.ref, spoken, undated=True)
    for one in facts.invoices:
        # One without a date is judged by its lines; what came in while its feed was backfilled is history.
        undated = any(not _came_late(stage, row) for stage, row in spoken.get(one.ref, ()))
        before |= _by_day(one.ref, spoken, undated=undated)
    for one in facts.visits:
        days = [charge.ref for charge in facts.charges if charge.visit == one.ref]
        undated = not days or any(ref in before for ref in days)
        before |= _by_day(one.ref, spoken, undated=undated)
    copays = tuple(replace(one, before=_copay_before(one, facts.ref, spoken, before)) for one in facts.copays)
    relief = tuple(one for one in facts.relief if not _by_day(one.ref, spoken, undated=True))
    return replace(facts, before=before, copays=copays, relief=relief)


def _by_day(ref: str, spoken: _Spoken, *, undated: bool) -> dict[str, str]:
    for stage, row in spoken.get(ref, ()):
        if undated if row["first_day"] is None else row["first_day"] < stage.watermark.isoformat():
            return {ref: stage.says}
    return {}


def _copay_before(copay: CopayDue, account_ref: str, spoken: _Spoken, before: Mapping[str, str]) -> bool:
    """By its own day; without one by its visit's."""
    feeds = [stage for ref in (account_ref, copay.visit) for stage, _ in spoken.get(ref, ())]
    if not feeds:
        return False
    if copay.day is not None:
        return any(copay.day < stage.watermark for stage in feeds)
    return copay.visit in before if copay.visit in spoken else True


# ── opening balances ──────────────────────────────────────────────────────────────────────────────────────────────────


def openings_of(tx: Tx, account_ref: str) -> tuple[Opening, ...]:
    """Those of an account, also what was taken back."""
    return tuple(opening(row) for row in tx.all(_OPENINGS, account=account_ref))


def opening(row: RowMapping) -> Opening:
    back = row["taken_back_by"]
    return Opening(
        opening_id=row["opening_id"],
        reference=row["reference"],
        amount=Money(row["amount_minor"], row["currency"]),
        feed=row["interface"],
        imported_by=row["imported_by"],
        taken_back=f"{back}: {row['taken_back_why']}" if back else "",
    )


def by_reference(tx: Tx, reference: str) -> RowMapping | None:
    """The opening balance of this reference, also one that was taken back."""
    return tx.one(_BY_REFERENCE, reference=reference)


def add_opening(
    tx: Tx, *, reference: str, feed: str, account_ref: str, number: str, amount: Money, by: str, why: str
) -> bool:
    """Under the account's lock. False: that reference is there already."""
    row = {"tenant_id": tx.tenant, "opening_id": tx.ids.new("bal"), "reference": reference, "interface": feed}
    row |= {"account_ref": account_ref, "number": number, "currency": amount.currency, "amount_minor": amount.minor}
    row |= {"imported_by": by, "imported_why": why, "imported_at": tx.now}
    return tx.put(_OPEN, row) == 1


def take_back(tx: Tx, reference: str, *, by: str, why: str) -> str:
    """It was wrong; its account. Raises NotFound, or RuleBroken when it was taken back before."""
    if not by.strip() or not why.strip():
        raise RuleBroken("taking an opening balance back needs a name and a reason: both are kept with it")
    where = (openings.c.tenant_id == tx.tenant, openings.c.reference == reference, openings.c.taken_back_at.is_(None))
    values = {"taken_back_by": by, "taken_back_why": why, "taken_back_at": tx.now}
    account_ref = tx.scalar(update(openings).where(*where).values(values).returning(openings.c.account_ref))
    if account_ref is None:
        known = by_reference(tx, reference)
        if known is None:
            raise NotFound(f"there is no opening balance '{reference}'")
        raise RuleBroken(f"'{reference}' was taken back by {known['taken_back_by']}: {known['taken_back_why']}")
    return account_ref
