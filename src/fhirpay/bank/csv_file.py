"""A bank's CSV, by the mapping of its account (config_bank.py). Pure. Raises MessageInvalid with the line.

A line that can't be read refuses the whole file: what a bank's text holds is never repeated in the error.
"""

from __future__ import annotations

from ..config_bank import BankAccount
from ..domain.csv_lines import Cells, check_currency, day_in, money_in, read_lines
from ..domain.money import Money
from ..errors import MessageInvalid
from .statement import Statement, StatementLine


def read(data: bytes, account: BankAccount) -> list[Statement]:
    """Its one statement, without balances: a CSV tells none."""
    mapping = account.csv
    wanted = [mapping.day, mapping.amount, mapping.credit, mapping.debit, mapping.reference, mapping.currency_column]
    wanted += mapping.text
    lines = tuple(_line(cells, account, at) for at, cells in read_lines(data, mapping, wanted, account.name))
    if not lines:
        raise MessageInvalid("there is no line in it but the names of its columns")
    days = [line.booked_on for line in lines]
    return [Statement("", account.currency, lines, min(days), max(days), "line 1")]


def _line(cells: Cells, account: BankAccount, at: str) -> StatementLine:
    mapping = account.csv
    check_currency(cells, mapping, account.currency, f"account '{account.name}'", at)

    def money(column: str) -> Money:
        return money_in(cells, column, mapping, account.currency, at)

    if mapping.amount:
        amount = -money(mapping.amount) if mapping.negated else money(mapping.amount)
    else:
        came, went = (money(name) if cells[name] else None for name in (mapping.credit, mapping.debit))
        if came is not None and went is not None:  # many banks fill up the one that isn't used with zero
            came, went = came or None, went or None
        if (came is None) == (went is None):
            says = "one of credit and debit has to be there, and not both"
            raise MessageInvalid(says, location=f"{at}, {mapping.credit}")
        amount = came if came is not None else -abs(went or Money.zero(account.currency))
    text = " ".join(cells[name] for name in mapping.text)
    reference = cells[mapping.reference] if mapping.reference else ""
    return StatementLine(day_in(cells, mapping.day, mapping, at), amount, text, at, reference)
