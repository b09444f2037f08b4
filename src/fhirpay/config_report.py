"""How an EHR's own report of what is posted there is read, as a CSV. Part of `config`; below whoever is posted to."""

from __future__ import annotations

from pydantic import Field, model_validator

from .config_csv import CsvForm


class PostingReport(CsvForm):
    """A report holds all that is posted there on each of its days; columns by their names."""

    day: str = Field(description="the column of the day of the posting")
    amount: str = Field(description="the column of its amount, above zero where money was received")
    negated: bool = Field(default=False, description="`amount` is below zero where money was received")
    account: str = Field(description="the column of the account's number")
    account_system: str = Field(description="the Identifier.system of these numbers here")
    number: str = Field(default="", description="the column of the EHR's own number of a posting; empty: there is none")
    our_number: str = Field(
        default="", description="the column in which our number stands (FT1-2, FT1-30, an identifier); empty: in none"
    )
    kind: str = Field(default="", description="the column of what a line is; empty: all of them are patients' payments")
    kinds: tuple[str, ...] = Field(default=(), description="what it says of patients' payments and what takes one back")
    report_currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="the currency of all of its lines")
    lag_days: int = Field(default=1, ge=0, le=30, description="days that it may take a posting of ours to show there")

    @model_validator(mode="after")
    def _readable(self) -> PostingReport:
        if bool(self.kind) != bool(self.kinds):
            raise ValueError("a report names `kind` and `kinds`, or neither: which lines are payments of patients")
        if self.delimiter == self.decimal_sign:
            raise ValueError("delimiter and decimal_sign of a report are the same")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """All that the mapping names."""
        named = (self.day, self.amount, self.account, self.number, self.our_number, self.kind, self.currency_column)
        return tuple(one for one in named if one)
