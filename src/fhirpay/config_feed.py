"""What is agreed with the sender of one HL7v2 feed: the settings of an interface. Part of `config`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .config_section import Section


class Interface(Section):
    """One HL7v2 feed: how this sender writes, and what its words mean. An analyst agrees these with the sender."""

    name: str = Field(description="names the feed in logs, commands and identifiers")
    facility: str = Field(default="main", description="the facility whose zone and merchant apply")
    mllp_port: int | None = Field(default=None, description="listen here; none: HTTP and files only")
    mllp_host: str = Field(default="127.0.0.1", description="address to bind")
    mapping: str = Field(default="", description="folder of overlays under mappings/, such as 'sample'")
    processing: Literal["P", "T"] = Field(
        default="P", description="the MSH-11 that this feed carries; anything else is refused with AR 202"
    )
    namespace: str = Field(
        default="", description="system for identifiers without an assigner; empty: urn:fhirpay:<name>"
    )
    account_key: Literal["PID-18", "PV1-19", "PV1-50", "GT1-2"] = Field(
        description="which field names the account: no default, because the wrong one bills the wrong account"
    )
    zone: str = Field(default="", description="zone of timestamps without offset; empty: the facility's")
    currency: str = Field(default="USD", description="currency where an amount names none")
    charset_fallback: str = Field(
        default="windows-1252", description="tried when MSH-18 is empty and the bytes aren't UTF-8"
    )
    co_means: Literal["due", "received", "park"] = Field(
        default="park",
        description="whether FT1-6 CO is a copay due or one received; the standard leaves it open",
    )
    credit_sign: Literal["unsigned", "signed", "park"] = Field(
        default="park",
        description="how a CD is written: 'unsigned' positive, 'signed' negative, 'park' a negative CD for a human",
    )
    negative_charge: Literal["credit", "park"] = Field(
        default="park", description="a CG with a negative amount or quantity: a credit, or for a human"
    )
    carries_coverage: bool = Field(
        default=False,
        description="the feed always sends IN1 where there is insurance; without it a class is no self-pay proof",
    )
    self_pay_classes: tuple[str, ...] = Field(
        default=(), description="PV1-20.1, FT1-18 or plan codes that say: this patient pays for themselves"
    )
    required: tuple[str, ...] = Field(
        default=(), description="fields that must be valued, such as 'PID-3.1'; missing: AE 101"
    )
    unique_ids: bool = Field(
        default=False,
        description="the sender promises unique MSH-10: the same id with another body is AE 205",
    )
    max_bytes: int = Field(default=10_000_000, description="largest message taken")
    idle_timeout_s: float = Field(default=600, description="close a silent MLLP connection after this long")
    max_connections: int = Field(default=200, description="connections at once; more are closed")

    @property
    def system(self) -> str:
        return self.namespace or f"urn:fhirpay:{self.name}"
