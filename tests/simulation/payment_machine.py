"""Chance at the till: hypothesis makes any move in any order, with whatever can go wrong, and the audit follows.

Used by test_books_and_states.py; `make explore` runs it for as long as one likes. The moves are what desks, payers,
EHRs, the processor's people, its clock and a bad network do; what a rule forbids is refused and changes nothing.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from legal_moves import Audit
from sim_till import Till, account_of

from fhirpay.simulators import processor_rules
from fhirpay.simulators.processor_cards import CARDS, TOKENS
from fhirpay.usecases import staff

AMOUNTS = (10_00, 50_00, 80_03, 99_99)
FATES = ("", "", "refused", "reset_before", "lost_before", "reset_after", "lost_after")
FAULTS = ("before", "after", "error500", "lost_answer", "lost_request", "late", "rate_limited", "weird")
ASKED = ("create", "confirm", "capture", "void", "refund", "get", "list", "checkout", "*")
OFTEN = 5  # looks at everything at every so many steps; at what costs little at each

number = st.integers(0, 7)
part = st.sampled_from((None, None, 1, 2, 3))  # of three


class Payments(RuleBasedStateMachine):
    """One till of its own for each run; `audit` is shared by all of them."""

    audit = Audit()

    def __init__(self) -> None:
        super().__init__()
        self.till = Till()
        self.names: list[str] = []
        self.invoiced: set[str] = set()
        self.entries: list[str] = []
        self.holds: list[str] = []
        self.steps = 0

    # ── somebody owes ─────────────────────────────────────────────────────────────────────────────────────────────

    @initialize(amount=st.sampled_from(AMOUNTS))
    def begins(self, amount: int) -> None:
        self._invoice(amount)
        self._card(0, "tok_visa", capture=True)

    @precondition(lambda self: len(self.names) < 4)
    @rule(amount=st.sampled_from(AMOUNTS))
    def is_billed(self, amount: int) -> None:
        self._invoice(amount)

    @precondition(lambda self: len(self.names) < 4)
    @rule(amount=st.sampled_from(AMOUNTS), self_pay=st.booleans())
    def is_charged(self, amount: int, self_pay: bool) -> None:
        name = f"pat{len(self.names)}"
        self.names.append(name)
        for resource in account_of(name):
            self.till.resource(resource, f"Account/{name}")
        self.till.charged(name, amount)
        if self_pay:
            self._entry(staff.confirm_self_pay, f"Account/{name}", reason="uninsured")

    @rule(which=number, status=st.sampled_from(("billable", "entered-in-error")), amount=st.sampled_from(AMOUNTS))
    def charge_changes(self, which: int, status: str, amount: int) -> None:
        self.till.charged(self._name(which), amount, status=status)

    @rule(which=number, amount=st.sampled_from(AMOUNTS))
    def charge_is_billed(self, which: int, amount: int) -> None:
        self.till.billed(self._name(which), amount)

    @rule(which=number)
    def invoice_is_cancelled(self, which: int) -> None:
        name = self._name(which)
        if name in self.invoiced:
            self.till.do(self.till.cancel_invoice(f"{name}-1"))

    @rule(which=number)
    def hold_opens(self, which: int) -> None:
        ref, by = f"Account/{self._name(which)}", {"says": "a call", "by": "desk", "tenant": self.till.tenant}
        self.holds += [hold for hold in [self.till.write(staff.open_hold, ref, "deceased", **by)] if hold]

    @rule()
    def hold_ends(self) -> None:
        if self.holds:
            why = {"by": "desk", "why": "a mistake", "tenant": self.till.tenant}
            self.till.write(staff.release_hold, self.holds.pop(0), **why)

    @rule(which=number)
    def is_given_up(self, which: int) -> None:
        found = self.till.owed(f"Account/{self._name(which)}")
        if found:
            self._entry(staff.write_off, found[which % len(found)].obligation_id, kind="bad_debt", reason="too old")

    @rule()
    def entry_is_withdrawn(self) -> None:
        if self.entries:
            why = {"by": "desk", "why": "a mistake", "tenant": self.till.tenant}
            self.till.write(staff.withdraw, self.entries.pop(0), **why)

    # ── somebody pays ─────────────────────────────────────────────────────────────────────────────────────────────

    @rule(which=number, token=st.sampled_from(sorted(TOKENS)), capture=st.booleans(), third=part)
    def pays_by_card(self, which: int, token: str, capture: bool, third: int | None) -> None:
        self._card(which, token, capture=capture, third=third)

    @rule(which=number, third=part)
    def is_sent_to_a_page(self, which: int, third: int | None) -> None:
        self.till.do(self.till.start(f"Account/{self._name(which)}", minor=self._third(which, third)))

    @rule(which=number, card=st.sampled_from(sorted(CARDS)), late=st.booleans())
    def pays_on_the_page(self, which: int, card: str, late: bool) -> None:
        if payment := self._payment(which):
            page = self.till.page(payment)
            self.till.pays(payment, card, late=late and page is not None and page["status"] == "expired")

    @rule(which=number, third=part)
    def is_captured(self, which: int, third: int | None) -> None:
        if payment := self._payment(which):
            self.till.do(self.till.capture(payment, self._of(payment, third)))

    @rule(which=number)
    def is_voided(self, which: int) -> None:
        if payment := self._payment(which):
            self.till.do(self.till.void(payment))

    @rule(which=number, third=part)
    def is_given_back(self, which: int, third: int | None) -> None:
        if payment := self._payment(which):
            self.till.do(self.till.refund(payment, self._of(payment, third)))

    # ── the processor's own people ────────────────────────────────────────────────────────────────────────────────

    @rule(which=number, result=st.sampled_from(("captured", "declined")))
    def is_decided(self, which: int, result: str) -> None:
        docs = [one for one in self._docs("payment") if one["status"] in ("in_review", "requires_action")]
        if docs:
            self.till.decides(docs[which % len(docs)]["id"], result)

    @rule(which=number, result=st.sampled_from(("succeeded", "failed")))
    def refund_is_decided(self, which: int, result: str) -> None:
        docs = self._docs("refund")
        if docs and docs[which % len(docs)]["status"] != result:
            self.till.decides(docs[which % len(docs)]["id"], result)

    @rule(which=number, third=st.sampled_from((1, 2, 3)))
    def is_given_back_there(self, which: int, third: int) -> None:
        docs = [one for one in self._docs("payment") if one["status"] == "captured"]
        if docs:
            doc = docs[which % len(docs)]
            body = {"payment": doc["id"], "amount": doc["amount_captured"] * third // 3, "reference": ""}
            self.till.at_processor(processor_rules.refund, body)

    @rule(which=number)
    def is_voided_there(self, which: int) -> None:
        docs = self._docs("payment")
        if docs:
            theirs = docs[which % len(docs)]["id"]
            self.till.at_processor(lambda books: processor_rules.void(books, books.get("payment", theirs)))

    # ── work, time, and what goes wrong ───────────────────────────────────────────────────────────────────────────

    @rule(seconds=st.sampled_from((0, 0, 0, 0.01, 0.05, 0.1, 1)))
    def works(self, seconds: float) -> None:
        self.till.hand(seconds=seconds)

    @rule(units=st.integers(1, 6), commits=st.booleans())
    def dies(self, units: int, commits: bool) -> None:
        self.till.dies(units, commits=commits)

    @rule(events=st.integers(1, 3), newest_first=st.booleans(), again=st.booleans())
    def hears(self, events: int, newest_first: bool, again: bool) -> None:
        self.till.tells(events=events, newest_first=newest_first, again=again)

    @rule(seconds=st.sampled_from((1, 5, 70, 1000, 25 * 3600, 3 * 86400, 8 * 86400)))
    def time_passes(self, seconds: float) -> None:
        self.till.passes(seconds)

    @rule(fates=st.lists(st.sampled_from(FATES), min_size=1, max_size=3))
    def the_network_is_bad(self, fates: list[str]) -> None:
        self.till.net.fates = list(fates)

    @rule(operation=st.sampled_from(ASKED), fault=st.sampled_from(FAULTS))
    def the_processor_is_ill(self, operation: str, fault: str) -> None:
        self.till.fault(operation, fault, seconds=20)

    # ── the audit ─────────────────────────────────────────────────────────────────────────────────────────────────

    def check_invariants(self, *args: object, **more: object) -> None:
        super().check_invariants(*args, **more)  # type: ignore[arg-type]
        self.steps += 1
        self.audit.look(self.till, whole=self.steps % OFTEN == 0)

    def teardown(self) -> None:
        try:
            self.audit.end(self.till)
        finally:
            self.till.close()

    # ── which one ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _invoice(self, amount: int) -> None:
        name = f"pat{len(self.names)}"
        self.names.append(name)
        self.invoiced.add(name)
        self.till.do(self.till.invoiced(name, amount, 20_00))

    def _card(self, which: int, token: str, *, capture: bool, third: int | None = None) -> None:
        account = f"Account/{self._name(which)}"
        method = self.till.card(account, token)
        minor = self._third(which, third)
        self.till.do(self.till.start(account, minor=minor, method_id=method, capture=capture))

    def _entry(self, fn: object, *args: object, **more: object) -> None:
        entry = self.till.write(fn, *args, **more, by="desk", tenant=self.till.tenant)  # type: ignore[arg-type]
        self.entries += [entry] if entry else []

    def _name(self, which: int) -> str:
        return self.names[which % len(self.names)]

    def _payment(self, which: int) -> str:
        found = [row[0] for row in self.till.rows("SELECT payment_id FROM payment ORDER BY payment_id")]
        return found[which % len(found)] if found else ""

    def _docs(self, of: str) -> list[dict[str, object]]:
        return self.till.processor.simulator.books.all(of)

    def _third(self, which: int, third: int | None) -> int | None:
        askable = self.till.do(self.till.askable(f"Account/{self._name(which)}")) or 0
        return None if third is None else max(1, askable * third // 3)

    def _of(self, payment: str, third: int | None) -> int | None:
        ((amount,),) = self.till.rows(f"SELECT amount_minor FROM payment WHERE payment_id = '{payment}'")  # noqa: S608
        return None if third is None else max(1, amount * third // 3)
