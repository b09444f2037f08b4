"""Opening balances: what each account owed in the system before, from a CSV file, booked once and asked for once.

Called by `fhirpay cutover opening` and `reverse`. `check` reads the whole file and says of each line what it would do;
with one mistake in it nothing is booked. Then a few lines in each unit, each with all that follows: a run that was
killed is finished by running it again, since a reference is booked once, whatever becomes of it later.

    reference,account,amount,currency[,assigner]
    LEG-4711,A100,125.00,USD
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..billing import cutover, rows
from ..config import Interface, Tenant
from ..db.unit import Tx, Units
from ..domain.money import Money, parse_decimal
from ..errors import Conflict, FhirpayError, MessageInvalid, RuleBroken
from ..fhir.replaced import living, survivor
from ..fhir.search import search
from ..hl7.assigner import hd_system
from ..log import Log
from .collect import reassess_accounts
from .cutover import Sums, stage_of

log = Log("cutover")

_REQUIRED = ("reference", "account", "amount", "currency")
_COLUMNS = (*_REQUIRED, "assigner")
_SLICE = 20  # lines in a unit
_LONGEST = 200
Verdict = Literal["new", "kept", "taken back", "nothing owed", "unknown account", "wrong"]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file. `says` is what it would do, in words."""

    number: int
    reference: str
    account: str
    amount: Money | None
    verdict: Verdict
    says: str
    account_ref: str = ""

    def __str__(self) -> str:
        amount = f" {self.amount}" if self.amount else ""
        return f"line {self.number}: {self.reference or '(no reference)'} {self.account}{amount}: {self.says}"


@dataclass(frozen=True, slots=True)
class Checked:
    """The file, line by line."""

    lines: tuple[Line, ...]

    def of(self, verdict: Verdict) -> list[Line]:
        return [one for one in self.lines if one.verdict == verdict]

    @property
    def totals(self) -> list[str]:
        found: list[str] = []
        for verdict in ("new", "kept", "taken back", "nothing owed", "unknown account", "wrong"):
            sums = Sums()
            for one in self.of(verdict):
                sums.add(one.amount) if one.amount else None
                sums.count += 0 if one.amount else 1
            found += [f"{verdict}: {sums}"] if sums.count else []
        return found


def read(text: str) -> list[tuple[int, dict[str, str]]]:
    """The file's lines by column, with their numbers. Raises MessageInvalid for what isn't such a file."""
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    found: list[tuple[int, dict[str, str]]] = []
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(header)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                says = f"it has {len(cells)} values, the header {len(header)}"
                raise MessageInvalid(says, location=f"line {reader.line_num}")
            found.append((reader.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=True))))
    except csv.Error as error:
        raise MessageInvalid(f"this is no CSV: {error}", location=f"line {reader.line_num}") from None
    if not found:
        raise MessageInvalid("there is nothing in it but the header", location="line 2")
    return found


def _check_header(header: Sequence[str]) -> None:
    missing = [name for name in _REQUIRED if name not in header]
    unknown = [name for name in header if name not in _COLUMNS]
    twice = sorted({name for name in header if header.count(name) > 1})
    for says, names in (("misses", missing), ("has the unknown", unknown), ("repeats", twice)):
        if names:
            wanted = f"the header {says} {', '.join(names)}; write {','.join(_REQUIRED)}[,assigner]"
            raise MessageInvalid(wanted, location="line 1")


def check(tx: Tx, text: str, feed: str, tenant: Tenant) -> Checked:
    """What importing it would do now, line by line. Raises ConfigInvalid for a feed without a watermark."""
    stage_of(tx, feed, tenant)
    interface = tenant.interface(feed)
    known: set[str] = set()
    lines: list[Line] = []
    for number, cells in read(text):
        lines.append(_line(tx, number, cells, interface, known))
        known.add(cells["reference"])
    return Checked(tuple(lines))


def _line(tx: Tx, number: int, cells: dict[str, str], interface: Interface, known: set[str]) -> Line:
    reference, account = cells["reference"], cells["account"]
    amount: Money | None = None
    try:
        amount = _amount(cells)
        if not reference or len(reference) > _LONGEST:
            raise MessageInvalid(f"a reference of 1 to {_LONGEST} characters makes a line count once")
        if reference in known:
            raise MessageInvalid("this reference is in the file twice")
        if not account:
            raise MessageInvalid("it names no account")
        verdict, says, ref = _verdict(tx, reference, account, amount, cells.get("assigner", ""), interface)
    except FhirpayError as error:
        return Line(number, reference, account, amount, "wrong", error.message)
    return Line(number, reference, account, amount, verdict, says, ref)


