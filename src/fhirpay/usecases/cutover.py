"""Where a feed stands that is taken over from another system: its watermark, what is off, what waits. Reads alone.

Called by `fhirpay cutover status`, by the doctor and by go_live.py. To show another figure: a statement of counts and
sums by currency, and a line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam, cast, func, not_, or_, select

from ..billing.cutover import Stage, openings, seen, stages_of
from ..billing.holds import NOT_LIVE
from ..billing.rows import obligations
from ..config import Tenant
from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.obligation import ObligationState
from ..errors import ConfigInvalid
from ..fhir.tables import ResourceRow
from ..inbox.tables import InboxRow

_resource, _message = table(ResourceRow), table(InboxRow)
_FEED = bindparam("feed")


def _sums_of(of: Any, minor: Any, *where: ColumnElement[bool]) -> Any:
    columns = of.c.currency, func.count().label("count"), cast(func.sum(minor), BigInteger).label("minor")
    mine = of.c.tenant_id == bindparam("tenant")
    return select(*columns).where(mine, *where).group_by(of.c.currency).order_by(of.c.currency)


def spoken_of(tenant: Any, *refs: Any) -> ColumnElement[bool]:
    """Whether the feed has spoken of one of these."""
    its = select(seen.c.ref).where(seen.c.tenant_id == tenant, seen.c.interface == _FEED)
    return its.where(or_(*(seen.c.ref == ref for ref in refs))).exists()


_OPENING = (
    select(openings.c.opening_id)
    .where(openings.c.tenant_id == obligations.c.tenant_id, openings.c.opening_id == obligations.c.basis_key)
    .where(openings.c.interface == _FEED)
    .exists()
)
_ITS = spoken_of(obligations.c.tenant_id, obligations.c.basis_key)
_MEMOS = _sums_of(obligations, obligations.c.memo_minor, obligations.c.memo_minor > 0, _ITS)
_ON_HOLD = (obligations.c.state == str(ObligationState.ON_HOLD), obligations.c.hold == NOT_LIVE)
_WAITS = _sums_of(obligations, obligations.c.patient_minor, *_ON_HOLD, or_(_ITS, _OPENING))
_STANDS = (openings.c.interface == _FEED, openings.c.taken_back_at.is_(None))
_BALANCES = _sums_of(openings, openings.c.amount_minor, *_STANDS)
_UNCOVERED = (
    select(func.count())
    .select_from(_resource)
    .where(_resource.c.tenant_id == bindparam("tenant"), _resource.c.type == "ChargeItem")
    .where(_resource.c.source.like(bindparam("source")))
    .where(not_(spoken_of(_resource.c.tenant_id, "ChargeItem/" + _resource.c.resource_id)))
)
_PARKED = (
    select(func.count())
    .select_from(_message)
    .where(_message.c.tenant_id == bindparam("tenant"), _message.c.interface == _FEED, _message.c.state == "parked")
)


@dataclass(slots=True)
class Sums:
    """How many, and how much in each currency."""

    count: int = 0
    by_currency: dict[str, Money] = field(default_factory=dict[str, Money])

    def add(self, amount: Money, count: int = 1) -> None:
        self.count += count
        known = self.by_currency.get(amount.currency)
        self.by_currency[amount.currency] = amount if known is None else known + amount

    def __str__(self) -> str:
        if not self.count:
            return "none"
        return f"{self.count} of {' and '.join(str(one) for _, one in sorted(self.by_currency.items()))}"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a feed stands. `memos` are of before the watermark; `waits` is to be asked for once it is live."""

    stage: Stage
    memos: Sums
    waits: Sums
    balances: Sums
    parked: int
    uncovered: int  # charges that came in before the watermark was set: it doesn't hold them back
    configured: str  # what the configuration says otherwise; empty: nothing

    @property
    def lines(self) -> list[str]:
        stage, says = self.stage, "backfilled: nothing is asked for"
        if stage.live_since is not None:
            says = f"live since {stage.live_since:%Y-%m-%d %H:%M} UTC, by {stage.said_by}: {stage.said_why}"
        found = [f"{stage.feed}: watermark {stage.watermark}, {says}"]
        found.append(f"   of before the watermark, shown and never asked for: {self.memos}")
        found.append(f"   opening balances: {self.balances}")
        found += [] if stage.live else [f"   waits for going live: {self.waits}"]
        return found + [f"   {one}" for one in self.warnings]

    @property
    def matters(self) -> list[str]:
        """What the doctor says of it."""
        waits = f"backfilled, and nothing is asked for: {self.waits} waits for going live"
        return self.warnings if self.stage.live else [waits, *self.warnings]

    @property
    def warnings(self) -> list[str]:
        found: list[str] = []
        if self.configured:
            found.append(f"the configuration says {self.configured}: the watermark of {self.stage.watermark} holds")
        if self.uncovered:
            says = f"{self.uncovered} charges came in before the watermark was set, which doesn't hold them back yet"
            found.append(f"{says}: fhirpay replay --interface {self.stage.feed} --until …")
        if self.parked:
            found.append(f"{self.parked} messages are parked: nothing is asked for on their accounts")
        return found


def standings(tx: Tx, tenant: Tenant) -> list[Standing]:
    """Every feed that has a watermark."""
    return [standing(tx, stage, tenant) for _, stage in sorted(stages_of(tx, tenant).items())]


def standing(tx: Tx, stage: Stage, tenant: Tenant) -> Standing:
    configured = next((one.watermark for one in tenant.interfaces if one.name == stage.feed), None)
    differs = "" if configured == stage.watermark else str(configured or "none")
    return Standing(
        stage=stage,
        memos=_sums(tx, _MEMOS, stage),
        waits=_sums(tx, _WAITS, stage),
        balances=_sums(tx, _BALANCES, stage),
        parked=int(tx.scalar(_PARKED, feed=stage.feed)),
        uncovered=int(tx.scalar(_UNCOVERED, feed=stage.feed, source=f"urn:fhirpay:{stage.feed}#%")),
        configured=differs,
    )


def _sums(tx: Tx, statement: Any, stage: Stage) -> Sums:
    found = Sums()
    for row in tx.all(statement, feed=stage.feed):
        found.add(Money(row["minor"], row["currency"]), row["count"])
    return found


def stage_of(tx: Tx, feed: str, tenant: Tenant) -> Stage:
    """Raises ConfigInvalid for a feed without a watermark, and for one that there is not."""
    stage = stages_of(tx, tenant).get(feed)
    if stage is None:
        tenant.interface(feed)
        raise ConfigInvalid(f"interface '{feed}' has no watermark: set `watermark` before its first message")
    return stage
