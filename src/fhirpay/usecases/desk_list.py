"""Everything that waits for a person, in one list: the worklist, breaks of payments, outcomes that nobody knows.

Called by web/api/staff.py and `fhirpay worklist`. Parked messages and parked calls are lines of the worklist. Oldest
first, page by page. To add a kind of line: open it where it is found, and say in `NEXT` what to do about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ..billing import worklist
from ..billing.bills import PAID_ELSEWHERE
from ..billing.entries import CHARGED_ELSEWHERE, OWNER_CHANGED
from ..billing.entries import GIVEN_UP_ELSEWHERE as GIVEN_UP
from ..billing.look_alikes import LOOK_ALIKE
from ..billing.money import CREDIT
from ..billing.openings import REPLACED as REPLACED_OPENING
from ..billing.relief import UNPLACED
from ..billing.store import LOWERED
from ..billing.watermark import BEFORE
from ..billing.write_offs import UNPLACED as GIVEN_UP_ELSEWHERE
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound, RuleBroken
from ..flow import lane
from ..outbox import QUEUE
from ..payments import store, unattended
from ..payments.by_hand import DIFFERS as BY_HAND_DIFFERS
from .apply_message import PARKED, REPLACED
from .bank_codes import CHANGED, STOPPED
from .check_traffic import DEPARTS
from .collect import LIST
from .daily_check import DISAGREES
from .dispute import DUE as DISPUTE_DUE
from .dispute import LOST as DISPUTE_LOST
from .dispute_losses import OVER as DISPUTE_OVER
from .echoes import ADJUSTED_OTHERWISE, DIFFERS, TURNED
from .external_payments import BEFORE as EHR_BEFORE
from .external_payments import LOOK_ALIKE as EHR_LOOK_ALIKE
from .external_payments import TWO_POSTERS, UNMATCHED
from .keep_subscribed import UNTOLD
from .launch import SHUT as LAUNCH_SHUT
from .look_at_visit import UNFOUND, UNREAD
from .merge_accounts import CONSENT
from .moved_money import REALLOCATED
from .parked import KIND as PARKED_CALL
from .poll_ehr import UNFILTERED
from .post_back import SHUT
from .postings import BACK
from .receive_batch import MISCOUNT
from .receive_batch import REFUSED as BATCH_REFUSED
from .receive_notification import SILENT as QUIET
from .receivers_gone import GONE
from .returned import RETURNED, UNEXPLAINED
from .reverse import NOT_REVERSED
from .rollout import TO_CONFIRM
from .settle_outcome import unknown_key
from .silence import SILENT
from .subscribe import FAILED as NOT_TOLD
from .sweep import MISSED, UNLISTED
from .take_export import DELETED
from .take_files import STUCK, UNREACHABLE
from .take_polled import REFUSED as POLLED_REFUSED
from .webhook_endpoints import DISABLED as WEBHOOK_DISABLED
from .webhook_endpoints import FAILED as WEBHOOK_FAILED

PAGE = 100
UNKNOWN = "unknown_outcome"
TO_PAYER = "payer_must_confirm"
LOOK = "Look at it with `fhirpay explain`, then mark it done."

_STATED = "Ask who sent it to correct it: it counts as soon as it is stated right."
_AT_PROCESSOR = "Compare with the processor's own record of the payment, then mark it done."
# kind → what a person does about it
NEXT: Mapping[str, str] = {
    LIST: "Ask the payer: take a payment, or send the page's link.",
    CREDIT: "Find out whose money it is: refund it, or leave it for the next bill.",
    RETURNED: "Ask the payer for another way to pay; it goes by itself if the return is reversed. Else mark it done.",
    UNEXPLAINED: _AT_PROCESSOR,
    STOPPED: "Ask the payer for another method, or to agree anew; what is only suspended may be made active again.",
    CHANGED: "Have the payer name the account anew, or see that the processor has put it right; then make it active.",
    "refunded": "Decide whether it is asked for again: release the hold 'refunded', or leave it and mark this done.",
    OWNER_CHANGED: "See who owes and which insurance is right, then release the hold 'owner_changed'.",
    CHARGED_ELSEWHERE: "Is it moved, or a second one? Have the one that is wrong credited, then release the hold.",
    GIVEN_UP: "Is it given up here too? Write it off here, or recover it there; then release the hold.",
    CONSENT: "Ask the payer to agree anew, and record it: until then a person has to ask for each payment.",
    REALLOCATED: "Move the money at the EHR by hand, then mark it done.",
    PARKED: "Mend what it says, then `fhirpay replay ID` or POST /messages/replay; `--ignore` sets it aside for good.",
    SILENT: "Ask whether the sender and the line to it are up; it goes by itself when the feed speaks.",
    UNREAD: "Mend what it says, there or here; it is tried again and goes by itself once all is read.",
    UNFILTERED: "Ask the EHR to search by _lastUpdated; nothing is missed meanwhile, it takes longer.",
    UNFOUND: "Set `systems` to what its numbers are called here, or have them corrected; it is looked for again.",
    POLLED_REFUSED: "Have it corrected at the EHR: its next version is looked at anew. If it never is: mark it done.",
    DELETED: "See whether it counts: have what it made due credited or withdrawn, then mark it done.",
    UNTOLD: "Mend what it says, there or here; it goes by itself. Polling goes on, so nothing is lost meanwhile.",
    QUIET: "Ask the EHR whether its notifications get out; it goes by itself. Polling goes on meanwhile.",
    NOT_TOLD: "Have its endpoint mended; once its client asks anew, it is told all that it missed, and this goes.",
    WEBHOOK_FAILED: "Have its endpoint mended, then `fhirpay webhooks replay`, or skip the event; this goes by itself.",
    WEBHOOK_DISABLED: "Once its client has made it active again, this goes; it replays what it has missed.",
    DEPARTS: "Ask the sender to keep to `fhirpay conformance spec`, or agree on something else; then mark it done.",
    UNREACHABLE: "Mend what it says, here or with the server's owner; it goes by itself once the files come in.",
    STUCK: "See who may move and delete there; it goes by itself. Its messages are kept, none counts twice.",
    MISCOUNT: "Ask the sender whether a part is missing, and have that part sent.",
    BATCH_REFUSED: "Give the sender the reply that stands beside the file: what it refuses has to be sent right.",
    GONE: "Configure it again under this name, and they go out; `fhirpay writeback list --all` shows them.",
    TO_CONFIRM: "Compare with the chart, then `fhirpay writeback confirm ID`, or POST /postings/ID/confirm; or reject.",
    SHUT: "Mend what it says, there or here; `fhirpay conformance check` tries it. Nothing is lost meanwhile.",
    BACK: "Set it back at the EHR by hand where it is to be asked for again, then mark it done.",
    LAUNCH_SHUT: "Mend what it says, there or here; `fhirpay conformance check` tries it. Then open it from the EHR.",
    PARKED_CALL: "Mend what it says, then `fhirpay replay ID`; a posting that was made by hand: mark it done.",
    UNKNOWN: "Look at the processor; it ends by itself when that says it, or `fhirpay processor found ID` with yours.",
    DISAGREES: "A bug, or a hand in the database: `fhirpay doctor` lists all. Correct nothing by hand; report it.",
    MISSED: "Compare that time with the processor's own record: refunds and disputes above all. Then mark it done.",
    UNLISTED: "Mend what it says, there or here: `fhirpay processor sweep` tries it. It goes once it is read.",
    # of what was stated
    "amount_unknown": _STATED,
    "charge_status": _STATED,
    "charge_in_two_invoices": _STATED,
    "copay_ambiguous": _STATED,
    "copay_stated_twice": _STATED,
    "credit_over": _STATED,
    "credit_unlinked": _STATED,
    "invoice_over_charges": "Ask for a new Invoice: until then the lower amount is asked for.",
    "recipient_unknown": "Name the recipient as a guarantor of the account, or correct the Invoice.",
    PAID_ELSEWHERE: "Find out what that money is for: give it back, or leave it. Once it is gone, it is asked for.",
    LOOK_ALIKE: "Ask the sender. A second one: POST /second-charges, and it counts; the same come again: mark it done.",
    REPLACED: "Ask the sender. Corrected: mark it done. Two charges: have one sent again with another FT1-2.",
    BEFORE: "See whether the opening balance holds it. If not: `fhirpay cutover opening` with a line for it.",
    LOWERED: "Compare with the system before. Too high: `fhirpay cutover reverse`, then import what is right.",
    REPLACED_OPENING: "If the opening balance is not part of it, have it stated without: then both are asked for.",
    "charge_of_cancelled_visit": "Ask the sender for a credit, or for the visit that it belongs to.",
    UNPLACED: "Find out at the EHR what it is for; of a write-off, nothing is asked for until its charge is here.",
    GIVEN_UP_ELSEWHERE: "Withdraw the write-off; where it is to stand, write off what is asked for now instead.",
    ADJUSTED_OTHERWISE: "Have it corrected at the EHR, or withdraw the write-off: here it stands as it was made.",
    EHR_BEFORE: "Compare with the system before: where its opening balance doesn't know it, correct the balance.",
    UNMATCHED: "Look at the EHR which payment it is, and ask the sender for its FT1-2; nothing was changed.",
    EHR_LOOK_ALIKE: "Ask the sender. The same sent again: have it taken back. Two payments: mark it done.",
    "coverage_withdrawn": "Find out who pays: confirm self-pay, or wait for the coverage.",
    DISPUTE_DUE: "Upload evidence at the processor by the day it says, or accept the dispute; it goes by itself.",
    DISPUTE_LOST: "Is it asked for again? Release the hold 'dispute_lost', or leave it and mark this done.",
    # of payments
    DISPUTE_OVER: "Claim at the processor what was given back before, then mark it done.",
    "late_success": "Find out whose money it is: refund it, or leave it for the next bill.",
    "no_longer_owed": "Find out whose money it is: refund it, or leave it for the next bill.",
    "over_captured": "Refund what was taken too much.",
    "over_refunded": _AT_PROCESSOR,
    "amounts_disagree": _AT_PROCESSOR,
    "other_currency": _AT_PROCESSOR,
    "other_reference": _AT_PROCESSOR,
    "illegal_move": _AT_PROCESSOR,
    "unmatched": _AT_PROCESSOR,
    "not_carried_out": "Look at the processor why it refuses: it is tried on by itself, less and less often.",
    "not_sent": "Try it again: nothing has happened at the processor.",
    TO_PAYER: "Send the payer this link; it goes once that is paid, or has expired and is asked for anew.",
    "partly_approved": "See that it went back: refund it where it did not, and ask for the whole by another method.",
    "event_not_applied": _AT_PROCESSOR,
    "capture_amount": _AT_PROCESSOR,
    "refund_amount": _AT_PROCESSOR,
    "refund_unknown": _AT_PROCESSOR,
    TWO_POSTERS: "Ask the desk. The same money: have the EHR take its line back. Two payments: mark it done.",
    TURNED: "Find out why, and give the money back here if it is to go; else have the EHR post it again.",
    DIFFERS: "Have it corrected at the EHR: here it counts as it was taken.",
    # of what an EHR says that it has
    "missing_posting": "Look at the EHR. Not there: post it by hand and mark this done; it goes once it is shown.",
    "posted_twice": "Ask who posted it. The same money: have the EHR take one back. Two payments: mark it done.",
    "posting_amount_differs": "Have it corrected at the EHR: here it counts as taken. It goes once that shows.",
    "ehr_payment_unknown": "Ask the EHR's staff whose it is: have it taken back, or sent as FT1 PY so that it counts.",
    "ehr_posting_ambiguous": "Compare with the chart, and have our number put on them there; else mark it done.",
    "late_refund": "Tell the payer that the refund went out after all; see that it was not given back twice.",
    "refund_waits": "Look at the processor why the payment has not settled: the refund goes out once it has.",
    "refund_failed": "Give the money back by another way, or leave it for the next bill.",
    "settlement_unread": "Mend what it says, there or here; it is tried again hourly, by `fhirpay processor pull` now.",
    "settlement_line_changed": "Ask the processor why the line was changed; the books have it as it came first.",
    "settlement_adjustment": "Find out at the processor what it is for; its amount stays in processor_clearing.",
    "settlement_currency": "Compare with the processor's conversion; nothing of it is booked.",
    "settlement_unmatched": "Find out at the processor what these lines are of: they were not made from here.",
    "payout_changed": _AT_PROCESSOR,
    "payout_states": _AT_PROCESSOR,
    "payout_failed": "Correct the bank account at the processor; the amount is paid out anew by it.",
    "payout_sum": "Compare the payout's lines with the processor's report: one is missing, or one too many.",
    "payout_not_at_bank": "Ask the processor and the bank where it is; `fhirpay bank match` says what it is.",
    "payout_differs_at_bank": "Ask the bank for the rest, or for its fee; `fhirpay bank match` once lines come to it.",
    "bank_ambiguous": "Compare with the bank's own words, then say which is which: `fhirpay bank match`.",
    "bank_line_of_nobody": "Find out whose it is: `fhirpay bank match`, or `fhirpay bank receipt` until it is known.",
    "bank_statement_sum": "Ask the bank for the statement anew; the lines that it has are kept.",
    "bank_days_missing": "Give the files of the days between (`fhirpay bank take`); it goes by itself.",
    "batch_fee_gap": "Take the fees from the acquirer's own report; the amount stays in processor_clearing.",
    "payout_not_itemised": "Take its fees from the processor's own report; they are not in the books.",
    BY_HAND_DIFFERS: "Find out at the processor which is right, and put the other one right there or here; then done.",
    NOT_REVERSED: "Tell who asked that it stands, and ask for the refund once what stands in its way is over.",
    "refund_outside": "Find out who refunded it at the processor and why, then mark it done.",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One thing for a person. `amount` where money is at stake."""

    line_id: str
    kind: str
    subject: str
    says: str
    account_ref: str
    amount: Money | None
    since: datetime

    @property
    def next(self) -> str:
        return NEXT.get(self.kind, LOOK)


