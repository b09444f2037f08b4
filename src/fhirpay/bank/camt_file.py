"""An ISO 20022 account statement, camt.053.001.02 to .13. Pure. Raises MessageInvalid with line and element.

An entry (`Ntry`) is one line of the account, whatever details it has: they name what it is of, and split no money.
Entries that are not booked (`Sts` other than BOOK) come again once they are, and are left until then.
"""

from __future__ import annotations

import re
from datetime import date

from ..domain.money import Money
from ..errors import FhirpayError, MessageInvalid, MessageUnsupported, ValueInvalid
from .statement import Statement, StatementLine
from .xml_file import Element, parse

_STATEMENT = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.(0[2-9]|1[0-3])")
_TEXTS = ("AddtlNtryInf",)
_OF_A_DETAIL = ("Refs/EndToEndId", "Refs/InstrId", "Refs/TxId", "Refs/PmtInfId", "Refs/AcctSvcrRef", "AddtlTxInf")


def read(data: bytes) -> list[Statement]:
    """Its statements, in its order."""
    root = parse(data)
    if root.name != "Document" or not _STATEMENT.fullmatch(root.namespace):
        shown = root.namespace.rpartition(":")[2][:40] or root.name[:40]
        raise MessageUnsupported(f"this is no statement (camt.053) but {shown}", location=f"line {root.line}")
    statements = list(root.all("BkToCstmrStmt/Stmt"))
    if not statements:
        raise MessageInvalid("there is no statement in it", location="BkToCstmrStmt/Stmt")
    for pages in root.all("BkToCstmrStmt/GrpHdr/MsgPgntn"):
        if pages.said("PgNb") not in ("", "1") or pages.said("LastPgInd") == "false":
            raise MessageUnsupported("a statement over several messages is not read", location=pages.at)
    return [_statement(one) for one in statements]


def _statement(said: Element) -> Statement:
    account = said.need("Acct")
    number = account.said("Id/IBAN", "Id/Othr/Id")
    if not number:
        raise MessageInvalid("the account has no IBAN and no other Id", location=account.at)
    entries = [one for one in said.all("Ntry") if one.said("Sts/Cd", "Sts") in ("BOOK", "")]
    lines = tuple(_line(one) for one in entries)
    balances = {one.said("Tp/CdOrPrtry/Cd"): one for one in said.all("Bal")}
    opening = balances.get("OPBD") or balances.get("PRCD")
    closing = balances.get("CLBD")
    # Those of the day before its first one, and of its last one.
    days = [line.booked_on for line in lines]
    days += [_day(one) for one in (balances.get("OPBD"), closing) if one is not None and one.get("Dt")]
    days += [_written_day(one) for path in ("FrToDt/FrDtTm", "FrToDt/ToDtTm") for one in said.all(path)]
    if not days:
        raise MessageInvalid("it has no entry, no balance and no period: of which days is it?", location=said.at)
    currency = account.said("Ccy") or (lines[0].amount.currency if lines else "")
    if not currency and closing is not None:
        currency = _money(closing).currency
    if other := next((one for one in lines if one.amount.currency != currency), None):
        says = f"an entry in {other.amount.currency} of an account in {currency}"
        raise MessageInvalid(says, location=other.at)
    return Statement(
        number,
        currency,
        lines,
        min(days),
        max(days),
        said.at,
        None if opening is None else _money(opening),
        None if closing is None else _money(closing),
    )


def _line(entry: Element) -> StatementLine:
    details = list(entry.all("NtryDtls/TxDtls"))
    texts = [entry.said(path) for path in _TEXTS]
    texts += [one.said(path) for one in details for path in _OF_A_DETAIL]
    texts += [one.text.strip() for detail in details for one in detail.all("RmtInf/Ustrd")]
    texts += [one.text.strip() for detail in details for one in detail.all("RmtInf/Strd/CdtrRefInf/Ref")]
    reference = entry.said("AcctSvcrRef", "NtryRef")
    kind = entry.said("BkTxCd/Domn/Fmly/SubFmlyCd")
    return StatementLine(
        _day(entry, "BookgDt"), _money(entry), " ".join(filter(None, texts)), entry.at, reference, kind
    )


def _money(said: Element) -> Money:
    """What it is of, by its direction."""
    amount, way = said.need("Amt"), said.need("CdtDbtInd")
    try:
        found = Money.of(amount.text.strip(), amount.attributes.get("Ccy", ""))
    except FhirpayError:
        raise ValueInvalid("this is no amount of a currency", location=amount.at) from None
    if found.minor < 0 or way.text.strip() not in ("CRDT", "DBIT"):
        raise ValueInvalid("it has no amount, or no direction (CRDT, DBIT)", location=way.at)
    return found if way.text.strip() == "CRDT" else -found


def _day(said: Element, name: str = "Dt") -> date:
    of = said.need(name)
    return _written_day(of.get("Dt") or of.get("DtTm") or of)


def _written_day(said: Element) -> date:
    try:
        return date.fromisoformat(said.text.strip()[:10])
    except ValueError:
        raise ValueInvalid("this is no day", location=said.at) from None
