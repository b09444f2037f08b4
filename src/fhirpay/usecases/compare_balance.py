"""What a processor says that it holds for a merchant, compared with the books: daily, after its payouts were read.

    balance ─▶ its lines that no payout has taken ─▶ balance again ─moved meanwhile─▶ once more, else another time
      └▶ books as of when it was asked ─▶ what differs, in labelled parts ─▶ a remainder, seen twice ─▶ a break

`processor_clearing + reserve_held` is to be the processor's own balance. What differs for a while explains itself: fees
are booked with their payout, and what has just moved may not be told yet. What is left is `processor_balance_differs`,
which goes by itself. Called by pull_settlements.py; reading has no effect at the processor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from itertools import combinations

from ..config import Tenant
from ..db.unit import Tx, Units
from ..domain.money import Money
from ..domain.payment import PaymentState
from ..domain.payout import BATCH, CAME_BACK, PayoutState
from ..domain.refund import RefundState
from ..domain.settlement import LineKind
from ..errors import MessageInvalid, NotFound
from ..ledger.as_of import AsOf, balances_as_of
from ..log import Log
from ..payments import refunds, store
from ..payments.balance_port import Balance, BalanceSeen
from ..payments.records import Payment
from ..payments.registry import Registry
from ..payments.settlement_port import SettlementLine
from ..reconciliation.gaps import account_for_balance, sum_key
from ..settlement import balances, settled_line
from ..settlement import store as settlement
from ..settlement.balances import Compared
from .book_settlement import about, untold_fee

log = Log("settlement")

DIFFERS = "processor_balance_differs"  # a break, by merchant and currency
EVERY = timedelta(days=1)
FIRST = timedelta(days=30)  # how far back lines are read at first: as payouts are
LONGEST = timedelta(days=45)  # no line waits longer for its payout, be it a monthly one
PATIENCE = timedelta(days=1)  # what moved since may be told yet
_TRIES = 3
_PAGES = 1000
_SAYS = 3  # so many things are named
_SUMS = 8  # payouts and payments at most that are looked at together

FEES = "fees_told_with_the_payout"
WITH_PAYOUT = "told_with_the_payout"  # fees of no payment, reserves, conversions
ON_ITS_WAY = "not_booked_yet"
PAYOUTS = "payouts_not_read_yet"
TOLD = "told_otherwise"  # lines that wait or are for a person: a break of their own
OTHER_CURRENCY = "in_another_currency"

_K = LineKind
_MORE_THAN_BOOKED = ("other_reference", "paid_out_twice", "amount_differs")  # breaks of a payment
_REFUND_UNDER_WAY = frozenset({RefundState.SUBMITTED, RefundState.PENDING, RefundState.REQUIRES_ACTION})
_CLEARING, _RESERVE = "processor_clearing", "reserve_held"


class CompareBalance:
    """`run` compares a merchant where it is due; what it has come to, by currency."""

    def __init__(self, units: Units, tenant: Tenant, registry: Registry, *, now: Callable[[], datetime]) -> None:
        self._units = units
        self._tenant = tenant
        self._registry = registry
        self._now = now

    async def run(self, merchant: str, *, now: bool = False) -> list[Compared]:
        """`now`: whether it is due or not. Raises what the port's reading does."""
        if not self._registry.of(merchant).capabilities.balance:
            return []
        since = await self._units.read(self._since, merchant, self._now(), now)
        if since is None:
            return []
        processor = self._registry.balance(merchant)
        for _ in range(_TRIES):
            asked_at = self._now()
            seen = await processor.read_balance()
            lines = await self._lines(processor, since)
            if await processor.read_balance() == seen:
                found = await self._units.read(self._compared, merchant, seen, lines, asked_at)
                return await self._units.write(self._keep, merchant, found)
        return []  # it moves all the time: another time

    async def _lines(self, processor: Balance, since: datetime) -> list[SettlementLine]:
        found: list[SettlementLine] = []
        after = ""
        for _ in range(_PAGES):
            page = await processor.balance_lines(since, after=after)
            found += page.lines
            if not (after := page.after):
                return found
        raise MessageInvalid(f"the lines of the balance don't end: {_PAGES} pages were read")

    def _since(self, tx: Tx, merchant: str, now: datetime, at_once: bool) -> datetime | None:
        """From when on its lines are read. None: it isn't due; one that differs is looked at with each pull."""
        known = balances.last(tx, merchant)
        if not known:
            return now - FIRST
        due = any(one.remainder for one in known) or now - max(one.read_at for one in known) >= EVERY
        return max(min(one.open_since for one in known), now - LONGEST) if due or at_once else None

    def _compared(
        self,
        tx: Tx,
        merchant: str,
        seen: Collection[BalanceSeen],
        lines: Collection[SettlementLine],
        asked_at: datetime,
    ) -> list[Compared]:
        gone = balances.taken(tx, merchant, [line.reference for line in lines])
        left = [line for line in lines if line.reference not in gone]
        books = balances_as_of(
            tx,
            AsOf(recorded_until=asked_at),
            by=["merchant"],
            accounts=[_CLEARING, _RESERVE],
            only={"merchant": [merchant]},
        )
        stated = {one.currency: one for one in seen}
        for code in {one.amount.currency for one in books} - stated.keys():
            stated[code] = BalanceSeen(Money.zero(code), Money.zero(code))
        odd = balances.of_other_currency(tx, merchant)
        whose = {line.reference: _whose(tx, merchant, line) for line in left}
        owned = [(line, whose[line.reference]) for line in left]
        odd |= {of.payment_id for line, of in owned if of is not None and of.currency != line.gross.currency}
        found = (_Look(tx, merchant, one, owned, asked_at, odd) for _, one in sorted(stated.items()))
        held = {(one.account, one.amount.currency): one.amount for one in books}
        return [look.compared(held) for look in found if not look.fees_unknown()]

    def _keep(self, tx: Tx, merchant: str, found: list[Compared]) -> list[Compared]:
        before = {one.seen.currency: one for one in balances.last(tx, merchant)}
        for one in found:
            balances.keep(tx, one)
            account_for_balance(tx, merchant, one.seen.currency, one.told_by)
            key = f"{merchant}:balance:{one.seen.currency}"
            last = before.get(one.seen.currency)
            if not one.remainder:
                store.close_break(tx, key, by="settlement", why="its balance is what the books have")
            elif last is not None and last.read_at < one.read_at and last.remainder == one.remainder:
                # A processor's list may lag behind its balance: what is so for two readings is so.
                tell = partial(store.open_break, tx, merchant=merchant, subject=one.seen.currency, standing=True)
                tell(key, DIFFERS, _says(one), amount=one.remainder)
                log.warning("settlement.balance_differs", merchant=merchant)
        return found


