"""Adyen's settlement details report, a CSV file, → payouts and their lines. Pure; used by adyen.py alone.

A batch of one settlement currency is a payout: what its MerchantPayout says, or nothing where all of it is carried on
to the next batch. Columns are found by their names, in whatever order and beside whichever others. What moves our
balance is the net amount, in the settlement currency; gross is what it was before Adyen's costs. Where a payment was
made in another currency, gross is the net amount and the costs, the gross columns are its `presentment`, and `raw` has
the rate.

| type | line |
|---|---|
| Settled; SettledReversed | payment; return |
| Refunded; RefundedReversed | refund; refund_failure |
| Chargeback, SecondChargeback; ChargebackReversed | dispute; dispute_reversal |
| Fee, MiscCosts, PaymentCost, InvoiceDeduction, AuthorisationSchemeFee | fee |
| DepositCorrection, ReserveAdjustment, ReserveWithdrawal | reserve_held, reserve_released: by the sign |
| BalanceTransfer | carried |
| MerchantPayout; BankInstructionReturned | payout; payout_returned |
| MatchedStatement, ManualCorrected, InternalCompanyPayout | adjustment |
| any other; one of the first three rows whose money went the other way | other |

Sources: docs.adyen.com, "Settlement details report" (columns, example entries) and "Journal types". A line has no id of
its own: it is named by batch, type and Adyen's reference, and of those that have one name, by which it is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256

from ...config_csv import CsvForm
from ...domain.csv_lines import Cells, read_lines
from ...domain.money import Money
from ...domain.payout import PayoutState
from ...domain.settlement import LineKind
from ...errors import FhirpayError, MessageInvalid
from ..port import Reference
from ..settlement_port import PayoutSeen, Reported, SettlementLine

_K = LineKind
# Kind, and which way its money goes: 1 to us, -1 from us, 0 either.
TYPES: Mapping[str, tuple[LineKind, int]] = {
    "settled": (_K.PAYMENT, 1),
    "settledreversed": (_K.RETURN, -1),
    "refunded": (_K.REFUND, -1),
    "refundedreversed": (_K.REFUND_FAILURE, 1),
    "chargeback": (_K.DISPUTE, -1),
    "secondchargeback": (_K.DISPUTE, -1),
    "chargebackreversed": (_K.DISPUTE_REVERSAL, 1),
    **dict.fromkeys("fee misccosts paymentcost invoicededuction authorisationschemefee".split(), (_K.FEE, 0)),
    **dict.fromkeys("matchedstatement manualcorrected internalcompanypayout".split(), (_K.ADJUSTMENT, 0)),
    "balancetransfer": (_K.CARRIED, 0),
    "merchantpayout": (_K.PAYOUT, 0),
    "bankinstructionreturned": (_K.PAYOUT_RETURNED, 0),
}
RESERVES = frozenset("depositcorrection reserveadjustment reservewithdrawal".split())
_OF_PAYMENT = frozenset(kind for kind, way in TYPES.values() if way)

_PSP, _MODIFICATION, _TYPE, _BATCH = "Psp Reference", "Modification Reference", "Type", "Batch Number"
_ACCOUNT, _OURS, _OUR_CHANGE = "Merchant Account", "Merchant Reference", "Modification Merchant Reference"
_GROSS, _GROSS_DEBIT, _GROSS_CREDIT = "Gross Currency", "Gross Debit (GC)", "Gross Credit (GC)"
_NET, _NET_DEBIT, _NET_CREDIT = "Net Currency", "Net Debit (NC)", "Net Credit (NC)"
_COSTS = ("Commission (NC)", "Markup (NC)", "Scheme Fees (NC)", "Interchange (NC)")
_MADE, _MADE_ZONE, _BOOKED, _BOOKED_ZONE = "Creation Date", "TimeZone", "Booking Date", "Booking Date TimeZone"
_RATE, _DISPUTE = "Exchange Rate", "Dispute Reference"
COLUMNS = (
    *(_ACCOUNT, _PSP, _OURS, _MADE, _MADE_ZONE, _TYPE, _MODIFICATION, _GROSS, _GROSS_DEBIT, _GROSS_CREDIT, _RATE),
    *(_NET, _NET_DEBIT, _NET_CREDIT, *_COSTS, _OUR_CHANGE, _BATCH),
)

_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_OUR_NAME = re.compile(r"[a-z]{2,8}[0-9a-z]{16,40}([-_.][0-9a-z]{1,8})?\Z")  # as domain/ids.py makes them
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,12})?\Z")
_WORD = re.compile(r"[A-Za-z]{1,40}\Z")
_CODE = re.compile(r"[A-Z]{2,5}\Z")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\.\d+)?)?\Z")
NAME = re.compile(r"settlement_detail_report[A-Za-z0-9_.-]{1,120}\Z")  # of a report that may be asked for
_NUMBERED = re.compile(r"settlement_detail_report_batch_(\d{1,10})(?:[_.]|\Z)")
_PAYOUT = re.compile(r".*-batch-([0-9]{1,10})-[A-Z]{3}\Z")
_GAP = 31
_TRANSFER = re.compile(r"TX[0-9A-Z]{8,30}\Z")
# What is kept of a row beside its amounts: by name, and only where it looks like what it is to be.
_RAW: Mapping[str, re.Pattern[str]] = {
    **dict.fromkeys((_PSP, _MODIFICATION, _DISPUTE), _ID),
    **dict.fromkeys((_OURS, _OUR_CHANGE), _OUR_NAME),
    **dict.fromkeys((_GROSS, _NET, _MADE_ZONE, _BOOKED_ZONE), _CODE),
    _TYPE: _WORD,
    **dict.fromkeys((_GROSS_DEBIT, _GROSS_CREDIT, _NET_DEBIT, _NET_CREDIT, _RATE, *_COSTS, _BATCH), _NUMBER),
    **dict.fromkeys((_MADE, _BOOKED), _MOMENT),
}
# Hours from UTC. Abbreviations: the zone of the account, as the report writes it; one that isn't here is read as UTC.
_ZONES = {
    "UTC": 0,
    "GMT": 0,
    "WET": 0,
    "BST": 1,
    "WEST": 1,
    "CET": 1,
    "CEST": 2,
    "EET": 2,
    "EEST": 3,
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "AKST": -9,
    "AKDT": -8,
    "HST": -10,
    "SGT": 8,
    "HKT": 8,
    "JST": 9,
    "AEST": 10,
    "AEDT": 11,
}


@dataclass(frozen=True, slots=True)
class _Row:
    """A row: its cells by column, and where it stands."""

    at: str
    cells: Cells

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    def id(self, *columns: str) -> str:
        """The first of these that is one of Adyen's ids."""
        return next((self[one] for one in columns if _ID.match(self[one])), "")