@dataclass(frozen=True, slots=True)
class Lines:
    """A page. `last` leads to the next one; None: this is the last."""

    lines: tuple[Line, ...]
    last: tuple[datetime, str] | None


def read(
    tx: Tx,
    *,
    account_ref: str | None = None,
    kind: str | None = None,
    after: tuple[datetime, str] | None = None,
    limit: int = PAGE,
) -> Lines:
    """What is open, oldest first; `after` is the moment and id of the last one seen."""
    most = limit + 1
    found = [
        Line(one.item_id, one.kind, one.subject, one.says, one.account_ref, one.amount, one.created_at)
        for one in worklist.list_open(tx, account_ref=account_ref, kind=kind, after=after, limit=most)
    ]
    found += [
        Line(one.break_key, one.kind, one.payment_id, one.says, one.account_ref, one.amount or None, one.opened_at)
        for one in store.breaks(tx, account_ref=account_ref, kind=kind, after=after, limit=most)
    ]
    if kind in (None, UNKNOWN):
        found += [one for one in _unknown(tx, account_ref) if after is None or (one.since, one.line_id) > after]
    if kind in (None, TO_PAYER):
        found += [one for one in _to_payers(tx, account_ref) if after is None or (one.since, one.line_id) > after]
    found.sort(key=lambda one: (one.since, one.line_id))
    page = tuple(found[:limit])
    return Lines(page, (page[-1].since, page[-1].line_id) if len(found) > limit else None)


