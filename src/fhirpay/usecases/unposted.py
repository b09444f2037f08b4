"""What no EHR has confirmed, and what a person does about it. Called by `fhirpay writeback` (cli/writeback.py).

A person has the last word on what can't be found out: it is there under this id, or it isn't and is to be sent. Where
the EHR can be read, what they found is compared with what was sent, since a wrong id would hide a missing payment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ..billing import adjustments
from ..db.unit import Tx, Units
from ..domain.money import Money
from ..errors import ConfigInvalid, NotFound, RuleBroken
from ..fhir.client import EhrRefused, FhirClient
from ..payments import store as payments
from ..payments import taken_back
from ..settlement import store as settlement
from ..writeback import dft, files, store
from ..writeback.posted import REST
from ..writeback.renderers import RENDERERS, named
from ..writeback.store import Posting
from .posted_adjustments import amount_for
from .postings import by_hand, waiting
from .seek_posting import is_ours_by
from .told import back_lines, first_lines, first_rest, taken


@dataclass(frozen=True, slots=True)
class Unposted:
    """One posting, with what to do about it. `age` is since the money moved."""

    posting: Posting
    amount: Money
    age: timedelta
    waits_for_a_person: bool
    says: str
    todo: str


def unposted(tx: Tx) -> list[Unposted]:
    """What waits for a person first, oldest first."""
    reasons = waiting(tx)
    found = [_unposted(tx, one, reasons) for one in store.unfinished(tx)]
    return sorted(found, key=lambda one: not one.waits_for_a_person)


def proposed(tx: Tx, connection: str, after: str | None, limit: int) -> list[Unposted]:
    """What waits for staff to confirm it, of one receiver or (empty) of all, in the order in which it came to wait;
    `after` is the posting of the last one seen."""
    return [_unposted(tx, one, {}) for one in store.proposed(tx, connection, after, limit)]


def _unposted(tx: Tx, one: Posting, reasons: Mapping[str, str]) -> Unposted:
    waits = one.work_id in reasons or one.state == "proposed"
    says = one.reason or reasons.get(one.work_id, "")
    return Unposted(one, _amount(tx, one), tx.now - one.created_at, waits, says, _todo(tx, one, waits))


async def resolve(
    units: Units, clients: Mapping[str, FhirClient], *, some_id: str, found: str, absent: bool, connection: str = ""
) -> str:
    """A person has looked: it is there as `found`, or it is `absent` and is sent again; the posting's id.

    `some_id` is the posting's, the payment's or the refund's. Raises NotFound, RuleBroken, and what a look at the EHR
    raises when it can't be had now.
    """
    if bool(found) is absent:
        raise ConfigInvalid("say what you saw: --found ID, or --absent")
    posting = await units.read(_meant, some_id, connection)
    if found and posting.resource_type in RENDERERS:  # what else there is, nobody can read back
        client = clients.get(posting.connection)
        if client is None:
            raise ConfigInvalid(f"connection '{posting.connection}' is no longer configured")
        await _confirm(client, posting, found)
    await units.write(by_hand, posting.posting_id, remote_id=found or None)
    return posting.posting_id


def _meant(tx: Tx, some_id: str, connection: str) -> Posting:
    known = [one for one in store.find(tx, some_id) if some_id in (one.posting_id, one.subject)]
    if not known:
        raise NotFound(f"there is no posting of {some_id}")
    reasons = waiting(tx)
    open_ = [one for one in known if one.work_id in reasons and connection in ("", one.connection)]
    if not open_:
        says = ", ".join(f"{one.state} at '{one.connection}'" for one in known)
        raise RuleBroken(f"the posting of {some_id} is {says}: there is nothing to decide")
    if len(open_) > 1:
        if len({one.connection for one in open_}) < len(open_):
            raise RuleBroken(f"it is posted in parts; say which: {', '.join(one.posting_id for one in open_)}")
        raise RuleBroken(f"say which EHR with --ehr: {', '.join(one.connection for one in open_)}")
    return open_[0]


async def _confirm(client: FhirClient, posting: Posting, found: str) -> None:
    if not (await client.capability(posting.resource_type)).read:
        return
    try:
        there = await client.read(posting.resource_type, found)
    except EhrRefused as error:
        raise RuleBroken(f"{posting.resource_type}/{found} can't be taken for it: {error}") from None
    if there is None:
        raise RuleBroken(f"there is no {posting.resource_type}/{found} at '{client.name}'")
    if not is_ours_by(there, posting):
        raise RuleBroken(
            f"{posting.resource_type}/{found} at '{client.name}' is another: identifier, amount or date differ"
        )


def _amount(tx: Tx, posting: Posting) -> Money:
    if posting.is_adjustment:
        return amount_for(tx, posting)
    if posting.is_payout:
        amount = settlement.by_id(tx, posting.payment_id).amount
        return -amount if posting.is_refund else amount
    payment = payments.get(tx, posting.payment_id)
    if posting.is_refund:
        back = [one.amount for one in back_lines(tx, posting.subject) if one.number in posting.numbers]
        whole = taken_back.amount_of(tx, posting.subject)
        said = sum(back, Money.zero(payment.currency)) if posting.numbers else whole
        return -said if taken_back.is_negative(tx, posting.subject) else said
    if not posting.numbers:
        return taken(payment)
    lines = first_lines(tx, payment.payment_id)
    here = sum((one.paid for one in lines if one.sequence in posting.numbers), Money.zero(payment.currency))
    return here + first_rest(payment, lines) if REST in posting.numbers else here


def _todo(tx: Tx, posting: Posting, waits: bool) -> str:
    if posting.state == "proposed":
        return f"fhirpay writeback confirm {posting.posting_id}, or reject"
    if posting.file is not None:
        return f"nothing: it stands in file {posting.file}, which `fhirpay writeback files list` shows"
    command = f"fhirpay writeback resolve {posting.posting_id}"
    if posting.state == "unknown":
        if posting.resource_type == dft.MESSAGE_TYPE:
            sought = f"MSH-10 {dft.control_id(posting.posting_id)}, FT1-2 {posting.subject}-…"
        else:
            sought = named(posting)
        return f"look at '{posting.connection}' for {sought}, then: {command} --found ID, or --absent"
    if waits:
        return f"mend what is said here, then: {command} --absent"
    if posting.is_refund and any(
        one.subject == posting.payment_id and one.connection == posting.connection and one.state != "posted"
        for one in store.of_payment(tx, posting.payment_id)
    ):
        return "nothing: it waits for its payment's posting"
    if posting.is_adjustment and any(
        other.connection == posting.connection and other.state != "posted"
        for one in adjustments.taken_back_by(tx, adjustments.get(tx, posting.subject))
        for other in store.of_subject(tx, one)
    ):
        return "nothing: it waits for the posting of what it takes back"
    if posting.way == files.WAY:
        return "nothing: it goes into the next file"
    if posting.state == "sent":
        return "nothing: it may be there, and is looked for"
    return "nothing: it is sent as soon as the EHR takes it"
