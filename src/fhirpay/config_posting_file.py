"""What is agreed with a system that takes payments from files: where they are put, when, and how they look. Part of
`config`. The columns stand in a layout, which is data of its own (writeback/layout.py)."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from os.path import abspath
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from .config_hours import next_at
from .config_report import PostingReport
from .config_section import Section, Stage, known_zone
from .config_sftp import SftpAccount

_HOUR = re.compile(r"([01]\d|2[0-3]):[0-5]\d", re.ASCII)
_PLACE = re.compile(r"\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._{}-]*", re.ASCII)  # no hidden file, no folder


class PostingFile(Section):
    """A system that payments are posted to by files: Epic's lockbox import, or whatever takes batches alone."""

    name: str = Field(description="names it in logs, commands and the worklist; no connection may have the same name")
    stage: Stage = Field(
        default="auto",
        description="'shadow': nothing is posted there, what would be is kept to compare; 'assist': each posting waits "
        "for staff to confirm it; 'auto': with the next file",
    )
    heard_on: tuple[str, ...] = Field(
        default=(),
        description="the interfaces on which it says what is posted there, for `writeback agreement`; empty: all",
    )
    report: PostingReport | None = Field(
        default=None, description="how its own report of what is posted there is read; see below"
    )
    folder: str = Field(default="", description="a folder of this machine that files are put into; it has to be there")
    sftp: SftpAccount | None = Field(
        default=None, description="or a folder at an SSH server; needs `pip install 'fhirpay[sftp]'`; see below"
    )
    layout: str = Field(
        default="lockbox", description="'lockbox' (fixed width), 'delimited', or a file of your own (.yaml)"
    )
    zone: str = Field(description="IANA zone of `daily_at`, and of every date in the file and in its name")
    daily_at: str = Field(default="", description="a file a day, of all that waits by then, such as '18:00'")
    every_min: int = Field(default=0, ge=0, description="or one every so many minutes, where anything waits")
    file_name: str = Field(
        default="fhirpay_{date}_{number}.txt",
        description="with {number}, which counts from 000001 without a gap; {date} and {time} are when it was made",
    )
    postings_max: int = Field(
        default=1000, ge=1, le=10_000, description="payments and refunds in a file; what is more goes into the next"
    )
    empty_currency: str = Field(
        default="",
        pattern=r"^([A-Z]{3})?$",
        description="a file without a line is made, in this currency, where nothing waits; empty: none is",
    )
    sign: Literal["payment_positive", "payment_negative", "unsigned"] = Field(
        default="payment_positive", description="of a line's amount; refunds have the other; 'unsigned' needs codes"
    )
    payment_code: str = Field(default="P", description="the type of a line that pays, where the layout has it")
    refund_code: str = Field(default="P", description="the type of a line that takes back, where the layout has it")
    receiver: str = Field(default="", description="how they know this file: a lockbox number, say")
    account_system: str = Field(
        default="", description="the Identifier.system of the account numbers that they know; empty: an account's first"
    )
    guarantor_system: str = Field(default="", description="so, of guarantor account numbers")
    visit_system: str = Field(default="", description="so, of visit numbers")
    guarantor_number: Literal["guarantor", "account"] = Field(
        default="guarantor",
        description="where guarantor account numbers stand: on an account's guarantor (GT1-2), or 'account': accounts "
        "are guarantors' own (account_key GT1-2)",
    )
    media: dict[str, str] = Field(
        default={}, description="brand, HL7 0570 code or 'default' → how they code what was paid with; else the 0570"
    )

    @model_validator(mode="after")
    def _checked(self) -> PostingFile:
        known_zone(self.zone)
        if bool(self.folder) == (self.sftp is not None):
            raise ValueError(f"'{self.name}' needs a folder to put files into, or sftp: one of them")
        if bool(self.daily_at) == bool(self.every_min):
            raise ValueError(f"'{self.name}' needs daily_at or every_min: one of them")
        if self.daily_at and not _HOUR.fullmatch(self.daily_at):
            raise ValueError(f"'{self.daily_at}' is no hour of the day; write 18:00")
        places = set(_PLACE.findall(self.file_name))
        known = {"number", "date", "time"}
        rest = _PLACE.sub("", self.file_name)
        if (
            "number" not in places
            or not places <= known
            or not _NAME.fullmatch(self.file_name)
            or set("{}") & set(rest)
        ):
            raise ValueError(f"'{self.file_name}' can't name files: write {{number}} in it, {{date}}, {{time}}, no '/'")
        if self.sign == "unsigned" and self.refund_code == self.payment_code:
            raise ValueError(f"'{self.name}' can't tell a refund: with sign 'unsigned' it needs its own refund_code")
        return self

    @property
    def place(self) -> str:
        """Where its files go, told from any other place."""
        return (
            f"{self.sftp.host}:{self.sftp.port}/{self.sftp.user}/{self.sftp.folder}"
            if self.sftp
            else abspath(self.folder)
        )

    @property
    def timeout_s(self) -> float:
        """Longest wait at each step of putting a file there."""
        return self.sftp.timeout_s if self.sftp is not None else 10

    def next_after(self, moment: datetime) -> datetime:
        """When the next file is due, for one that was made, or looked for, at that moment."""
        if self.every_min:
            return moment + timedelta(minutes=self.every_min)
        return next_at(moment, time.fromisoformat(self.daily_at), ZoneInfo(self.zone))

    def named(self, number: int, made_at: datetime) -> str:
        local = made_at.astimezone(ZoneInfo(self.zone))
        said = {"number": f"{number:06}", "date": f"{local:%Y%m%d}", "time": f"{local:%H%M%S}"}
        return self.file_name.format(**said)