def _unknown(tx: Tx, account_ref: str | None) -> list[Line]:
    """Outcomes that nobody knows and of which nobody has been told yet by a break: those come first of all."""
    told = {one.break_key for one in store.breaks(tx, kind=UNKNOWN)}
    lines: list[Line] = []
    for one in store.unknown_operations(tx):
        if unknown_key(one) in told:
            continue
        account = store.get(tx, one.payment_id).account_ref
        if account_ref in (None, account):
            says = f"nobody knows yet what became of {one.kind} {one.operation_id}: {one.says or 'no answer came'}"
            since = one.sent_at or one.created_at
            lines.append(Line(one.operation_id, UNKNOWN, one.payment_id, says, account, one.amount, since))
    return lines


def _to_payers(tx: Tx, account_ref: str | None) -> list[Line]:
    """Pages on which a payer has to confirm or pay what a stored method could not be charged with."""
    lines: list[Line] = []
    for one in unattended.waiting_for_payers(tx, account_ref):
        until = f" until {one.hosted_until:%Y-%m-%d %H:%M} UTC" if one.hosted_until else ""
        says = f"the payer's bank wants the payer to confirm {one.amount}, at {one.hosted_url}{until}"
        lines.append(Line(one.payment_id, TO_PAYER, one.payment_id, says, one.account_ref, one.amount, one.created_at))
    return lines


