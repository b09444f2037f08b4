"""The month's own books: what a practice's accountant would have written down, in plain integers of cents.

They share no code with the program and know none of its words for accounts but the names of the balances in `Books.at`.
`month_plan.py` writes them act by act; `month_looks.py` compares them with the ledger and the processors each night.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

RETURN_FEE = 4_00
DISPUTE_FEE = 15_00


def card_fee(cents: int) -> int:
    """What the processor takes: 2.9 percent and thirty cents. It rounds down, which the contract doesn't say."""
    return cents * 29 // 1000 + 30


def agreed_fee(cents: int) -> int:
    """What the contract says: the same, rounded as usual."""
    return (cents * 29 + 500) // 1000 + 30


@dataclass
class Line:
    """One line of a processor's balance that no payout has taken yet. A fee of `told` is known before the payout; one
    that isn't is booked with it, `into` that account."""

    cents: int
    fee: int
    told: bool = False
    into: str = "fees"


@dataclass
class Books:
    """`at` is by name and whose it is: a place, a till, or an account. `open` are the open items that there should be:
    kind and cents; what an account still owes is one of its own (`due`), but for what is on its way (`flight`), and not
    while it is `held` for a dispute, or until staff say what is to be. `taken` is what was captured, by place and
    business day, `told` what the EHR is told, in all."""

    at: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    open: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    held: Counter[str] = field(default_factory=Counter[str])
    flight: Counter[str] = field(default_factory=Counter[str])
    taken: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    told: Counter[str] = field(default_factory=Counter[str])
    lines: dict[str, list[Line]] = field(default_factory=dict[str, list[Line]])

    # ── what is owed ──────────────────────────────────────────────────────────────────────────────────────────────

    def charged(self, account: str, cents: int, *, copay: int = 0, insured: bool = False) -> None:
        """A charge lands; of an insured one only the copay is the patient's, less what was taken for it before."""
        share = copay if insured else cents
        self.at["pending", account] += cents - share
        self.at["owes", account] += share
        used = min(self.at["credit", account], share)
        self.at["owes", account] -= used
        self.at["credit", account] -= used

    def _pays(self, account: str, cents: int) -> None:
        used = min(self.at["owes", account], cents)
        self.at["owes", account] -= used
        self.at["credit", account] += cents - used

    def due(self) -> Counter[tuple[str, int]]:
        """What is to be asked for, by account."""
        owes = {whose: cents for (name, whose), cents in self.at.items() if name == "owes"}
        left = [cents - self.flight[whose] for whose, cents in owes.items() if not self.held[whose]]
        return Counter(("payment_due", cents) for cents in left if cents)

    # ── money in ──────────────────────────────────────────────────────────────────────────────────────────────────

    def captured(self, place: str, account: str, cents: int, day: str) -> None:
        """By the processor: a card, or a bank debit that cleared."""
        self.line(place, cents, card_fee(cents))
        self._pays(account, cents)
        self.taken[place, day] += cents
        self.told["ehr"] += cents

    def handed_over(self, place: str, till: str, account: str, cents: int, day: str, *, check: bool) -> None:
        self.at[("checks", place) if check else ("drawer", till)] += cents
        self._pays(account, cents)
        self.taken[place, day] += cents
        self.told["ehr"] += cents

    def line(self, place: str, cents: int, fee: int, *, told: bool = False) -> None:
        """The processor's balance moves; until its payout the fee of a payment is known to the processor alone."""
        self.lines.setdefault(place, []).append(Line(cents, fee, told))
        self.at["processor", place] += cents - fee
        self.at["clearing", place] += cents - (fee if told else 0)

    # ── money back ────────────────────────────────────────────────────────────────────────────────────────────────

    def refunded(self, place: str, account: str, cents: int) -> None:
        self.line(place, -cents, 0)
        self._back(account, cents)

    def _back(self, account: str, cents: int) -> None:
        """What it had paid is owed again, and waits for what staff say of it."""
        self.at["owes", account] += cents
        self.held[account] += 1
        self.open["refunded", cents] += 1
        self.told["ehr"] -= cents

    def handed_back(self, till: str, account: str, cents: int) -> None:
        self.at["drawer", till] -= cents
        self._back(account, cents)

    def returned(self, place: str, account: str, cents: int) -> None:
        """A bank debit comes back after it had cleared."""
        self.line(place, -cents, RETURN_FEE, told=True)
        self.at["fees", place] += RETURN_FEE
        self.at["owes", account] += cents
        self.open["mandate_stopped", 0] += 1
        self.open["payment_returned", cents] += 1
        self.told["ehr"] -= cents

    def not_cleared(self) -> None:
        """A bank debit that its bank refuses: what it was for is owed as before."""
        self.open["mandate_stopped", 0] += 1

    def changed(self) -> None:
        """A bank debit clears, and its bank says that the account is another one."""
        self.open["notice_of_change", 0] += 1

    def bounced(self, account: str, cents: int, fee: int) -> None:
        """A check comes back: the practice's bank takes it, and its fee."""
        self.at["bank", ""] -= cents + fee
        self.at["fees", ""] += fee
        self.at["owes", account] += cents
        self.open["payment_returned", cents] += 1
        self.told["ehr"] -= cents

    def disputed(self, place: str, account: str, cents: int) -> None:
        self.held[account] += 1
        self.line(place, -cents, DISPUTE_FEE, told=True)
        self.at["dispute_fees", place] += DISPUTE_FEE
        self.at["disputed", place] += cents
        self.open["dispute", cents] += 1

    def won(self, place: str, account: str, cents: int) -> None:
        self.held[account] -= 1
        self.line(place, cents, 0)
        self.at["disputed", place] -= cents
        self.open["dispute", cents] -= 1

    def lost(self, place: str, account: str, cents: int) -> None:
        self.at["disputed", place] -= cents
        self.at["owes", account] += cents
        self.open["dispute", cents] -= 1
        self.open["dispute_lost", cents] += 1
        self.told["ehr"] -= cents

    def monthly_fee(self, place: str, cents: int) -> None:
        self._of_no_payment(place, cents, "fees")

    def reserved(self, place: str, cents: int) -> None:
        """Kept back by the processor for what may come; below zero: it is let go."""
        self._of_no_payment(place, cents, "reserve")

    def _of_no_payment(self, place: str, cents: int, into: str) -> None:
        """Known with its payout."""
        self.lines.setdefault(place, []).append(Line(0, cents, into=into))
        self.at["processor", place] -= cents

    # ── payouts and the bank ──────────────────────────────────────────────────────────────────────────────────────

    def net(self, place: str) -> int:
        return sum(one.cents - one.fee for one in self.lines.get(place, []))

    def paid_out(self, place: str) -> int:
        """All that has gathered leaves the processor; what it comes to."""
        lines = self.lines.pop(place, [])
        net = sum(one.cents - one.fee for one in lines)
        late = 0
        for one in lines:
            if not one.told:
                late += one.fee
                self.at[one.into, place] += one.fee
        self.at["clearing", place] -= late + net
        self.at["processor", place] -= net
        self.at["transit", place] += net
        return net

    def payout_failed(self, place: str, cents: int) -> None:
        self.at["transit", place] -= cents
        self.line(place, cents, 0)
        self.open["payout_failed", cents] += 1

    def arrived(self, place: str, cents: int) -> None:
        self.at["transit", place] -= cents
        self.at["bank", place] += cents

    # ── tills ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def moved(self, from_: tuple[str, str], to: tuple[str, str], cents: int) -> None:
        self.at[from_] -= cents
        self.at[to] += cents

    def counted(self, till: str, off: int) -> None:
        """`off` is above zero where there is too much."""
        self.at["drawer", till] += off
        self.at["over_short", till] -= off
