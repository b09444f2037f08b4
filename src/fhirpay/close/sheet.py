"""A close's document as tables of text, for people: what csv_file.py and pdf_file.py write, and the command line shows.

From the document alone, so that what was signed is printed the same a year later. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .money import TENDERS

Json = Mapping[str, Any]
_WHEN = {"day": "the day", "earlier": "days before, not closed", "after_close": "after the close of its day"}
_SESSION = (
    ("left", "left in it"),
    ("floated", "float"),
    ("taken", "cash taken"),
    ("paid_in", "paid in"),
    ("given", "given back"),
    ("paid_out", "paid out"),
    ("dropped", "dropped"),
    ("corrected", "counts before"),
    ("expected", "expected"),
    ("counted", "counted"),
    ("over", "over (short: below zero)"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """`said` numbers the columns whose text comes from people."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    said: tuple[int, ...] = ()


def tables(document: Json, close_hash: str = "") -> list[Table]:
    """All sections, empty ones too: that nothing is there is what they say."""
    return [
        _head(document, close_hash),
        _copays(document),
        _copay_sums(document),
        _money(document),
        _in_all(document),
        _late(document),
        *_tills(document),
        _readers(document),
        _batches(document),
        _open(document),
    ]


def title(document: Json) -> str:
    whose = f"Till {document['till']} of {document['facility']}" if document["till"] else f"{document['facility']}"
    return f"Day close: {whose}, {document['day']}"


def text(money: Json | None) -> str:
    return "" if money is None else f"{money['amount']} {money['currency']}"


def _head(document: Json, close_hash: str) -> Table:
    signed, former, replaces = document.get("signed"), document["former"], document["replaces"]
    rows = [
        ("tenant", document["tenant"]),
        ("facility", document["facility"]),
        ("till", document["till"] or "all"),
        ("day", document["day"]),
        ("zone", document["zone"]),
        ("begins", document["begins"]),
        ("ends", document["ends"]),
        ("as of", document["as_of"]),
        ("the day was over", "yes" if document["day_over"] else "no: what came later is the next close's"),
        ("close", document.get("close", "not signed")),
        ("number", str(document["number"])),
        ("former close", f"{former['close']} {former['hash']}" if former else "none"),
        ("replaces", f"{replaces['close']} {replaces['hash']}" if replaces else "none"),
    ]
    if replaces:
        rows += [("opened again by", replaces["reopened_by"]), ("opened again because", replaces["why"])]
    rows += [
        ("ledger head", f"{document['ledger']['seq']}:{document['ledger']['hash']}"),
        ("ledger head, signed", document["ledger"]["signed"] or "no key signs"),
        ("signed by", signed["by"] if signed else "nobody"),
        ("signed at", signed["at"] if signed else ""),
        ("reason", signed["reason"] if signed else ""),
        ("hash", close_hash),
    ]
    return Table("close", title(document), ("what", "is"), tuple(rows), said=(1,))


def _copays(document: Json) -> Table:
    columns = ("appointment", "visit", "account", "expected", "collected", "open", "payments", "why none")
    rows = [
        (
            one["appointment"],
            one["visit"],
            one["account"],
            text(one["expected"]),
            text(one["collected"]),
            text(one["open"]),
            "; ".join(f"{paid['payment']} {text(paid)} {paid['tender']} {paid['day']}" for paid in one["payments"]),
            one["why"],
        )
        for one in document["copays"]
    ]
    return Table("copays", "Copays of the day's visits", columns, tuple(rows))


def _copay_sums(document: Json) -> Table:
    of = document["copays_in_all"]
    rows = [
        ("visits", str(of["visits"])),
        ("appointments called off or missed", str(document["called_off"])),
        *((name, text(one)) for name in ("expected", "collected", "open") for one in of[name]),
    ]
    return Table("copays in all", "Copays in all", ("what", "is"), tuple(rows))


def _money(document: Json) -> Table:
    columns = ("counts as", "till", "reader", "tender", "kind", "count", "amount", "first day", "last day")
    rows = [
        (
            _WHEN[one["when"]],
            one["till"],
            one["terminal"],
            TENDERS[one["tender"]],
            one["kind"],
            str(one["count"]),
            text(one),
            one["first_day"],
            one["last_day"],
        )
        for one in document["money"]
    ]
    return Table("money", "Money taken and given back, by tender", columns, tuple(rows))


def _in_all(document: Json) -> Table:
    rows = [("money", text(one)) for one in document["money_in_all"]]
    rows += [("safe", text(one)) for one in document["safe"]]
    rows += [("payments that wait for their payers", str(document["waiting_for_payer"]))]
    return Table("in all", "In all", ("what", "is"), tuple(rows))


def _late(document: Json) -> Table:
    columns = ("day", "closed by", "entry", "payment", "refund", "kind", "tender", "till", "amount", "in the books at")
    rows = [
        (
            one["day"],
            one["after"],
            str(one["seq"]),
            one["payment"],
            one["refund"],
            one["kind"],
            TENDERS[one["tender"]],
            one["till"],
            text(one),
            one["recorded_at"],
        )
        for one in document["after_close"]
    ]
    return Table("after the close", "Money of days that had been closed", columns, tuple(rows))


def _tills(document: Json) -> list[Table]:
    found = [_session(one) for one in document["sessions"]]
    if document["till"]:
        return found or [Table("session", "Sessions of the till", ("what", "is"), ())]
    columns = ("till", "day", "close", "hash", "signed by", "over (short: below zero)")
    rows = [
        (one["till"], one["day"], one["close"], one["hash"], one["by"], "; ".join(map(text, one["over"])))
        for one in document["tills"]
    ]
    return [Table("tills", "Tills", columns, tuple(rows), said=(4,))]


def _session(one: Json) -> Table:
    rows = [
        ("day", one["day"]),
        ("opened by", one["opened"]["by"]),
        ("opened at", one["opened"]["at"]),
        ("closed by", one["closed"]["by"]),
        ("closed at", one["closed"]["at"]),
        *((label, text(one[name])) for name, label in _SESSION),
    ]
    return Table(one["session"], f"Session {one['session']} of till {one['till']}", ("what", "is"), tuple(rows), (1,))


def _readers(document: Json) -> Table:
    rows = [(one["terminal"], str(one["count"]), "; ".join(map(text, one["sums"]))) for one in document["readers"]]
    return Table("readers", "Card readers", ("reader", "payments", "amount"), tuple(rows))


def _batches(document: Json) -> Table:
    columns = ("reference", "keyed", "in the books", "difference")
    rows = [
        (one["reference"], text(one["keyed"]), text(one["booked"]), text(one["difference"]))
        for one in document["batches"]
    ]
    return Table("batches", "The practice's own terminal: its batch as keyed by staff", columns, tuple(rows), (0,))


def _open(document: Json) -> Table:
    rows: Sequence[tuple[str, ...]] = [
        (one["kind"], one["subject"], text(one["amount"]), one["since"] or "", one["says"]) for one in document["open"]
    ]
    return Table("open", "Open points", ("kind", "of", "amount", "since", "says"), tuple(rows), said=(1, 4))