def read(name: str, data: bytes, account: str) -> tuple[Reported, ...]:
    """What the report of this name says was paid out. Raises MessageInvalid with line and column: all of it or nothing.

    A batch that ends neither with a payout nor by being carried on was cut off.
    """
    batches: dict[tuple[str, str], list[_Row]] = defaultdict(list)
    for at, cells in read_lines(data, CsvForm(), COLUMNS, "a settlement details report"):
        row = _Row(at, cells)
        if row[_ACCOUNT] != account:
            says = f"it is of another merchant account than {account}: have it made for this one alone"
            raise MessageInvalid(says, location=f"{row.at}, {_ACCOUNT}")
        batches[_batch(row, name), row[_NET]].append(row)
    if not batches:
        raise MessageInvalid("there is no line in it but the names of its columns")
    return tuple(_reported(number, rows) for (number, _), rows in batches.items())


def between(payouts: Iterable[str]) -> tuple[str, ...]:
    """Batches are numbered one after the other: the reports of those that are missing, the newest `_GAP` at most."""
    known = {int(found[1]) for one in payouts if (found := _PAYOUT.match(one))}
    missing = [number for number in range(min(known), max(known)) if number not in known] if known else []
    return tuple(f"settlement_detail_report_batch_{number}.csv" for number in missing[-_GAP:])


def _batch(row: _Row, name: str) -> str:
    """Its number: in its column, else in the name of the file."""
    found = row[_BATCH]
    if not found and (named := _NUMBERED.match(name)):
        found = named[1]
    if not re.fullmatch(r"[0-9]{1,10}", found):
        raise MessageInvalid("a batch has a number", location=f"{row.at}, {_BATCH}")
    return found


def _reported(number: str, rows: list[_Row]) -> Reported:
    lines = list(_lines(number, rows))
    paid = [(row, one) for row, one in lines if one.kind is _K.PAYOUT]
    currency = lines[0][1].net.currency
    batch = f"batch {number} in {currency}"
    carried = any(one.kind is _K.CARRIED for _, one in lines)
    if not paid and not (carried and not sum((one.net for _, one in lines), Money.zero(currency))):
        says = f"{batch} ends with no payout and is not carried on whole: the file was cut off"
        raise MessageInvalid(says, location=rows[-1].at)
    last = paid[-1] if paid else lines[-1]
    seen = PayoutSeen(
        reference=Reference(f"{_plain(rows[0][_ACCOUNT])}-batch-{number}-{currency}"),
        state=PayoutState.IN_TRANSIT if paid else PayoutState.CLOSED,
        amount=-sum((one.net for _, one in paid), Money.zero(currency)),
        created_at=last[1].occurred_at,
        trace=next((word for row, _ in paid for word in row[_MODIFICATION].split() if _TRANSFER.match(word)), ""),
    )
    return Reported(seen, tuple(one for _, one in lines))


def _plain(account: str) -> str:
    """Each merchant account numbers its own batches."""
    return re.sub(r"[^A-Za-z0-9_.-]", "", account)[:60].lstrip("_.-") or "account"


def _lines(number: str, rows: list[_Row]) -> Iterator[tuple[_Row, SettlementLine]]:
    """Each with its name. Those that would have the same are numbered by what they hold, not by where they stand."""
    named: dict[str, list[_Row]] = defaultdict(list)
    for row in rows:
        named[_name(number, row)].append(row)
    for name, same in named.items():
        for at, row in enumerate(sorted(same, key=lambda one: [one[column] for column in COLUMNS]), 1):
            line = _line(row)
            yield row, replace(line, reference=Reference(f"{name}:{at}" if at > 1 else name))


