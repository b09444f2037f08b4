"""How a posting file looks, as data: its records and their columns. Read by `wiring`, used by posting_file.py.

Two are installed (`conformance/posting-*.yaml`); a site's own is a copy that it changes. A column has a `value`, or
says where it comes `from`. What is wider than its column is never cut, unless the column says which end may go.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..data import data_root
from ..errors import ConfigInvalid
from ..mapping.yaml_source import Source

OF_FILE = frozenset({"file_number", "made_at", "receiver", "currency", "line_count", "payment_count", "total"})
OF_LINE = frozenset(
    {"file_number", "made_at", "receiver", "currency", "line_number", "transaction", "takes_back", "payment", "type"}
) | {"amount", "paid_at", "account", "guarantor", "visit", "charge", "medium", "reference", "processor", "facility"}
MONEY, MOMENTS = frozenset({"amount", "total"}), frozenset({"made_at", "paid_at"})
DATES = {
    "YYYYMMDD": "%Y%m%d",
    "YYMMDD": "%y%m%d",
    "MMDDYYYY": "%m%d%Y",
    "MM/DD/YYYY": "%m/%d/%Y",
    "YYYY-MM-DD": "%Y-%m-%d",
    "HHMM": "%H%M",
    "HHMMSS": "%H%M%S",
    "YYYYMMDDHHMMSS": "%Y%m%d%H%M%S",
}
AMOUNTS = ("minor", "decimal")
INSTALLED = ("lockbox", "delimited")


class Column(BaseModel):
    """One column. `as` is how an amount (`minor`, `decimal`) or a moment (DATES) is written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    value: str = ""
    source: str = Field(default="", alias="from")
    form: str = Field(default="", alias="as")
    width: int = Field(default=0, ge=0, le=1000)
    align: Literal["left", "right"] = "left"
    pad: str = Field(default=" ", pattern=r"^[ -~]$")
    sign: Literal["leading", "trailing"] = "leading"
    cut: Literal["", "left", "right"] = ""
    required: bool = False
    why: str = ""

    @model_validator(mode="after")
    def _checked(self) -> Column:
        if bool(self.value) and bool(self.source):
            raise ValueError(f"'{self.name}' has a value, and comes from something: take one out")
        forms = AMOUNTS if self.source in MONEY else tuple(DATES) if self.source in MOMENTS else ("",)
        if self.form not in forms:
            wanted = " or ".join(filter(None, forms))
            raise ValueError(f"'{self.name}': `as` is {wanted}" if wanted else f"'{self.name}' takes no `as`")
        if self.cut and self.source in MONEY:
            raise ValueError(f"'{self.name}' is an amount, which is never cut")
        if self.source in MONEY and self.pad != " " and self.align == "left":
            raise ValueError(f"'{self.name}' is an amount: filled up on its right it would be another one")
        return self


class Layout(BaseModel):
    """Header and trailer are optional, and `titles`: the names of the detail's columns as the first line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    why: str = ""
    shape: Literal["fixed", "delimited"]
    delimiter: str = Field(default=",", pattern=r"^[^\"\r\n]$")
    titles: bool = False
    encoding: str = "ascii"
    line_end: Literal["\r\n", "\n", "\r"] = "\r\n"
    header: tuple[Column, ...] = ()
    detail: tuple[Column, ...] = Field(min_length=1)
    trailer: tuple[Column, ...] = ()

    @model_validator(mode="after")
    def _checked(self) -> Layout:
        for record, sources in ((self.header, OF_FILE), (self.detail, OF_LINE), (self.trailer, OF_FILE)):
            for one in record:
                if one.source and one.source not in sources:
                    raise ValueError(
                        f"'{one.name}' can't come from '{one.source}'; known: {', '.join(sorted(sources))}"
                    )
                if self.shape == "fixed" and not one.width:
                    raise ValueError(f"'{one.name}' needs a width")
        if not {"amount", "transaction"} <= {one.source for one in self.detail}:
            raise ValueError("detail needs an amount, and the transaction: by it a line is known again")
        if self.titles and self.shape == "fixed":
            raise ValueError("titles are for a delimited file")
        try:
            "".encode(self.encoding)  # unlike a look at the codecs, it refuses what is no encoding of text
        except (LookupError, UnicodeError):
            raise ValueError(f"'{self.encoding}' is no encoding; write ascii, utf-8 or windows-1252") from None
        return self


def load(name: str) -> Layout:
    """An installed layout by its name, else the file. Raises ConfigInvalid, saying where."""
    path = data_root("conformance") / f"posting-{name}.yaml" if name in INSTALLED else Path(name)
    try:
        source = Source.read(path, path.name)
    except OSError as error:
        known = " or ".join(INSTALLED)
        raise ConfigInvalid(
            f"layout '{name}' is neither {known} nor a file that can be read: {error.strerror}"
        ) from None
    try:
        return Layout.model_validate(source.content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigInvalid(first["msg"].removeprefix("Value error, "), location=source.at(first["loc"])) from None
