"""A bank's file is taken in: kept as it came, then read, then matched. Called for `fhirpay bank take`.

    bytes ─▶ kept, sealed (its own unit) ─▶ read ─all or nothing─▶ its lines, each once ─▶ gaps ─▶ match_bank.py
                                              └▶ refused, with the line: it can be given again once the mapping is right

The same bytes again are the same file; a file that overlaps another one adds what is new. A file that was kept and not
read (a crash in between) is read when it is given again.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..bank import bai2_file, camt_file, csv_file
from ..bank import store as bank
from ..bank.equal_lines import numbered
from ..bank.statement import Statement, shortened
from ..bank.store import BankFile, Days
from ..bank.turn import take_turn
from ..config import BankAccount, Tenant
from ..db.unit import Tx, Units
from ..domain.money import Money
from ..errors import FhirpayError, MessageInvalid, TooLarge
from ..log import Log
from ..payments import store
from ..security.blind_index import keyed_hash
from ..security.sealed import seal_file, unseal_file
from .match_bank import match_account

log = Log("bank")

FILE_MAX = 20_000_000  # bytes
SUM = "bank_statement_sum"  # breaks
GAP = "bank_days_missing"


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file has come to. `again`: it had been taken before."""

    file_id: str
    new: int = 0
    known: int = 0
    matched: int = 0
    again: bool = False


class TakeBankFile:
    def __init__(self, units: Units, tenant: Tenant, hash_key: bytes) -> None:
        self.units, self._tenant, self.hash_key = units, tenant, hash_key

    async def take(self, account: str, name: str, data: bytes) -> Taken:
        """Raises NotFound for an account that isn't configured, MessageInvalid and MessageUnsupported with the line."""
        owner = self._tenant.bank_account(account)
        if len(data) > FILE_MAX:
            raise TooLarge(f"a bank's file has {FILE_MAX} bytes at most")
        kept = await self.units.write(self._keep, owner, name, data)
        if kept.state == "kept":
            return Taken(kept.file_id, again=True)
        try:
            statements = self._read(owner, unseal_file(self.hash_key, _secret(kept.file_id), kept.sealed))
        except FhirpayError as error:
            await self.units.write(bank.file_is, kept.file_id, "refused", str(error))
            log.warning("bank.refused", file_id=kept.file_id, bank_account=account, code=error.code)
            raise
        return await self.units.write(self._take, kept, statements)

    def _keep(self, tx: Tx, owner: BankAccount, name: str, data: bytes) -> BankFile:
        file_id = tx.ids.new("bfl")
        sealed = seal_file(self.hash_key, _secret(file_id), data)
        return bank.keep_file(tx, owner.name, name, keyed_hash(self.hash_key, data), file_id, sealed)

    def _read(self, owner: BankAccount, data: bytes) -> list[tuple[BankAccount, Statement]]:
        """Its statements, each with whose it is: all known, all in the account's currency, one at least of `owner`."""
        match owner.format:
            case "csv":
                return [(owner, one) for one in csv_file.read(data, owner)]
            case "bai2":
                statements = bai2_file.read(data)
            case "camt053":
                statements = camt_file.read(data)
        by_number = {_plain(one.number): one for one in self._tenant.bank_accounts if one.number}
        found: list[tuple[BankAccount, Statement]] = []
        for one in statements:
            whose = by_number.get(_plain(one.number))
            if whose is None:
                says = f"account {shortened(one.number)} is none of [[tenants.bank_accounts]]: nothing of it is taken"
                raise MessageInvalid(says, location=one.at)
            if one.currency != whose.currency:
                says = f"it is in {one.currency[:3]}, and account '{whose.name}' is in {whose.currency}"
                raise MessageInvalid(says, location=one.at)
            found.append((whose, one))
        if owner.name not in {whose.name for whose, _ in found}:
            says = f"it has nothing of account '{owner.name}'"
            raise MessageInvalid(says, location=statements[0].at if statements else None)
        return found

    def _take(self, tx: Tx, kept: BankFile, statements: list[tuple[BankAccount, Statement]]) -> Taken:
        take_turn(tx)
        new = known = matched = 0
        which = {
            name: numbered([one for whose, one in statements if whose.name == name])
            for name in {whose.name for whose, _ in statements}
        }
        for number, (whose, one) in enumerate(statements, 1):
            counted = next(which[whose.name])
            added, had = bank.keep_statement(tx, kept.file_id, number, whose.name, one, counted, self.hash_key)
            new, known = new + added, known + had
            _add_up(tx, kept, whose, number, one)
        bank.file_is(tx, kept.file_id, "kept")
        for whose in {whose.name: whose for whose, _ in statements}.values():
            _gaps(tx, whose)
            matched += match_account(tx, self._tenant, whose, self.hash_key)
        log.info("bank.taken", file_id=kept.file_id, count=new)
        return Taken(kept.file_id, new, known, matched)


def _secret(file_id: str) -> str:
    return f"bank-file:{file_id}"


def _plain(number: str) -> str:
    """Leading zeros and blanks are a matter of the file's form."""
    return number.replace(" ", "").lstrip("0").upper()


def _add_up(tx: Tx, kept: BankFile, whose: BankAccount, number: int, one: Statement) -> None:
    """Its lines take the first balance to the last one; a difference is a break."""
    if one.opening is None or one.closing is None:
        return
    total = sum((line.amount for line in one.lines), one.opening)
    if total != one.closing:
        says = f"{one.at} of bank file {kept.file_id} (account '{whose.name}'): its lines lead from {one.opening} to"
        says += f" {total}, and it says {one.closing}: a line is missing, or one too many"
        key = f"bank:{SUM}:{kept.file_id}:{number}"
        store.open_break(tx, key, SUM, says, subject=whose.name, amount=one.closing - total)


def _gaps(tx: Tx, whose: BankAccount) -> None:
    """Days of which no file has come show where a statement doesn't begin with what the one before it ended with."""
    told: set[str] = set()
    known = [one for one in bank.days(tx, whose.name) if one.opening is not None and one.closing is not None]
    for one in known:
        before = [other for other in known if other.last_day < one.first_day]
        if not before or _inside(one, known):
            continue
        last = max(before, key=lambda other: (other.last_day, other.first_day))
        off = (one.opening or 0) - (last.closing or 0)
        if off:
            key = f"bank:{GAP}:{whose.name}:{one.first_day}"
            told.add(key)
            amount = Money(off, whose.currency)
            says = f"bank account '{whose.name}': {one.first_day} begins {amount} off from how {last.last_day} ended:"
            says += " the files of the days between are missing"
            store.open_break(tx, key, GAP, says, subject=whose.name, amount=amount, standing=True)
    for one in store.breaks(tx, kind=GAP, accepted=True, limit=100 * store.PAGE):
        if one.break_key.startswith(f"bank:{GAP}:{whose.name}:") and one.break_key not in told:
            store.close_break(tx, one.break_key, by="bank", why="the files between are here")


def _inside(one: Days, known: list[Days]) -> bool:
    """Whether another statement reaches from before its first day into it: the balances of both are that one's."""
    return any(other.first_day < one.first_day <= other.last_day for other in known)