def done(tx: Tx, line_id: str, *, by: str, why: str) -> None:
    """A person has dealt with it. Raises NotFound when it isn't on the list, RuleBroken where that is not enough."""
    if not why.strip():
        raise RuleBroken("say why it is done: it is kept with the line")
    if line_id.startswith("opn") or ":unknown:" in line_id:
        raise RuleBroken("an outcome that nobody knows ends when it is said what it was: fhirpay processor found ID")
    if line_id.startswith("pay") and ":" not in line_id:
        raise RuleBroken("a link that waits for its payer ends when it is paid or has expired; or void the payment")
    item = worklist.find(tx, line_id)
    if item is None:
        if not store.close_break(tx, line_id, by=by, why=why):
            raise NotFound(f"{line_id} is not on the worklist")
        return
    if item.kind == PARKED:
        raise RuleBroken(f"a parked message is replayed or set aside: fhirpay replay {item.subject} [--ignore REASON]")
    if item.kind == TO_CONFIRM:
        raise RuleBroken(f"a posting is confirmed or rejected: fhirpay writeback confirm {item.subject}, or reject")
    if item.kind == PARKED_CALL:
        _discard(tx, item.subject, why)
    worklist.done(tx, line_id, by=by, why=why)


def _discard(tx: Tx, work_id: str, why: str) -> None:
    """The call is not to be made any more: a person did what it was for."""
    work = next((one for one in lane.parked(tx, QUEUE) if one.work_id == work_id), None)
    if work is not None and work.kind.startswith(("payment.", "refund.", "dispute.")):
        raise RuleBroken(f"a call that moves money is tried again, never dropped: fhirpay replay {work_id}")
    if work is not None:
        lane.discard(tx, work_id, reason=why)
