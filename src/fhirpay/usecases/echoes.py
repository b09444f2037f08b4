"""Is an FT1 that comes in one of ours that comes back? For whoever takes in payments that the EHR has posted itself.

Many EHRs send every transaction on, also those that we posted: taken for a payment of their own it would count twice.
An echo is a confirmation and nothing more: what was unknown of its posting is known by it (`confirm_echo`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ..billing import adjustments, rows, worklist
from ..billing.ehr_payments import ADJUSTMENT, said_of
from ..billing.elements import day_of, money_of
from ..billing.intake import posted
from ..config import Interface
from ..db.unit import Tx
from ..domain import fhir_urls as urls
from ..domain.money import Money
from ..fhir import replaced
from ..fhir.store import Change, Stored, find
from ..mapping.mapped import Mapped
from ..payments import store as payments
from ..payments import taken_back
from ..writeback import dft, store
from ..writeback.payment_reconciliation import RESOURCE_TYPE
from ..writeback.store import Posting
from .post_dft import confirm
from .posted_adjustments import amount_of
from .told import back_lines, first_lines, first_rest, taken

TURNED, DIFFERS = "echo_turned", "echo_differs"  # breaks
ADJUSTED_OTHERWISE = "adjustment_differs"  # on the worklist


@dataclass(frozen=True, slots=True)
class Echo:
    """Whose echo it is. `amount` is the one that we posted under that FT1-2; None where only FT1-30 told.

    Of an adjustment `payment_id` is empty, and `amount` below zero where it takes one back.
    """

    payment_id: str
    refund_id: str
    amount: Money | None
    postings: tuple[Posting, ...]
    adjustment_id: str = ""

    @property
    def subject(self) -> str:
        return self.adjustment_id or self.refund_id or self.payment_id


def echo_of(tx: Tx, *, transaction: str, reference: str = "") -> Echo | None:
    """What of ours an FT1 repeats, by FT1-2 (our allocation) or FT1-30.1 (our processor's reference); None: nothing.

    Letters' case doesn't matter, since some receivers keep capitals only. A reference that more than one payment has
    tells nothing.
    """
    subject, _, number = transaction.strip().lower().rpartition("-")
    if short := store.line_of(tx, transaction.strip().upper()) if transaction.strip() else None:
        subject, number = short[0], str(short[1])
    if subject and number.isdigit():
        known = [one for one in store.find(tx, subject) if one.subject == subject and not one.is_payout]
        if known and (amount := _amount(tx, known[0], int(number))) is not None:
            return _echo(known, amount)
    return _by_reference(tx, reference.strip()) if reference.strip() else None


def confirm_echo(tx: Tx, echo: Echo, connection: str = "") -> list[str]:
    """The EHR has it: postings over HL7v2 that were unknown are posted; their ids. `connection` tells which EHR."""
    return [
        confirmed
        for one in echo.postings
        if one.resource_type == dft.MESSAGE_TYPE and connection in ("", one.connection)
        if (confirmed := confirm(tx, one))
    ]


# ── in messages ───────────────────────────────────────────────────────────────────────────────────────────────────


def marked(tx: Tx, mapped: Mapped, interface: Interface) -> Mapped:
    """`mapped`, in which each payment that is one of ours says so: it is kept, and counts for nothing."""
    entries: list[dict[str, Any]] = mapped.bundle.get("entry", [])
    if not any(entry["resource"]["resourceType"] == RESOURCE_TYPE for entry in entries):
        return mapped
    accounts = _accounts(tx, entries) if interface.echoes == "amount" else []
    found = [_marked(tx, entry, accounts) for entry in entries]
    return replace(mapped, bundle={**mapped.bundle, "entry": found})


def heard(tx: Tx, written: Iterable[tuple[Stored, Change]]) -> None:
    """What follows from the echoes among these: postings confirmed, and a break where the EHR has something else."""
    for stored, change in written:
        if stored.type != RESOURCE_TYPE or change == "unchanged" or (echo := _found(tx, stored.resource)) is None:
            continue
        amount = money_of(stored.resource["paymentAmount"])
        if amount is None:
            continue
        if echo.adjustment_id:
            _adjustment_heard(tx, echo, stored, amount)
            continue
        payment = payments.get(tx, echo.payment_id)
        forward = echo.amount is not None and echo.amount.minor < 0  # what money pays instead
        refund = taken_back.is_negative(tx, echo.refund_id) and not forward
        subject = echo.subject
        key = f"{echo.payment_id}:echo:{stored.reference}"
        if amount.minor and (amount.minor < 0) != refund:
            word = "a payment again" if refund else "taken back"
            says = f"{subject} is {word} at the EHR, with {abs(amount)}: we hold it as it was"
            payments.open_break(tx, key, TURNED, says, payment=payment, amount=abs(amount))
        elif abs(amount) not in _amounts(tx, echo):
            says = f"the EHR has {abs(amount)} of {subject}, which was posted with {abs(echo.amount or taken(payment))}"
            payments.open_break(tx, key, DIFFERS, says, payment=payment, amount=abs(amount))
        else:
            payments.close_break(tx, key, by="fhirpay", why="it was corrected at the EHR")
            _confirm_alone(tx, echo)


def _confirm_alone(tx: Tx, echo: Echo) -> None:
    """Which receiver's echo it is isn't said: of several that are in doubt none is confirmed by it."""
    if len({one.connection for one in echo.postings if one.state == "unknown"}) == 1:
        confirm_echo(tx, echo)


def _adjustment_heard(tx: Tx, echo: Echo, stored: Stored, amount: Money) -> None:
    key = f"{echo.adjustment_id}/{stored.reference}"
    if amount == echo.amount:
        worklist.settled(tx, ADJUSTED_OTHERWISE, key)
        _confirm_alone(tx, echo)
        return
    assert echo.amount is not None
    what = "taken back" if (amount.minor < 0) != (echo.amount.minor < 0) else "another"
    says = f"the EHR has {echo.adjustment_id} as {amount} ({what}), which was posted as {echo.amount}"
    account = rows.get(tx, adjustments.get(tx, echo.adjustment_id).obligation_id)["account_ref"]
    worklist.open_item(tx, kind=ADJUSTED_OTHERWISE, subject=key, says=says, account_ref=account, amount=abs(amount))


def _marked(tx: Tx, entry: dict[str, Any], accounts: list[str]) -> dict[str, Any]:
    resource = entry["resource"]
    if resource["resourceType"] != RESOURCE_TYPE:
        return entry
    echo = _found(tx, resource)
    subject = echo.subject if echo else _by_amount(tx, resource, accounts)
    if not subject:
        return entry
    ours = {"url": urls.ECHO_OF, "valueString": subject}
    others = [one for one in resource.get("extension", ()) if one["url"] != urls.ECHO_OF]
    return {**entry, "resource": {**resource, "extension": [*others, ours]}}


def _found(tx: Tx, resource: dict[str, Any]) -> Echo | None:
    number = next((one for one in resource["identifier"][1:] if one["system"].endswith(":transaction")), None)
    reference = str((resource.get("paymentIdentifier") or {}).get("value", ""))
    return echo_of(tx, transaction=number["value"] if number else "", reference=reference)


def _amounts(tx: Tx, echo: Echo) -> list[Money]:
    """With which amounts it may come back: of its line, or (by the reference alone) of any line and of the whole."""
    if echo.amount is not None:
        return [abs(echo.amount)]
    if echo.refund_id:
        return [
            taken_back.amount_of(tx, echo.refund_id),
            *(abs(one.amount) for one in back_lines(tx, echo.refund_id)),
        ]
    payment = payments.get(tx, echo.payment_id)
    paid = [one.paid for one in first_lines(tx, echo.payment_id) if one.paid]
    whole = taken(payment) or payment.amount
    return [whole, *paid, sum((-one for one in paid), whole)]


def _accounts(tx: Tx, entries: Iterable[dict[str, Any]]) -> list[str]:
    """The account of the message, where it is known."""
    named = [entry["resource"]["identifier"][0] for entry in entries if entry["resource"]["resourceType"] == "Account"]
    return [one.reference for key in named for one in replaced.find(tx, "Account", key["system"], key["value"])]


def _by_amount(tx: Tx, resource: dict[str, Any], accounts: list[str]) -> str:
    """The payment or adjustment of ours that an EHR repeats under a number of its own: of this amount, within a day,
    once a line.

    What has been taken in as the EHR's own stays so.
    """
    key, amount = resource["identifier"][0], money_of(resource["paymentAmount"])
    if (known := find(tx, RESOURCE_TYPE, key["system"], key["value"])) or amount is None:
        said = said_of(known[0].resource) if known else None
        return said.echo_of if said else ""
    day = day_of(resource["paymentDate"], ZoneInfo("UTC"))
    cashless = any(one.get("valueCode") == ADJUSTMENT for one in resource.get("extension", ()))
    for account in accounts:
        heard_of = [one.echo_of for one in map(said_of, posted(tx, account)) if one and one.amount == amount]
        if cashless:
            if subject := _adjustment_of(tx, account, amount, day, heard_of):
                return subject
            continue
        if amount.minor <= 0:
            return ""
        for payment in payments.of_account(tx, account):
            own = payment.method != payments.EXTERNAL and taken(payment) and payment.business_date
            if not own or day is None or abs(date.fromisoformat(str(payment.business_date)) - day) > timedelta(days=1):
                continue
            lines = [one for one in first_lines(tx, payment.payment_id) if one.paid]
            rest = first_rest(payment, lines)
            if [*(one.paid for one in lines), rest].count(amount) > heard_of.count(payment.payment_id):
                return payment.payment_id
    return ""


def _adjustment_of(tx: Tx, account: str, amount: Money, day: date | None, heard_of: list[str]) -> str:
    owed = [row["obligation_id"] for row in rows.of_accounts(tx, [account])]
    for one in adjustments.of_obligations(tx, owed):
        if day is None or abs(one.made_at.date() - day) > timedelta(days=1):
            continue
        lines = [-part.amount if one.takes_back else part.amount for part in adjustments.parts_of(tx, one)]
        unheard = lines.count(amount) > heard_of.count(one.adjustment_id)
        if unheard and store.of_subject(tx, one.adjustment_id):
            return one.adjustment_id
    return ""


# ── finding ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_reference(tx: Tx, reference: str) -> Echo | None:
    own = [one for one in payments.find(tx, reference) if one.method != payments.EXTERNAL]
    subjects = {one.payment_id: (one.payment_id, "") for one in own if reference != one.payment_id}
    back = taken_back.find(tx, reference)
    subjects |= {subject: (payment_id, subject) for subject, payment_id in back if reference != subject}
    if len(subjects) != 1:
        return None
    ((subject, (payment_id, refund_id)),) = subjects.items()
    # Also where we have posted it nowhere: somebody has typed it in, with the reference of the processor's receipt.
    return Echo(payment_id, refund_id, None, tuple(one for one in store.find(tx, subject) if one.subject == subject))


def _echo(known: Iterable[Posting], amount: Money | None) -> Echo:
    postings = tuple(known)
    first = postings[0]
    if first.is_adjustment:
        return Echo("", "", amount, postings, adjustment_id=first.subject)
    return Echo(first.payment_id, first.subject if first.is_refund else "", amount, postings)


def _amount(tx: Tx, posting: Posting, number: int) -> Money | None:
    """Of line `number`; None where we posted no such line."""
    if posting.is_adjustment:
        return amount_of(tx, posting.subject, number)
    if posting.is_refund:
        return next((one.amount for one in back_lines(tx, posting.subject) if one.number == number), None)
    paid = [one for one in first_lines(tx, posting.payment_id) if one.paid]
    for one in paid:
        if one.sequence == number:
            return one.paid
    rest = first_rest(payments.get(tx, posting.payment_id), paid)
    return rest if rest and number == max((one.sequence for one in paid), default=0) + 1 else None
