"""Hypothesis strategies that several tests share: money, what is known of a payment, and days of bookkeeping.

`books()` keeps a small model of what is owed and paid beside it, so each list of entries is one that could happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from hypothesis import strategies as st

from fhirpay.domain.money import EXPONENTS, Money
from fhirpay.domain.payment import UNDOES, FactKind, PaymentFact
from fhirpay.ledger import rules
from fhirpay.ledger.entry import Entry
from fhirpay.ledger.rules import When

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)

currencies = st.sampled_from(["USD", "EUR", "JPY", "KWD"])
any_currency = st.sampled_from(sorted(EXPONENTS))


def money(
    *,
    currency: st.SearchStrategy[str] = currencies,
    least: int = 0,
    most: int = 10**12,
) -> st.SearchStrategy[Money]:
    """Amounts in minor units from `least` to `most`; small ones and round ones come up often."""
    minor = st.one_of(st.integers(least, most), st.integers(max(least, 0), min(most, 300)))
    return st.builds(Money, minor, currency)


@st.composite
def payment_facts(draw: st.DrawFn, *, currency: str = "USD") -> list[PaymentFact]:
    """Facts about one payment, in any combination: legal, late, doubled, contradicting, incomplete."""
    facts: list[PaymentFact] = []
    for _ in range(draw(st.integers(0, 8))):
        kind = draw(st.sampled_from(list(FactKind)))
        reference = f"{kind[:3]}{draw(st.integers(1, 2))}"
        undoes = ""
        if kind in UNDOES:
            undoes = draw(st.sampled_from(["", f"{UNDOES[kind][:3]}1", f"{UNDOES[kind][:3]}2"]))
        facts.append(
            PaymentFact(
                kind=kind,
                occurred_at=NOON + timedelta(seconds=draw(st.integers(0, 3))),
                source=draw(st.sampled_from(["operation:op1", "event:e1", "event:e2"])),
                amount=Money(draw(st.sampled_from([2000, 5000])), currency),
                reference=reference,
                undoes=undoes,
            )
        )
    return facts


@dataclass
class _Refund:
    payment: str
    amount: int
    taken: bool = False


@dataclass
class _Books:
    """What is owed and paid, in minor units: enough to know what may happen next."""

    currency: str
    pending: dict[str, int] = field(default_factory=dict)
    patient: dict[str, int] = field(default_factory=dict)
    allocated: dict[tuple[str, str], int] = field(default_factory=dict)
    written_off: dict[tuple[str, str], int] = field(default_factory=dict)
    unapplied: dict[str, int] = field(default_factory=dict)
    refunds: dict[str, _Refund] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    @property
    def when(self) -> When:
        at = NOON + timedelta(hours=len(self.entries))
        return When(occurred_at=at, business_date=date(2026, 3, 2) + timedelta(days=len(self.entries) // 24))

    def money(self, minor: int) -> Money:
        return Money(minor, self.currency)

    def may(self) -> list[Callable[[st.DrawFn], None]]:
        """What can happen now."""
        able: list[Callable[[st.DrawFn], None]] = [self.charge, self.capture, self.fee]
        if any(self.pending.values()):
            able += [self.share, self.credit_pending]
        if any(self.patient.values()):
            able += [self.withdraw, self.credit, self.discount, self.write_off]
        if any(self.unapplied.values()):
            able += [self.approve_refund, self.void, self.give_back]
            if any(self.patient.values()):
                able.append(self.allocate)
        if any(self.written_off.values()):
            able.append(self.recover)
        if any(self.allocated.values()):
            able.append(self.deallocate)
        if self.refunds:
            able.append(self.move_refund)
        return able

    def charge(self, draw: st.DrawFn) -> None:
        obligation, minor = f"obl{len(self.patient) + 1}", draw(st.integers(1, 10**6))
        self.pending[obligation] = self.patient[obligation] = 0
        if draw(st.booleans()):
            self.patient[obligation] = minor
            self._owed(rules.charge_self_pay, obligation, minor)
        else:
            self.pending[obligation] = minor
            self._owed(rules.charge_pending, obligation, minor)

    def share(self, draw: st.DrawFn) -> None:
        obligation, minor = self._some(draw, self.pending)
        self.pending[obligation] -= minor
        self.patient[obligation] += minor
        self._owed(rules.share_known, obligation, minor)

    def withdraw(self, draw: st.DrawFn) -> None:
        obligation, minor = self._some(draw, self.patient)
        self.patient[obligation] -= minor
        self.pending[obligation] += minor
        self._owed(rules.share_withdrawn, obligation, minor)

    def credit_pending(self, draw: st.DrawFn) -> None:
        obligation, minor = self._some(draw, self.pending)
        self.pending[obligation] -= minor
        entry = rules.charge_credited(
            obligation, self._account(obligation), self.money(minor), stands_in="ar_pending", **self.when
        )
        self.entries.append(entry)

    def credit(self, draw: st.DrawFn) -> None:
        obligation, minor = self._some(draw, self.patient)
        self.patient[obligation] -= minor
        entry = rules.charge_credited(
            obligation, self._account(obligation), self.money(minor), stands_in="ar_patient", **self.when
        )
        self.entries.append(entry)

    def discount(self, draw: st.DrawFn) -> None:
        obligation, minor = self._some(draw, self.patient)
        self.patient[obligation] -= minor
        self._owed(rules.self_pay_discount, obligation, minor)

    def write_off(self, draw: st.DrawFn) -> None:
        obligation, minor = self._some(draw, self.patient)
        kind = draw(st.sampled_from(rules.BY_STAFF))
        self.patient[obligation] -= minor
        self.written_off[obligation, kind] = self.written_off.get((obligation, kind), 0) + minor
        self._given_up(obligation, minor, kind)

    def recover(self, draw: st.DrawFn) -> None:
        obligation, kind = pair = draw(st.sampled_from([pair for pair, minor in self.written_off.items() if minor]))
        minor = draw(st.integers(1, self.written_off[pair]))
        self.written_off[pair] -= minor
        self.patient[obligation] += minor
        self._given_up(obligation, minor, kind, back=True)

    def _given_up(self, obligation: str, minor: int, kind: str, *, back: bool = False) -> None:
        account, amount = self._account(obligation), self.money(minor)
        self.entries.append(rules.written_off(obligation, account, amount, kind=kind, back=back, **self.when))

    def capture(self, draw: st.DrawFn) -> None:
        payment, minor = f"pay{len(self.unapplied) + 1}", draw(st.integers(1, 10**6))
        self.unapplied[payment] = minor
        self.entries.append(rules.capture(payment, "main", self.money(minor), **self.when))

    def fee(self, draw: st.DrawFn) -> None:
        self.entries.append(rules.fee("main", self.money(draw(st.integers(1, 500))), **self.when))

    def allocate(self, draw: st.DrawFn) -> None:
        payment, most = self._some(draw, self.unapplied)
        obligation, minor = self._some(draw, self.patient)
        minor = min(minor, most)
        self.unapplied[payment] -= minor
        self.patient[obligation] -= minor
        self.allocated[payment, obligation] = self.allocated.get((payment, obligation), 0) + minor
        account = self._account(obligation)
        self.entries.append(rules.allocate(payment, obligation, self.money(minor), account_ref=account, **self.when))

    def deallocate(self, draw: st.DrawFn) -> None:
        pair = draw(st.sampled_from([pair for pair, minor in self.allocated.items() if minor]))
        payment, obligation = pair
        minor = draw(st.integers(1, self.allocated[pair]))
        self.allocated[pair] -= minor
        self.unapplied[payment] += minor
        self.patient[obligation] += minor
        account = self._account(obligation)
        self.entries.append(rules.deallocate(payment, obligation, self.money(minor), account_ref=account, **self.when))

    def void(self, draw: st.DrawFn) -> None:
        payment, minor = self._some(draw, self.unapplied)
        self.unapplied[payment] -= minor
        self.entries.append(rules.void_capture(payment, "main", self.money(minor), **self.when))

    def give_back(self, draw: st.DrawFn) -> None:
        payment, minor = self._some(draw, self.unapplied)
        self.unapplied[payment] -= minor
        self.entries.append(rules.payment_returned(payment, "ret1", "main", self.money(minor), **self.when))

    def approve_refund(self, draw: st.DrawFn) -> None:
        payment, minor = self._some(draw, self.unapplied)
        refund = f"ref{len(self.entries)}"
        self.unapplied[payment] -= minor
        self.refunds[refund] = _Refund(payment, minor)
        self.entries.append(rules.refund_approved(payment, refund, self.money(minor), **self.when))

    def move_refund(self, draw: st.DrawFn) -> None:
        refund = draw(st.sampled_from(sorted(self.refunds)))
        it = self.refunds[refund]
        amount = self.money(it.amount)
        if it.taken:
            it.taken = False
            self.entries.append(rules.refund_failed_late(it.payment, refund, "main", amount, **self.when))
        elif draw(st.booleans()):
            it.taken = True
            self.entries.append(rules.refund_taken(it.payment, refund, "main", amount, **self.when))
        else:
            del self.refunds[refund]
            self.unapplied[it.payment] += it.amount
            self.entries.append(rules.refund_dropped(it.payment, refund, amount, **self.when))

    def _owed(self, rule: Callable[..., Entry], obligation: str, minor: int) -> None:
        self.entries.append(rule(obligation, self._account(obligation), self.money(minor), **self.when))

    @staticmethod
    def _account(obligation: str) -> str:
        return f"Account/a{int(obligation.removeprefix('obl')) % 2}"

    @staticmethod
    def _some(draw: st.DrawFn, kept: dict[str, int]) -> tuple[str, int]:
        name = draw(st.sampled_from([name for name, minor in kept.items() if minor]))
        return name, draw(st.integers(1, kept[name]))


@st.composite
def books(draw: st.DrawFn, *, most: int = 25) -> list[Entry]:
    """Entries of one or two currencies, in an order in which they could happen."""
    entries: list[Entry] = []
    for currency in draw(st.lists(currencies, min_size=1, max_size=2, unique=True)):
        kept = _Books(currency)
        for _ in range(draw(st.integers(1, most))):
            draw(st.sampled_from(kept.may()))(draw)
        entries += kept.entries
    return entries