def _says(one: Compared) -> str:
    parts = [f"{part} {label.replace('_', ' ')}" for label, part in one.parts.items()]
    says = f"the processor holds {one.seen.total} for '{one.merchant}', the books have {one.books}"
    says += f"; {', '.join(parts)}" if parts else ""
    return f"{says}; {one.remainder} is left" + (f", such as {', '.join(one.such_as)}" if one.such_as else "")


def _whose(tx: Tx, merchant: str, line: SettlementLine) -> Payment | None:
    found = None if line.kind.of_no_payment else about(tx, settled_line.of(merchant, line))
    return None if found is None else store.get(tx, found.payment_id)


class _Look:
    """One currency of one merchant: what its balance and the books differ by, and why."""

    def __init__(
        self,
        tx: Tx,
        merchant: str,
        seen: BalanceSeen,
        lines: Collection[tuple[SettlementLine, Payment | None]],
        asked_at: datetime,
        odd: set[str],
    ) -> None:
        self._tx, self._merchant, self._seen, self._asked_at = tx, merchant, seen, asked_at
        self._code = seen.currency
        self._lines = [(line, whose) for line, whose in lines if line.gross.currency == self._code]
        self._odd = odd
        self._parts: dict[str, int] = defaultdict(int)
        self._such_as: list[str] = []
        self._told_by: dict[str, int] = {}
        self._open_since = asked_at

    def fees_unknown(self) -> bool:
        """Whether payouts without lines were made so long ago that nothing tells their fees any more."""
        return balances.made_by_hand_before(self._tx, self._merchant, self._code, self._asked_at - LONGEST)

    def compared(self, held: dict[tuple[str, str], Money]) -> Compared:
        zero = Money.zero(self._code)
        books = held.get((_CLEARING, self._code), zero)
        if self._seen.reserved is not None:
            books = books + held.get((_RESERVE, self._code), zero)
        self._read_lines()
        self._parts[TOLD] += balances.told_otherwise(self._tx, self._merchant, self._code)
        left = (self._seen.total - books).minor - sum(self._parts.values())
        self._parts[TOLD] += self._of_what_is_told(left)
        parts = {label: Money(minor, self._code) for label, minor in sorted(self._parts.items()) if minor}
        remainder = self._seen.total - books - sum(parts.values(), zero)
        such_as = tuple(self._such_as[:_SAYS])
        told = (self._open_since, such_as, self._told_by)
        return Compared(self._merchant, self._seen, self._asked_at, books, parts, remainder, *told)

    def _read_lines(self) -> None:
        by_payment: dict[str, list[SettlementLine]] = defaultdict(list)
        for line, whose in self._lines:
            if line.kind.of_no_payment:
                self._by_itself(line)
            elif whose is None:
                self._unknown(line)
            else:
                by_payment[whose.payment_id].append(line)
        self._of_payments(by_payment)
        self._of_other_currency()

    def _by_itself(self, line: SettlementLine) -> None:
        match line.kind:
            case _K.PAYOUT | _K.PAYOUT_FAILURE:
                if not self._is_booked(line):
                    self._put(line, PAYOUTS, line.net)
            case _K.RESERVE_HELD | _K.RESERVE_RELEASED if self._seen.reserved is not None:
                self._put(line, WITH_PAYOUT, Money.zero(self._code))  # in one or the other
            case _:
                self._put(line, WITH_PAYOUT, line.net)

    def _is_booked(self, line: SettlementLine) -> bool:
        try:
            payout = settlement.get(self._tx, self._merchant, str(line.of))
        except NotFound:
            return False
        back = payout.state in CAME_BACK
        return back if line.kind is _K.PAYOUT_FAILURE else payout.state not in BATCH | {PayoutState.OPEN}

    def _unknown(self, line: SettlementLine) -> None:
        young = self._asked_at - line.occurred_at < PATIENCE
        self._put(line, ON_ITS_WAY if young else "", line.net)
        if not young:
            self._such_as.append(f"{line.reference} ({line.net})")

    def _of_payments(self, by_payment: dict[str, list[SettlementLine]]) -> None:
        """A payment as a whole: what its lines come to, less what the books have of it, but for fees."""
        settled = balances.settled_net(self._tx, self._code, by_payment)
        booked = self._booked(by_payment)
        for payment_id, lines in by_payment.items():
            moved = settled.get(payment_id, 0)
            for line in lines:
                untold = self._untold_fee(line)
                self._put(line, FEES, -untold)
                moved += (line.net + untold).minor
            if payment_id in self._odd:
                self._parts[OTHER_CURRENCY] += moved
            elif missing := moved - booked.get(payment_id, 0):
                if self._may_be_told_yet(payment_id, lines):
                    self._parts[ON_ITS_WAY] += missing
                else:
                    self._such_as.append(f"{payment_id} ({Money(missing, self._code)})")

    def _untold_fee(self, line: SettlementLine) -> Money:
        """Of its fee what is booked with its payout; the rest with what it is of."""
        like = settled_line.of(self._merchant, line)
        found = about(self._tx, like) if line.fee else None
        return (untold_fee(self._tx, like, found) if found else None) or Money.zero(self._code)

    def _booked(self, payments: Collection[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        wanted = sorted(payments)
        for at in range(0, len(wanted), 400):
            only = {"merchant": [self._merchant], "payment": wanted[at : at + 400]}
            limit = AsOf(recorded_until=self._asked_at)
            lines = balances_as_of(self._tx, limit, by=["payment"], accounts=[_CLEARING], only=only)
            found |= {one.dims["payment"]: one.amount.minor for one in lines if one.amount.currency == self._code}
        return found

    def _may_be_told_yet(self, payment_id: str, lines: list[SettlementLine]) -> bool:
        """Whether its event may still come: it moved a short while ago, or its bank takes days."""
        if any(self._asked_at - line.occurred_at < PATIENCE for line in lines):
            return True
        if store.get(self._tx, payment_id).state is PaymentState.PROCESSING:
            return True
        return any(one.state in _REFUND_UNDER_WAY for one in refunds.of_payment(self._tx, payment_id))

    def _of_what_is_told(self, left: int) -> int:
        """How much of `left` stands in breaks of their own: in those that leave least of it unexplained, the fewest.

        Payouts whose lines don't come to them (`payout_sum` tells of each), such as by the fee of a line that is listed
        twice, and what payments are more by than the books.
        """
        if not left:
            return 0
        found: list[tuple[str, int]] = []
        for ref, more, sums in balances.without_their_sum(self._tx, self._merchant, self._code):
            mine = sums.keys() - {""}
            settled, booked = balances.settled_net(self._tx, self._code, mine), self._booked(mine)
            found.append((sum_key(self._merchant, ref), more + sum(settled.values()) - sum(booked.values())))
        found += [
            (one.break_key, one.amount.minor)
            for kind in _MORE_THAN_BOOKED
            for one in store.breaks(self._tx, kind=kind, accepted=True)
            if one.merchant == self._merchant and one.amount.currency == self._code
        ]
        found = [one for one in found if one[1]][:_SUMS]
        some = [few for count in range(len(found) + 1) for few in combinations(found, count)]
        told = min(some, key=lambda few: abs(left - sum(minor for _, minor in few)))  # of two the first
        self._told_by = dict(told)
        return sum(self._told_by.values())

    def _of_other_currency(self) -> None:
        """Payments of this currency that the processor holds in another one."""
        mine = [one for one in self._odd if store.get(self._tx, one).currency == self._code]
        self._parts[OTHER_CURRENCY] -= sum(self._booked(mine).values())

    def _put(self, line: SettlementLine, label: str, amount: Money) -> None:
        """It waits for its payout."""
        self._open_since = min(self._open_since, line.occurred_at)
        if label:
            self._parts[label] += amount.minor
