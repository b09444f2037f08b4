"""What is known of a payout → what is posted of it. Called by posted_facts.py and postings.py.

Its lines as the processor tells them: each payment, refund, return and dispute gross, all their fees as one, and what
is of no payment by itself. They come to its amount, which is the bank's line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

from ..config import Tenant
from ..db.unit import Tx
from ..domain.money import Money
from ..domain.payout import PayoutState
from ..domain.settlement import LineKind
from ..settlement import store as settlement
from ..settlement.store import Line, Payout
from ..writeback import store
from ..writeback.payment_reconciliation import RESOURCE_TYPE
from ..writeback.payout_posting import PayoutLine, PostedPayout
from ..writeback.posted import Ref
from ..writeback.store import Posting
from .whose import refund_of

BACK = "-back"
"""What is put after a payout's id: the posting that takes it back."""


def payout_facts(tx: Tx, posting: Posting, tenant: Tenant) -> PostedPayout:
    """Raises NotFound for a payout or a merchant that isn't there any more."""
    payout = settlement.by_id(tx, posting.payment_id)
    merchant = tenant.merchant(payout.merchant)
    zone = zone_of(tenant, payout)
    posted = PostedPayout(
        id=payout.payout_id,
        amount=payout.amount,
        at=payout.created_at,
        on=_day(payout, zone),
        zone=zone,
        processor=merchant.processor,
        reference=payout.processor_ref,
        lines=_lines(tx, payout, zone, posting.connection),
    )
    return _back(posted, tx) if posting.is_refund else posted


def zone_of(tenant: Tenant, payout: Payout) -> str:
    """That of the facility that is paid out."""
    return next((one.zone for one in tenant.facilities if one.merchant == payout.merchant), tenant.facilities[0].zone)


def _back(posted: PostedPayout, tx: Tx) -> PostedPayout:
    today = tx.now.astimezone(ZoneInfo(posted.zone)).date()
    lines = [replace(line, amount=-line.amount, request=None) for line in posted.lines]
    taken = replace(posted, id=posted.id + BACK, amount=-posted.amount, at=tx.now, on=today, lines=lines)
    return replace(taken, back_of=posted.id)


def _day(payout: Payout, zone: str) -> date:
    try:
        return date.fromisoformat(payout.arrives_on)
    except ValueError:
        return payout.created_at.astimezone(ZoneInfo(zone)).date()


def _lines(tx: Tx, payout: Payout, zone: str, connection: str) -> list[PayoutLine]:
    found: list[PayoutLine] = []
    fees = Money.zero(payout.amount.currency)
    where = ZoneInfo(zone)
    known = sorted(lines_of(tx, payout), key=lambda one: (one.occurred_at, one.line_ref))
    for line in known:
        fees += line.fee
        if not line.gross:
            continue
        day = line.occurred_at.astimezone(where).date()
        if line.kind.of_no_payment:
            found.append(PayoutLine(len(found) + 1, "adjustment", line.gross, day))
            continue
        of = _of(tx, line)
        found.append(PayoutLine(len(found) + 1, "payment", line.gross, day, of, _request(tx, of, connection)))
    if fees:
        last = max(line.occurred_at for line in known).astimezone(where).date()
        found.append(PayoutLine(len(found) + 1, "adjustment", -fees, last))
    return found


def lines_of(tx: Tx, payout: Payout) -> Iterable[Line]:
    """All of them, but the payout's own and what is in another currency."""
    after = ""
    while page := settlement.lines_of(tx, payout, after=after):
        after = page[-1].line_ref
        yield from (
            one for one in page if one.kind is not LineKind.PAYOUT and one.net.currency == payout.amount.currency
        )


def _of(tx: Tx, line: Line) -> str:
    """The refund, where the line is of one that is known, else the payment; empty: it isn't known here."""
    if line.kind in (LineKind.REFUND, LineKind.REFUND_FAILURE):
        known = refund_of(tx, line.merchant, line.our_ref, line.of_ref)
        if known is not None:
            return known.refund_id
    return line.payment_id


def _request(tx: Tx, of: str, connection: str) -> Ref | None:
    """What that connection has of it."""
    there = (one for one in store.of_subject(tx, of) if of and one.connection == connection and one.remote_id)
    known = next((one for one in there if one.resource_type == RESOURCE_TYPE and one.state == "posted"), None)
    return {"reference": f"{RESOURCE_TYPE}/{known.remote_id}"} if known else None


def note_posted(tx: Tx, posting: Posting) -> None:
    """Once every EHR that it is posted to has it, and the bank too, a payout is `posted`.

    One that is never to have it (staff rejected it, or it was kept in shadow) isn't waited for; rejected everywhere,
    the payout stays `bank_matched`.
    """
    if posting.is_refund:
        return
    payout = settlement.by_id(tx, posting.payment_id)
    states = {one.state for one in store.of_subject(tx, payout.payout_id)}
    if payout.state is PayoutState.BANK_MATCHED and "posted" in states <= {"posted", *store.NEVER}:
        settlement.note_state(tx, payout, PayoutState.POSTED)