def _amount(cells: dict[str, str]) -> Money:
    amount = Money.of(parse_decimal(cells["amount"]), cells["currency"])
    if amount.minor < 0:
        raise RuleBroken("a credit is not taken over: give it back, or let the system before keep it")
    return amount


def _verdict(
    tx: Tx, reference: str, account: str, amount: Money, assigner: str, interface: Interface
) -> tuple[Verdict, str, str]:
    kept = cutover.by_reference(tx, reference)
    refs = _accounts(tx, account, assigner, interface)
    if kept is not None:
        same = (kept["number"], kept["amount_minor"], kept["currency"], kept["interface"])
        if same != (account, amount.minor, amount.currency, interface.name):
            was = Money(kept["amount_minor"], kept["currency"])
            raise Conflict(f"this reference is {was} of account {kept['number']} already: reverse it, and use another")
        if kept["taken_back_by"]:
            return "taken back", f"taken back by {kept['taken_back_by']}: not booked again", ""
        return "kept", "imported before", ""
    if not amount:
        return "nothing owed", "nothing is owed: not booked", ""
    if not refs:
        return "unknown account", "nothing has come in about this account", ""
    if len(refs) > 1:
        raise Conflict(f"{len(refs)} accounts have this number: name the assigner (CX-4.1)")
    _check_currency(tx, refs[0], amount, interface)
    return "new", "to be booked", refs[0]


def _accounts(tx: Tx, number: str, assigner: str, interface: Interface) -> list[str]:
    """The living accounts that this feed knows under the number."""
    token = number.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$")
    system = hd_system(assigner, "", "", interface.system) if assigner else ""
    wanted = f"{system}|{token}" if system else token
    found = search(tx, "Account", [("identifier", wanted)]).matches
    if not assigner:
        of_feed = [
            one
            for one in found
            for name in one.resource.get("identifier", ())
            if name.get("value") == number and str(name.get("system", "")).startswith(interface.system)
        ]
        found = of_feed or found
    return sorted({one.reference for one in living(tx, list(found))})


def _check_currency(tx: Tx, account_ref: str, amount: Money, interface: Interface) -> None:
    amounts = rows.of_accounts(tx, [account_ref])
    there = {row["currency"] for row in amounts if row["patient_minor"] or row["pending_minor"] or row["memo_minor"]}
    allowed = there or {interface.currency}
    if amount.currency not in allowed:
        raise RuleBroken(f"the account is kept in {' and '.join(sorted(allowed))}, this is in {amount.currency}")


# ── booking ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def import_file(
    units: Units, tenant: Tenant, text: str, feed: str, *, by: str, why: str, without_unknown: bool = False
) -> tuple[Checked, int]:
    """Book what is new, and how many that were. Nothing when a line is wrong, or its account unknown (unless said)."""
    if not by.strip() or not why.strip():
        raise RuleBroken("opening balances need a name and a reason: both are kept with them")
    checked = await units.read(check, text, feed, tenant)
    if checked.of("wrong") or (checked.of("unknown account") and not without_unknown):
        return checked, 0
    new, booked = checked.of("new"), 0
    for start in range(0, len(new), _SLICE):
        booked += await units.write(_book, new[start : start + _SLICE], feed, by=by, why=why, tenant=tenant)
    log.info("opening.imported", interface=feed, count=booked)
    return checked, booked


def _book(tx: Tx, lines: Sequence[Line], feed: str, *, by: str, why: str, tenant: Tenant) -> int:
    refs = {one.number: survivor(tx, one.account_ref) for one in lines}
    rows.lock(tx, refs.values())
    booked = 0
    for one in lines:
        assert one.amount is not None
        is_it = {"reference": one.reference, "feed": feed, "account_ref": refs[one.number], "number": one.account}
        booked += cutover.add_opening(tx, **is_it, amount=one.amount, by=by, why=why)
    reassess_accounts(tx, refs.values(), tenant)
    return booked


def reverse(tx: Tx, reference: str, *, by: str, why: str, tenant: Tenant) -> str:
    """It was wrong: taken back by an entry of its own; what was paid of it is credit. Its account."""
    known = cutover.by_reference(tx, reference)
    if known is not None:
        rows.lock(tx, [known["account_ref"]])
    account_ref = cutover.take_back(tx, reference, by=by, why=why)
    reassess_accounts(tx, [account_ref], tenant)
    log.info("opening.taken_back", interface=known["interface"] if known else "")
    return account_ref
