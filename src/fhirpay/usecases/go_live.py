"""A feed that was backfilled goes live: a look at what would be asked for, a person's word, then account by account.

Called by `fhirpay cutover go-live`. `go_live` keeps who and why, and queues the rest: `GoLive` assesses the feed's
accounts anew, a few in each unit, and after a crash goes on from where it was. What it has not reached yet stays on
hold. `outlook` does the same units and rolls each of them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import bindparam, or_, select

from ..billing import cutover, rows, store
from ..billing.cutover import Stage, openings
from ..billing.rows import ObligationView, obligations
from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain.money import Money
from ..domain.obligation import ObligationState
from ..flow.lane import Work, complete
from ..log import Log
from ..outbox import add
from .collect import reassess_accounts
from .cutover import Standing, Sums, spoken_of, stage_of, standing

log = Log("cutover")

KIND = "go_live"
SLICE = 20  # accounts in a unit
_AGAIN = timedelta(minutes=5)  # once more, for accounts that became known while the feed went live

_OPENED = (
    select(openings.c.opening_id)
    .where(openings.c.tenant_id == obligations.c.tenant_id, openings.c.account_ref == obligations.c.account_ref)
    .where(openings.c.interface == bindparam("feed"))
    .exists()
)
_SPOKEN_OF = spoken_of(obligations.c.tenant_id, obligations.c.basis_key, obligations.c.account_ref)
_ACCOUNTS = (
    select(obligations.c.account_ref)
    .where(obligations.c.tenant_id == bindparam("tenant"), obligations.c.account_ref > bindparam("after"))
    .where(or_(_SPOKEN_OF, _OPENED))
    .distinct()
    .order_by(obligations.c.account_ref)
    .limit(SLICE)
)


def go_live(tx: Tx, feed: str, *, by: str, why: str, tenant: Tenant) -> Stage:
    """From now on what is not of before the watermark is asked for. Raises RuleBroken when the feed is live."""
    cutover.go_live(tx, stage_of(tx, feed, tenant), by=by, why=why)
    add(tx, KIND, f"{feed}|", [f"{KIND}:{feed}"])
    log.info("feed.live", interface=feed)
    return stage_of(tx, feed, tenant)


@dataclass(frozen=True, slots=True)
class GoLive:
    """The outbox handler of kind `go_live`."""

    units: Units
    tenant: Tenant

    async def run(self, work: Work) -> None:
        await self.units.write(self._run, work)

    def _run(self, tx: Tx, work: Work) -> None:
        feed, _, after = work.ref.partition("|")
        complete(tx, work)
        refs = _next_accounts(tx, feed, after)
        if refs:
            add(tx, KIND, f"{feed}|{refs[-1]}", [f"{KIND}:{feed}"])
        else:
            add(tx, KIND, f"{feed}|", [f"{KIND}:{feed}"], tx.now + _AGAIN, once_key=f"{KIND}:{feed}:again")
        reassess_accounts(tx, refs, self.tenant)


def _next_accounts(tx: Tx, feed: str, after: str) -> list[str]:
    return [row["account_ref"] for row in tx.all(_ACCOUNTS, feed=feed, after=after)]


# ── a look before ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Outlook:
    """What going live would make askable, by basis: at once, and from a later day on. `standing`: as it is now."""

    standing: Standing
    accounts: int
    at_once: dict[str, Sums]
    later: dict[str, Sums]

    @property
    def lines(self) -> list[str]:
        found = [*self.standing.lines, f"going live asks for money on {self.accounts} accounts"]
        found += [f"   at once, {basis}: {sums}" for basis, sums in sorted(self.at_once.items())]
        found += [f"   from a later day on, {basis}: {sums}" for basis, sums in sorted(self.later.items())]
        if not self.standing.balances.count:
            found.append("   no opening balance was imported: what was owed before the watermark is not asked for")
        return found


@dataclass(frozen=True, slots=True)
class _Asked:
    account_ref: str
    basis: str
    amount: Money
    at_once: bool


class _Seen(Exception):
    """How a look ends without leaving anything."""

    def __init__(self, last: str, asked: list[_Asked]) -> None:
        super().__init__()
        self.last = last
        self.asked = asked


async def outlook(units: Units, tenant: Tenant, feed: str) -> Outlook:
    """What `go_live` would come to at this moment. Raises as it would."""
    now = await units.read(lambda tx: standing(tx, stage_of(tx, feed, tenant), tenant))
    found, last = Outlook(now, 0, {}, {}), ""
    accounts = set[str]()
    while True:
        try:
            await units.write(_look, feed, last, tenant)
        except _Seen as seen:
            for one in seen.asked:
                accounts.add(one.account_ref)
                (found.at_once if one.at_once else found.later).setdefault(one.basis, Sums()).add(one.amount)
            if not (last := seen.last):
                return Outlook(now, len(accounts), found.at_once, found.later)


def _look(tx: Tx, feed: str, after: str, tenant: Tenant) -> None:
    cutover.go_live(tx, stage_of(tx, feed, tenant), by="looked at", why="looked at")
    refs = _next_accounts(tx, feed, after)
    rows.lock(tx, refs)
    asked: list[_Asked] = []
    for ref in refs:
        before = {one.obligation_id: one for one in store.obligations_of(tx, ref)}
        for one in store.reassess(tx, ref, tenant).obligations:
            asked += _more(before.get(one.obligation_id), one)
    raise _Seen(refs[-1] if refs else "", asked)


def _more(before: ObligationView | None, after: ObligationView) -> Iterator[_Asked]:
    """What may be asked of it that might not be before."""
    was = before.askable if before else Money.zero(after.askable.currency)
    if after.askable > was:
        yield _Asked(after.account_ref, after.basis_kind, after.askable - was, at_once=True)
    elif after.state is ObligationState.COLLECTABLE and not after.askable:
        rest = after.patient - after.paid - after.in_flight
        if rest.minor > 0 and (before is None or before.state is not ObligationState.COLLECTABLE):
            yield _Asked(after.account_ref, after.basis_kind, rest, at_once=False)
