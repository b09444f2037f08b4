"""Lines of payouts and payments in the ledger are compared as sets: matched, and what differs is told.

    lines ─▶ by reference, a page in SQL ─▶ by amount and day, what names nothing ─▶ payments and refunds page by page
                                                                                       └▶ what differs: a break, closed
                                                                                          once it is no longer so

Run by `fhirpay reconcile`, and once a day by the worker role. All is found by reading, page by page; the writer is
held for what is new alone, some milliseconds at a time. Running it again writes nothing. What single lines are of
nothing known here, payouts that don't add up, and what is not at the bank are told by settlement and bank matching, not
here again. Fees against what was agreed (compare_fees.py) and what is on its way for too long (age_in_transit.py) are
looked at in the same run.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ..config import Tenant
from ..db.unit import Tx, Units
from ..errors import StorageUnavailable
from ..log import Log
from ..payments import store
from ..payments.many_breaks import NewBreak, open_breaks
from ..payments.records import Break
from ..reconciliation import differences, line_matches, rules
from ..reconciliation.differences import Sums
from ..reconciliation.fee_terms import terms_of
from ..reconciliation.gaps import Gaps, account_for, open_gaps, taken_again
from ..reconciliation.rules import Nameless, Unlined
from ..reconciliation.verdicts import KINDS, judge
from . import age_in_transit, compare_fees
from .daily_look import look_daily

log = Log("reconciliation")

SOON = timedelta(minutes=20)  # after the start: what is due for patients goes first
_TOLD_AT_ONCE = 100  # breaks of a write
_BREAKS_MAX = 1_000_000  # open at a time
_NAMELESS_MAX = 10_000  # lines that name nothing are kept in hand while payments are looked through
ALWAYS = ("", "9999-12-31")


@dataclass(frozen=True, slots=True)
class Done:
    """What a run came to. `matched` are new matches, `payments` those that were compared."""

    matched: int
    unknown: int
    payments: int
    breaks: int


class Reconcile:
    """Of one tenant."""

    def __init__(self, units: Units, tenant: Tenant) -> None:
        """Raises ConfigInvalid for agreed fees that their currency has not."""
        self._units, self._tenant = units, tenant
        self._fees = terms_of(tenant.merchants)

    async def run(self, stop: asyncio.Event) -> None:
        """Once a day until `stop`; a run in hand is let go, and the next one goes on where it was."""

        def failed(error: StorageUnavailable) -> None:
            log.warning("reconciliation.failed", tenant=self._units.tenant, code=error.code)

        await look_daily(stop, self.look, soon=SOON, failed=failed)

    async def look(self, *, merchant: str = "", days: tuple[str, str] = ALWAYS) -> Done:
        """Match and tell. Only payments and refunds of `merchant`, captured and gone out in `days`, are compared.

        What a rule takes for the only one that it can be is decided where all days are looked at.
        """
        merchants = [one.name for one in self._tenant.merchants if merchant in ("", one.name)]
        matched, unknown, nameless, ruled = await self._match(merchants)
        if days != ALWAYS:
            nameless, ruled = [], {}
        known = {one: await self._units.read(differences.known_days, one) for one in merchants}
        gaps = {one: await self._units.read(_gaps, one) for one in merchants}
        compared, found = 0, list[Sums]()
        wanted = {(one.merchant, one.gross) for one in nameless}
        unlined: list[Unlined] = []
        verdicts: dict[str, NewBreak] = {}
        async for looked, sums in self._payments(merchants, days):
            compared += looked
            for one in sums:
                if not one.count and (one.merchant, one.books) in wanted:
                    unlined.append(Unlined(one.payment_id, one.merchant, one.books, one.at))
                    found.append(one)
                elif (verdict := judge(one, known[one.merchant])) and not gaps[one.merchant].take(one):
                    verdicts[verdict.key] = verdict
        by_rule = rules.by_amount_and_day(nameless, unlined)
        new, gone = by_rule.items() - ruled.items(), ruled.items() - by_rule.items()
        if new or gone:
            await self._units.write(
                line_matches.keep_ruled, [line for line, _ in gone], dict(new), rules.AMOUNT_AND_DAY
            )
        of_rules = set(by_rule.values())
        found += await self._units.read(lambda tx: list(differences.refunds(tx, merchants, days)))
        for one in found:
            if one.payment_id in of_rules or not (verdict := judge(one, known[one.merchant])):
                continue
            if not gaps[one.merchant].take(one):
                verdicts[verdict.key] = verdict
        renamed = {key: payment for one in gaps.values() for key, payment in one.renamed.items()}
        if days == ALWAYS and renamed:
            await self._units.write(account_for, renamed)
        closes = merchants if days == ALWAYS else []
        await self._tell(verdicts, closes)
        terms = [one for one in self._fees if one.merchant in merchants]
        fees = await compare_fees.look(self._units, terms, days, closes=closes)
        if days == ALWAYS and not merchant:
            await age_in_transit.look(self._units, self._tenant)
        log.info("reconciliation.done", tenant=self._units.tenant, count=len(verdicts) + fees)
        return Done(matched + len(new), unknown + len(ruled) - len(by_rule), compared, len(verdicts) + fees)

    async def _match(self, merchants: Sequence[str]) -> tuple[int, int, list[Nameless], dict[Nameless, str]]:
        """Matches made, lines of nothing, of these the ones that name nothing, and what a rule has found them to be
        of, which is decided anew."""
        made = unknown = 0
        nameless: list[Nameless] = []
        ruled: dict[Nameless, str] = {}
        for merchant in merchants:
            ruled |= await self._units.read(line_matches.ruled, merchant)
            after: tuple[str, str] | None = ("", "")
            while after is not None:
                page = await self._units.read(line_matches.open_page, merchant, after)
                for start in range(0, len(page.named), line_matches.PAGE):
                    rows = page.named[start : start + line_matches.PAGE]
                    made += await self._units.write(line_matches.keep, merchant, rows)
                if page.rest:
                    nameless += await self._units.read(line_matches.nameless, merchant, page.rest)
                unknown += len(page.rest)
                after = page.last
        return made, unknown, [*ruled, *nameless][:_NAMELESS_MAX], ruled

    async def _payments(self, merchants: Sequence[str], days: tuple[str, str]) -> AsyncIterator[tuple[int, list[Sums]]]:
        after, more = "", True
        while more:
            last = await self._units.read(differences.bound, after)
            ruled = days != ALWAYS
            yield await self._units.read(differences.payments, after, last, merchants, days, ruled=ruled)
            after, more = last or after, last is not None

    async def _tell(self, verdicts: dict[str, NewBreak], closes: Collection[str]) -> None:
        """Open what is so and isn't told yet, unless a person accepted just that, and close what no longer is, of the
        merchants in `closes`."""
        told: list[Break] = []
        for kind in KINDS:
            told += await self._units.read(store.breaks, kind=kind, accepted=True, limit=_BREAKS_MAX)
        says = {one.break_key: one.says for one in told}
        new = [one for one in verdicts.values() if says.get(one.key) != one.says]
        for start in range(0, len(new), _TOLD_AT_ONCE):
            await self._units.write(open_breaks, new[start : start + _TOLD_AT_ONCE])
        gone = [one.break_key for one in told if one.merchant in closes and one.break_key not in verdicts]
        for start in range(0, len(gone), _TOLD_AT_ONCE):
            await self._units.write(_close, gone[start : start + _TOLD_AT_ONCE])


def _gaps(tx: Tx, merchant: str) -> Gaps:
    return Gaps(open_gaps(tx, merchant), taken_again(tx, merchant))


def _close(tx: Tx, keys: Sequence[str]) -> None:
    for key in keys:
        store.close_break(tx, key, by="reconcile", why="it is no longer so")
