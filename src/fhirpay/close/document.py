"""A close as the document that is signed: canonical JSON (sorted keys, ASCII), amounts as text, moments in UTC. Pure.

Made by usecases/day_close.py in two steps: `unsigned` while it is looked at, `signed` in the unit that keeps it. What
is hashed is the text that is kept; it names the hash of the close before it, so that none can be taken out or put
between.
Another shape is another `v`: what was signed stays readable for ever (sheet.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from ..domain.money import Money
from ..ledger.chain import Head, canonical, digest
from .figures import Batch, CopayLine, Figures, LateEntry, MoneyLine, OpenPoint, SessionFigures, TillClosed

Json = dict[str, Any]
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """Which close: of whom, of which day, as of when, after which one. `former` and `replaces` are (id, hash)."""

    tenant: str
    facility: str
    till: str
    zone: str
    day: date
    begins: datetime
    ends: datetime
    as_of: datetime
    number: int
    former: tuple[str, str] | None
    replaces: tuple[str, str, str, str] | None  # with who opened it again, and why


def unsigned(asked: Asked, figures: Figures, head: Head, head_signed: str) -> Json:
    """The document, but for who signs it."""
    return {
        "v": FORMAT,
        "tenant": asked.tenant,
        "facility": asked.facility,
        "till": asked.till,
        "zone": asked.zone,
        "day": asked.day.isoformat(),
        "begins": moment(asked.begins),
        "ends": moment(asked.ends),
        "as_of": moment(asked.as_of),
        "day_over": asked.as_of >= asked.ends,
        "number": asked.number,
        "former": _named(asked.former, ("close", "hash")),
        "replaces": _named(asked.replaces, ("close", "hash", "reopened_by", "why")),
        "ledger": {"seq": head.seq, "hash": head.hash, "signed": head_signed},
        "copays": [_copay(one) for one in figures.copays],
        "copays_in_all": _copays_in_all(figures.copays),
        "called_off": figures.called_off,
        "money": [_money(one) for one in figures.money],
        "money_in_all": sums(one.amount for one in figures.money),
        "after_close": [_late(one) for one in figures.late],
        "sessions": [_session(one) for one in figures.sessions],
        "tills": [_till(one) for one in figures.tills],
        "readers": _readers(figures.money),
        "batches": [_batch(one) for one in figures.batches],
        "safe": [amount(one) for one in figures.safe],
        "waiting_for_payer": figures.waiting_for_payer,
        "open": [_point(one) for one in figures.points],
    }


def signed(document: Json, *, close_id: str, by: str, reason: str, at: datetime) -> tuple[str, str]:
    """The text that is kept, and its hash."""
    whole = {**document, "close": close_id, "signed": {"by": by, "reason": reason, "at": moment(at)}}
    text = canonical(whole)
    return text, digest(text)


def amount(money: Money) -> Json:
    return {"amount": f"{money.decimal:f}", "currency": money.currency}


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def sums(amounts: Iterable[Money]) -> list[Json]:
    """By currency, in the order of their codes."""
    return [amount(one) for one in _added(amounts)]


def totals(amounts: Iterable[Json]) -> list[Money]:
    """The same of amounts as a document has them."""
    return _added(Money.of(one["amount"], one["currency"]) for one in amounts)


def _added(amounts: Iterable[Money]) -> list[Money]:
    found: dict[str, Money] = {}
    for one in amounts:
        found[one.currency] = found[one.currency] + one if one.currency in found else one
    return [found[currency] for currency in sorted(found)]


def _named(values: Sequence[str] | None, names: Sequence[str]) -> Json | None:
    return None if values is None else dict(zip(names, values, strict=True))


def _maybe(money: Money | None) -> Json | None:
    return None if money is None else amount(money)


def _copay(one: CopayLine) -> Json:
    return {
        "appointment": one.appointment,
        "visit": one.visit,
        "account": one.account,
        "obligation": one.obligation_id,
        "expected": _maybe(one.expected),
        "collected": _maybe(one.collected),
        "open": _maybe(one.open),
        "payments": [
            {"payment": paid.payment_id, "tender": paid.tender, "day": paid.day} | amount(paid.amount)
            for paid in one.paid
        ],
        "why": one.why,
    }


def _copays_in_all(lines: Sequence[CopayLine]) -> Json:
    return {
        "visits": len({one.appointment or one.visit or one.obligation_id for one in lines}),
        "expected": sums(one.expected for one in lines if one.expected is not None),
        "collected": sums(one.collected for one in lines if one.collected is not None),
        "open": sums(one.open for one in lines if one.open is not None),
    }


def _money(one: MoneyLine) -> Json:
    what = {"when": one.when, "till": one.till, "terminal": one.terminal, "tender": one.tender, "kind": one.kind}
    days = {"first_day": one.first_day.isoformat(), "last_day": one.last_day.isoformat()}
    return what | days | {"count": one.count} | amount(one.amount)


def _late(one: LateEntry) -> Json:
    what = {"seq": one.seq, "payment": one.payment_id, "refund": one.refund_id, "kind": one.kind, "till": one.till}
    when = {"day": one.day.isoformat(), "recorded_at": moment(one.recorded_at), "after": one.after}
    return what | when | {"tender": one.tender} | amount(one.amount)


def _session(one: SessionFigures) -> Json:
    names = "left floated taken given paid_in paid_out dropped corrected expected counted over".split()
    return {
        "session": one.session_id,
        "till": one.till,
        "day": one.day,
        "opened": {"by": one.opened_by, "at": moment(one.opened_at)},
        "closed": {"by": one.closed_by, "at": moment(one.closed_at)},
        **{name: amount(getattr(one, name)) for name in names},
    }


def _till(one: TillClosed) -> Json:
    named = {"till": one.till, "close": one.close_id, "hash": one.hash, "day": one.day, "by": one.signed_by}
    return named | {"over": [amount(money) for money in one.over]}


def _readers(lines: Sequence[MoneyLine]) -> list[Json]:
    """The batch of each reader: what it took, voided and gave back, by currency."""
    found: dict[str, list[MoneyLine]] = {}
    for one in lines:
        if one.terminal:
            found.setdefault(one.terminal, []).append(one)
    return [
        {"terminal": name, "count": sum(one.count for one in of if one.kind == "taken")}
        | {"sums": sums(one.amount for one in of)}
        for name, of in sorted(found.items())
    ]


def _batch(one: Batch) -> Json:
    said = {"reference": one.reference, "keyed": amount(one.keyed), "booked": amount(one.booked)}
    return said | {"difference": amount(one.difference)}


def _point(one: OpenPoint) -> Json:
    since = None if one.since is None else moment(one.since)
    return {"kind": one.kind, "subject": one.subject, "says": one.says, "since": since} | {
        "amount": None if one.amount is None else amount(one.amount)
    }