def _name(number: str, row: _Row) -> str:
    """Batch, currency, type, and Adyen's reference; where it has none, what its words come to."""
    words = f"{row[_MODIFICATION]}\0{row[_MADE]}"
    about = row.id(_MODIFICATION, _PSP) or sha256(words.encode()).hexdigest()[:16]
    kind = re.sub(r"[^A-Za-z0-9]", "", row[_TYPE])[:30] or "none"
    return f"{number}-{row[_NET][:3]}:{kind}:{about}"


def _line(row: _Row) -> SettlementLine:
    kind, way = TYPES.get(row[_TYPE].replace(" ", "").lower(), (_K.OTHER, 0))
    gross, net = _amounts(row, way)
    if row[_TYPE].replace(" ", "").lower() in RESERVES:
        kind = _K.RESERVE_HELD if net.minor < 0 else _K.RESERVE_RELEASED
    if way and net.minor * way < 0 and gross.minor * way < 0:
        kind = _K.OTHER
    if kind.of_no_payment:
        gross = net
    psp = row.id(_PSP)
    of_payment = kind in _OF_PAYMENT
    about = row.id(_MODIFICATION)
    if kind in (_K.DISPUTE, _K.DISPUTE_REVERSAL):
        about = row.id(_DISPUTE, _MODIFICATION)
    elif kind is _K.PAYMENT and (row[_OUR_CHANGE] == row[_OURS] or not _OUR_NAME.match(row[_OUR_CHANGE])):
        about = psp  # captured by itself: nothing but this line ever names that capture
    ours = row[_OUR_CHANGE] if kind in (_K.REFUND, _K.REFUND_FAILURE) else row[_OURS]
    return SettlementLine(
        reference=Reference("to-be-named"),
        kind=kind,
        raw_type=row[_TYPE] if _WORD.match(row[_TYPE]) else "?",
        gross=gross,
        fee=gross - net,
        occurred_at=_moment(row),
        payment=Reference(psp) if psp and of_payment else None,
        of=Reference(about or psp) if of_payment and (about or psp) else None,
        our_reference=ours if of_payment and _OUR_NAME.match(ours) else "",
        presentment=_presentment(row, gross) if of_payment else None,
        raw={name: row[name] for name, like in _RAW.items() if row[name] and like.match(row[name])},
    )


# ── amounts and times ─────────────────────────────────────────────────────────────────────────────────────────────


def _amounts(row: _Row, way: int) -> tuple[Money, Money]:
    """Gross and net, in the settlement currency."""
    net = _side(row, _NET, _NET_DEBIT, _NET_CREDIT)
    if not (row[_GROSS_DEBIT] or row[_GROSS_CREDIT]):
        return net, net
    if row[_GROSS] != row[_NET]:
        return sum((_money(row, column, _NET) for column in _COSTS), net), net
    gross = _side(row, _GROSS, _GROSS_DEBIT, _GROSS_CREDIT)
    # Files are known that have the gross amount of what was settled in the column of debits: the net one tells.
    return (-gross if gross.minor * way < 0 < net.minor * way else gross), net


def _presentment(row: _Row, gross: Money) -> Money | None:
    """As it was taken, where that was in another currency: signed as what it was converted into."""
    if row[_GROSS] == row[_NET] or not (row[_GROSS_DEBIT] or row[_GROSS_CREDIT]):
        return None
    taken = abs(_side(row, _GROSS, _GROSS_DEBIT, _GROSS_CREDIT))
    return taken if gross.minor > 0 else -taken


def _side(row: _Row, currency: str, debit: str, credit: str) -> Money:
    """Above zero: to us."""
    taken, given = _money(row, debit, currency), _money(row, credit, currency)
    if taken and given:
        raise MessageInvalid("one of debit and credit can be there, and not both", location=f"{row.at}, {debit}")
    return given - taken


def _money(row: _Row, column: str, currency: str) -> Money:
    text, code = row[column], row[currency]
    where = f"{row.at}, {column}"
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise MessageInvalid("a currency is three capital letters", location=f"{row.at}, {currency}")
    if text and not _NUMBER.match(text):
        raise MessageInvalid("an amount is digits with a point before its decimals", location=where)
    try:
        return Money.of(text or "0", code)
    except FhirpayError as error:
        raise MessageInvalid(error.message, location=where) from None


def _moment(row: _Row) -> datetime:
    """When it was booked, else made."""
    text, zone, column = row[_BOOKED], row[_BOOKED_ZONE], _BOOKED
    if not text:
        text, zone, column = row[_MADE], row[_MADE_ZONE], _MADE
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise MessageInvalid("a time is YYYY-MM-DD hh:mm:ss", location=f"{row.at}, {column}") from None
    return at.replace(tzinfo=timezone(timedelta(hours=_ZONES.get(zone, 0)))).astimezone(UTC)
