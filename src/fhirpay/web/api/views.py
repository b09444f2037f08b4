"""What clients see of payments, refunds, methods and obligations: plain JSON, amounts as decimals with a currency."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ...billing import money as billing
from ...billing import store as obligations
from ...billing.entries import EntryRecord, HoldRecord
from ...billing.rows import ObligationView
from ...config import Facility
from ...db.unit import Tx
from ...domain.money import Money
from ...errors import RuleBroken
from ...inbox.decisions import Decision
from ...inbox.store import InboxMessage
from ...payments import (
    choice,
    declines,
    disputes,
    mandates,
    refunds,
    returns,
    store,
    stored_methods,
    tenders,
    terminals,
)
from ...payments.declines import Decline
from ...payments.records import Payment, Return, StoredMethod
from ...payments.tenders import Tender
from ...usecases.credit import Credit
from ...usecases.desk_list import Line
from ...usecases.told import first_lines, first_rest

Json = dict[str, Any]


def money(amount: Money) -> Json:
    return {"value": amount.decimal, "currency": amount.currency}


def at(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def payment(tx: Tx, payment_id: str) -> Json:
    """Raises NotFound."""
    found = store.get(tx, payment_id)
    body: Json = {
        "id": found.payment_id,
        "state": str(found.state),
        "amount": money(found.amount),
        "authorized": money(found.authorized),
        "captured": money(found.captured),
        "voided": money(found.voided),
        "refunded": money(found.refunded),
        "returned": money(found.returned),
        "account": found.account_ref,
        "method": _method_of(tx, found),
        "initiated_by": found.initiated_by,
        "merchant_reason": found.merchant_reason or None,
        "allocations": [
            {
                "number": one.sequence,
                "obligation": one.obligation_id,
                "account": one.account_ref,
                "reserved": money(one.reserved),
                "paid": money(one.paid),
                "refunded": money(one.refunded),
                "returned": money(one.returned),
            }
            for one in store.allocations(tx, payment_id)
        ],
        "hosted_url": found.hosted_url,
        "created_at": at(found.created_at),
        "captured_at": at(found.captured_at),
        "returnable_until": at(found.returnable_until),
        "retry": {"of": found.retry_of, "number": found.retry} if found.retry_of else None,
        "business_date": found.business_date,
        "merchant": found.merchant,
        "tried": [
            {"merchant": one.merchant, "tries": one.begun, "not_reached": one.not_reached, "says": one.says}
            for one in choice.tries_of(tx, payment_id)
        ],
        "processor": {"name": found.processor, "reference": found.processor_ref, "capture": found.capture_ref},
        "operations": [
            {"kind": str(one.kind), "state": str(one.state), "amount": money(one.amount), "since": at(one.created_at)}
            for one in store.operations_of(tx, payment_id)
        ],
        "refunds": [one.refund_id for one in refunds.of_payment(tx, payment_id)],
        "returns": [_return(one) for one in returns.of_payment(tx, payment_id)],
        "disputes": [one.dispute_id for one in disputes.of_payment(tx, payment_id)],
    }
    if (why := declines.find(found.failure_code)) is not None:
        body["decline"] = decline(why)
    elif found.failure_code:
        body["failure"] = {"code": found.failure_code, "message": found.failure_says}
    if (operation := store.open_operation(tx, payment_id)) is not None:
        body["operation"] = {"kind": str(operation.kind), "state": str(operation.state), "since": at(operation.sent_at)}
    return body


def decline(one: Decline) -> Json:
    """`desk` is for staff, `patient` for the payer: neither repeats what a bank suspects."""
    return {
        "code": str(one.code),
        "hard": one.hard,
        "advice": str(one.advice),
        "desk": one.desk,
        "patient": one.patient,
    }


def _method_of(tx: Tx, found: Payment) -> Json:
    if (tender := tenders.find(tx, found)) is not None:
        return _tender(found, tender)
    if found.method == terminals.METHOD:
        return _on_reader(tx, found)
    shown = {"kind": found.method, "tender": found.tender, "stored_method": found.method_id}
    shown |= {"brand": found.brand, "last4": found.last4}
    return {name: value for name, value in shown.items() if value}


def _on_reader(tx: Tx, found: Payment) -> Json:
    at_reader = terminals.find(tx, found.payment_id)
    shown: Json = {"kind": found.method, "tender": found.tender, "brand": found.brand, "last4": found.last4}
    if at_reader is not None:
        shown |= {"terminal": at_reader.terminal, "till": at_reader.till, "entry_mode": at_reader.entry_mode}
        shown |= {"authorization": found.authorization_code, "network_reference": at_reader.network_ref}
    return {name: value for name, value in shown.items() if value}


def _return(one: Return) -> Json:
    """Money that came back of a payment, or (`reverses`) came again."""
    return {
        "id": one.return_id,
        "amount": money(one.amount),
        "code": one.code or None,
        "reason": one.reason or None,
        "fee": money(one.fee),
        "recovered": money(one.recovered),
        "reverses": one.reverses,
        "occurred_at": at(one.occurred_at),
        "business_date": one.business_date,
        "processor": {"reference": one.reference},
    }


def _tender(found: Payment, tender: Tender) -> Json:
    cash = found.method == "cash"
    shown: Json = {"kind": found.method, "till": tender.till, "taken_by": tender.taken_by, "payer": tender.payer}
    shown |= {"tendered": money(tender.tendered), "change": money(tender.change)} if cash else {}
    shown |= {"check_number": tender.check_number, "brand": found.brand, "last4": found.last4}
    shown |= {"authorization": found.authorization_code, "deposit_for": tender.purpose, "about": tender.about}
    return {name: value for name, value in shown.items() if value}


def receipt(tx: Tx, payment_id: str, facility: Facility) -> Json:
    """What a receipt says: no name, no diagnosis. `left` may still be asked for. Raises NotFound, RuleBroken."""
    found = store.get(tx, payment_id)
    tender = tenders.find(tx, found)
    if tender is None or found.captured_at is None:
        raise RuleBroken(f"no desk took payment {payment_id}: its processor has the receipt")
    paid = [
        {"obligation": one.obligation_id, "for": one.obligation_id and _targets(tx, one.obligation_id)}
        | {"amount": money(one.paid)}
        for one in first_lines(tx, payment_id)
        if one.paid
    ]
    rest = first_rest(found, first_lines(tx, payment_id))
    askable = balance(tx, found.account_ref)["askable"]
    return {
        "number": found.payment_id,
        "facility": facility.name,
        "account": found.account_ref,
        "at": found.captured_at.astimezone(ZoneInfo(facility.zone)).isoformat(timespec="seconds"),
        "business_date": found.business_date,
        "state": str(found.state),
        "amount": money(found.amount),
        "tender": _tender(found, tender),
        "paid": paid,
        "credit": money(rest),
        "left": askable,
    }


def credit(one: Credit) -> Json:
    """`payer` is null where the desk named nobody else than the patient or guarantor."""
    return {
        "payment": one.payment.payment_id,
        "account": one.payment.account_ref,
        "amount": money(one.amount),
        "method": one.payment.method,
        "payer": one.payer or None,
        "deposit_for": one.purpose or None,
        "taken_at": at(one.payment.captured_at),
    }


def _targets(tx: Tx, obligation_id: str) -> list[str]:
    return list(obligations.obligation(tx, obligation_id).targets)


def refund(tx: Tx, refund_id: str) -> Json:
    """Raises NotFound."""
    found = refunds.get(tx, refund_id)
    body: Json = {
        "id": found.refund_id,
        "payment": found.payment_id,
        "state": str(found.state),
        "amount": money(found.amount),
        "reason": found.reason,
        "takes_back": [
            {"allocation": one.allocation or None, "obligation": one.obligation_id or None, "amount": money(one.amount)}
            for one in refunds.shares(tx, refund_id)
        ],
        "requested_by": found.requested_by,
        "created_at": at(found.created_at),
        "succeeded_at": at(found.succeeded_at),
        "business_date": found.business_date,
        "processor": {"reference": found.processor_ref},
    }
    if (given := tenders.given_back(tx, refund_id)) is not None:
        shown = {"kind": given.kind, "till": given.till, "check_number": given.check_number}
        body["tender"] = {name: value for name, value in shown.items() if value}
    if found.failure_says:
        body["failure"] = {"message": found.failure_says}
    return body


def dispute(tx: Tx, dispute_id: str) -> Json:
    """Raises NotFound."""
    found = disputes.get(tx, dispute_id)
    body: Json = {
        "id": found.dispute_id,
        "payment": found.payment_id,
        "account": store.get(tx, found.payment_id).account_ref,
        "state": str(found.state),
        "round": found.round,
        "funds": str(found.funds),
        "amount": money(found.amount),
        "withdrawn": money(found.withdrawn),
        "reinstated": money(found.reinstated),
        "fee": money(found.fee),
        "lost": money(found.lost),
        "reason": found.reason or None,
        "respond_by": at(found.respond_by) if found.is_open else None,
        "opened_at": at(found.opened_at),
        "merchant": found.merchant,
        "processor": {"reference": found.processor_ref},
    }
    if found.accepted_by:
        body["accepted"] = {"by": found.accepted_by, "why": found.accepted_why}
    if found.ended_by:
        body["ended"] = {"by": found.ended_by, "why": found.ended_why}
    return body


def method(tx: Tx, method_id: str) -> Json:
    """Raises NotFound. The token stays with us: nobody else can use it, and nobody needs it."""
    found: StoredMethod = stored_methods.get(tx, method_id)
    consent = stored_methods.live_consent(tx, method_id)
    return {
        "id": found.method_id,
        "account": found.account_ref,
        "kind": found.kind,
        "state": found.state,
        "mandate": _mandate(tx, method_id),
        "brand": found.brand,
        "last4": found.last4,
        "expires": found.expires,
        "consent": None
        if consent is None
        else {
            "id": consent.consent_id,
            "text_sha256": consent.text_sha256,
            "cap": money(consent.cap),
            "given_at": at(consent.given_at),
            "recorded_by": consent.recorded_by,
        },
    }


def _mandate(tx: Tx, method_id: str) -> Json | None:
    """Of a bank account: the authorization to debit it, and what its bank wants put right."""
    found = mandates.find(tx, method_id)
    if found is None:
        return None
    return {
        "state": str(found.state),
        "sec_code": found.sec_code,
        "code": found.code or None,
        "changed_by": found.changed_by or None,
        "changed_at": at(found.changed_at),
        "notices_of_change": [
            {"code": one.code, "says": one.says, "at": at(one.occurred_at)}
            for one in mandates.notices_of(tx, method_id)
        ],
    }


def obligation(one: ObligationView) -> Json:
    return {
        "id": one.obligation_id,
        "account": one.account_ref,
        "basis": {"kind": one.basis_kind, "key": one.basis_key},
        "state": str(one.state),
        "hold": one.hold or None,
        "pending": money(one.pending),
        "patient": money(one.patient),
        "memo": money(one.memo),
        "written_off": money(one.written_off),
        "paid": money(one.paid),
        "in_flight": money(one.in_flight),
        "askable": money(one.askable),
        "collectable_from": at(one.collectable_from),
        "why": [{"kind": says.kind, "says": says.says, "source": says.source} for says in one.statement],
    }


def hold(one: HoldRecord) -> Json:
    body: Json = {"id": one.hold_id, "account": one.account_ref, "name": one.name, "says": one.says}
    body |= {"state": "open" if one.released_at is None else "released"}
    body |= {"opened_by": one.opened_by, "opened_at": at(one.opened_at)}
    if one.released_at is not None:
        body["released"] = {"by": one.released_by, "at": at(one.released_at), "why": one.released_why}
    return body


def entry(one: EntryRecord) -> Json:
    body: Json = {"id": one.entry_id, "account": one.account_ref, "kind": one.kind}
    body |= {"amount": None if one.amount is None else money(one.amount), "reason": one.reason}
    body |= {} if one.charge_ref is None else {"charge": one.charge_ref}
    body |= {} if one.write_off is None else {"write_off": one.write_off, "obligation": one.obligation_id}
    body |= {"state": "in force" if one.withdrawn_at is None else "withdrawn"}
    body |= {"entered_by": one.entered_by, "entered_at": at(one.entered_at)}
    if one.withdrawn_at is not None:
        body["withdrawn"] = {"by": one.withdrawn_by, "at": at(one.withdrawn_at), "why": one.withdrawn_why}
    return body


def line(one: Line, now: datetime) -> Json:
    """A line of the worklist. `age_days` are full days."""
    return {
        "id": one.line_id,
        "kind": one.kind,
        "subject": one.subject,
        "account": one.account_ref or None,
        "amount": None if one.amount is None else money(one.amount),
        "says": one.says,
        "next": one.next,
        "owner": one.owner,
        "command": one.command,
        "since": at(one.since),
        "age_days": (now - one.since).days,
    }


def message(one: InboxMessage) -> Json:
    """What came in, without what it says: the body is health information."""
    return {
        "id": one.message_id,
        "control_id": one.control_id,
        "type": one.label or one.kind,
        "interface": one.interface,
        "source": one.source,
        "occurrence": one.occurrence,
        "accounts": [key.rpartition("|")[2] for key in one.account_keys],
        "received_at": at(one.received_at),
        "state": one.state,
        "detail": one.detail,
    }


def decision(one: Decision) -> Json:
    return {"kind": one.kind, "by": one.by, "why": one.why, "at": at(one.at)}


def balance(tx: Tx, account_ref: str) -> Json:
    """What may be asked for on this account now, and what stands to its credit."""
    owed = obligations.owed(tx, account_ref)
    sums: dict[str, Money] = {}
    for one in owed:
        currency = one.askable.currency
        sums[currency] = sums.get(currency, Money.zero(currency)) + one.askable
    return {
        "account": account_ref,
        "askable": [money(amount) for _, amount in sorted(sums.items())],
        "credit": [{**money(one.amount), "payment": one.payment_id} for one in billing.credits_of(tx, account_ref)],
        "obligations": [obligation(one) for one in owed],
    }
