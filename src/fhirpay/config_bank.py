"""A bank account of the practice whose statements come in as files, and how its bank writes them. Part of `config`."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Literal

from pydantic import Field, model_validator

from .config_csv import CsvForm
from .config_section import Section

BankFormat = Literal["csv", "bai2", "camt053"]


class BankCsv(CsvForm):
    """How a bank's CSV is read: columns by their names in its first line that is not skipped."""

    day: str = Field(default="", description="the column of the booking day")
    amount: str = Field(default="", description="the column of the signed amount, above zero what came in")
    negated: bool = Field(default=False, description="`amount` is above zero where money went out")
    credit: str = Field(default="", description="the column of what came in, where there is no signed amount")
    debit: str = Field(default="", description="the column of what went out, with or without a sign")
    text: tuple[str, ...] = Field(default=(), description="the columns of what the bank says about a line")
    reference: str = Field(default="", description="the column of the bank's own reference of a line")


class BankAccount(Section):
    """An account at the practice's bank, into which processors pay out and bags of cash and checks go."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", description="names it in commands and breaks")
    number: str = Field(default="", description="its number or IBAN as the bank's files write it (BAI2, CAMT.053)")
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="its currency (ISO 4217)")
    format: BankFormat = Field(description="what its files are: csv, bai2 or camt053")
    csv: BankCsv = Field(default=BankCsv(), description="how its CSV is read")
    merchants: tuple[str, ...] = Field(default=(), description="who pays out into it; empty: all merchants")
    early_days: int = Field(default=1, ge=0, le=10, description="days that a payout may come before it is expected")
    late_days: int = Field(default=4, ge=0, le=30, description="days that it may come after")
    fee_percent: str = Field(
        default="0", description="most that a deposit of settled batches may be short of their sum (Authorize.Net)"
    )
    bags_of: tuple[str, ...] = Field(
        default=(), description="facilities whose bags come in here; empty: those whose merchant pays out into it"
    )
    bag_days: int = Field(
        default=4, ge=0, le=30, description="days after a bag went to the bank in which it may be credited"
    )
    payouts_only: bool = Field(
        default=True, description="only payouts and bags come in here: any other line is a break, once it is late"
    )

    @model_validator(mode="after")
    def _readable(self) -> BankAccount:
        if self.format == "csv":
            if not self.csv.day or bool(self.csv.amount) == bool(self.csv.credit or self.csv.debit):
                says = "name the columns of the day, and of the amount or else of credit and debit"
                raise ValueError(f"bank account '{self.name}': {says}")
            if self.csv.amount == "" and not (self.csv.credit and self.csv.debit):
                raise ValueError(f"bank account '{self.name}': name the columns of both credit and debit")
            if self.csv.delimiter == self.csv.decimal_sign:
                raise ValueError(f"bank account '{self.name}': delimiter and decimal_sign are the same")
        elif not self.number:
            raise ValueError(f"bank account '{self.name}': give its number, as its files write it")
        if not 0 <= self.most_fee <= 20:
            raise ValueError(f"bank account '{self.name}': fee_percent is a number from 0 to 20")
        return self

    @property
    def most_fee(self) -> Decimal:
        try:
            return Decimal(self.fee_percent)
        except InvalidOperation:
            return Decimal(-1)


def into_which_bags(accounts: tuple[BankAccount, ...], facility: str, merchant: str, currency: str) -> str:
    """The account that a facility's bags go into, by the facility's own merchant where none names it; empty: none."""
    mine = [one for one in accounts if one.currency == currency]
    named = [one.name for one in mine if facility in one.bags_of]
    paid = [one.name for one in mine if not one.merchants or merchant in one.merchants]
    return next(iter(named or paid), "")


def check(accounts: tuple[BankAccount, ...], merchants: set[str], facilities: set[str]) -> None:
    """Raises ValueError for accounts that can't be told apart, and merchants or facilities that aren't there, or have
    two accounts of one currency."""
    for said in ([one.name for one in accounts], [one.number for one in accounts if one.number]):
        if any(said.count(one) > 1 for one in said):
            raise ValueError("two bank accounts have one name or one number: lines are told apart by it")
    seen: dict[tuple[str, str], str] = {}
    bags: dict[tuple[str, str], str] = {}
    for account in accounts:
        if unknown := set(account.bags_of) - facilities:
            raise ValueError(f"bank account '{account.name}' names facility '{min(unknown)}', not defined")
        for facility in account.bags_of:
            other = bags.setdefault((facility, account.currency), account.name)
            if other != account.name:
                raise ValueError(f"bank accounts '{other}' and '{account.name}' both have the bags of '{facility}'")
        if unknown := set(account.merchants) - merchants:
            raise ValueError(f"bank account '{account.name}' names merchant '{min(unknown)}', not defined")
        for merchant in account.merchants or sorted(merchants):
            other = seen.setdefault((merchant, account.currency), account.name)
            if other != account.name:
                says = f"bank accounts '{other}' and '{account.name}' both have {account.currency} of '{merchant}'"
                raise ValueError(f"{says}: name the merchants of each")
