"""Bank files as banks write them, for tests: CSV, BAI2 with its counts and totals, CAMT.053. Money in minor units."""

from __future__ import annotations

from collections.abc import Sequence

from fhirpay.config import BankAccount, BankCsv
from fhirpay.domain.money import Money

# booked on, minor units, the bank's reference, what it says
Line = tuple[str, int, str, str]

CSV = BankAccount(
    name="main",
    format="csv",
    csv=BankCsv(day="Date", day_format="%m/%d/%Y", amount="Amount", text=("Description", "Memo"), reference="Ref"),
)
BAI2 = BankAccount(name="main", format="bai2", number="0001234567")
CAMT = BankAccount(name="main", format="camt053", number="DE02120300000000202051", currency="EUR")


def csv_of(lines: Sequence[Line], *, head: str = "Date,Description,Memo,Amount,Ref", currency: str = "USD") -> bytes:
    rows = [head]
    for day, minor, ref, text in lines:
        year, month, date = day.split("-")
        amount = f"{Money(minor, currency).decimal:,f}"
        rows.append(f'{month}/{date}/{year},"{text}",,"{amount}",{ref}')
    return ("\r\n".join(rows) + "\r\n").encode()


def bai2_of(
    lines: Sequence[Line],
    *,
    day: str,
    opening: int,
    closing: int | None = None,
    number: str = "1234567",
    more: str = "",
    currency: str = "USD",
) -> bytes:
    """One day of one account. `more` are records of another account, with their own trailer."""
    short = day[2:].replace("-", "")
    closing = opening + sum(line[1] for line in lines) if closing is None else closing
    details = [f"16,{'175' if one[1] > 0 else '475'},{abs(one[1])},Z,{one[2]},,{one[3]}" for one in lines]
    total = opening + closing + sum(abs(line[1]) for line in lines)
    account = [f"03,{number},{currency},010,{opening},,,015,{closing},,/", *details]
    account.append(f"49,{total},{len(account) + 1}/")
    group = [f"02,PRACTICE,BANK,1,{short},0600,{currency},2/", *account]
    group.append(f"98,{total},1,{len(group) + 1}/")
    file = [f"01,BANK,PRACTICE,{short},0600,1,80,,2/", *group]
    file.append(f"99,{total},1,{len(file) + 1}/")
    return ("\n".join(file) + "\n").encode()


def camt_of(
    lines: Sequence[Line], *, first: str, last: str, opening: int, more: str = "", currency: str = "EUR"
) -> bytes:
    def amount(minor: int) -> str:
        way = "CRDT" if minor >= 0 else "DBIT"
        return f'<Amt Ccy="{currency}">{Money(abs(minor), currency).decimal:f}</Amt><CdtDbtInd>{way}</CdtDbtInd>'

    def balance(code: str, minor: int, day: str) -> str:
        kind = f"<Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        return f"<Bal>{kind}{amount(minor)}<Dt><Dt>{day}</Dt></Dt></Bal>"

    entries = [
        f"<Ntry>{amount(minor)}<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{day}</Dt></BookgDt><AcctSvcrRef>{ref}</AcctSvcrRef>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>E1</EndToEndId></Refs><RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls>"
        "<TxDtls><Refs><EndToEndId>E2</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>"
        for day, minor, ref, text in lines
    ]
    closing = opening + sum(line[1] for line in lines)
    account = f"<Acct><Id><IBAN>DE02120300000000202051</IBAN></Id><Ccy>{currency}</Ccy></Acct>"
    body = account + balance("OPBD", opening, first) + balance("CLBD", closing, last) + "".join(entries) + more
    head = "<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-11-20T06:00:00</CreDtTm></GrpHdr>"
    space = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
    text = f'<Document xmlns="{space}"><BkToCstmrStmt>{head}<Stmt><Id>S1</Id>{body}</Stmt></BkToCstmrStmt></Document>'
    return text.encode()
