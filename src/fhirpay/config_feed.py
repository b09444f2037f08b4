"""What is agreed with the sender of one HL7v2 feed: the settings of an interface. Part of `config`."""

from __future__ import annotations

import re
from datetime import date
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from pydantic import Field, model_validator

from .config_hours import Hours
from .config_section import Section
from .config_sftp import Sftp


class Interface(Section):
    """One HL7v2 feed: how this sender writes, and what its words mean. An analyst agrees these with the sender."""

    name: str = Field(description="names the feed in logs, commands and identifiers")
    facility: str = Field(default="main", description="the facility whose zone and merchant apply")
    mllp_port: int | None = Field(default=None, description="listen here; none: HTTP and files only")
    mllp_host: str = Field(default="127.0.0.1", description="address to bind")
    tls_cert: str = Field(default="", description="PEM file of our certificate chain; empty: the port speaks no TLS")
    tls_key: str = Field(default="", description="PEM file of its key; empty: it stands in `tls_cert`")
    tls_client_ca: str = Field(
        default="", description="PEM file of the authority of senders' certificates; empty: none is asked for"
    )
    tls_client_cert: Literal["required", "optional"] = Field(
        default="required", description="whether a sender without a certificate may connect, where an authority is set"
    )
    peers: tuple[str, ...] = Field(
        default=(), description="addresses and networks that may connect, such as '10.1.2.0/24'; empty: all"
    )
    message_types: tuple[str, ...] = Field(
        default=(),
        description="what this feed carries, such as 'DFT^P03' or 'ADT'; else AR 200 or 201; empty: all that we take",
    )
    acknowledge: Literal["by-message", "original", "enhanced"] = Field(
        default="by-message",
        description="by MSH-15 and 16; or 'original': they don't count; or 'enhanced': where empty, as AL and NE",
    )
    ack_within_s: float = Field(
        default=30, description="how long a connection waits for the application acknowledgement of enhanced mode"
    )
    ack_address: str = Field(
        default="", description="host:port where we send it instead, until it is accepted; empty: the same connection"
    )
    ack_tls_ca: str = Field(
        default="", description="PEM file of that address's authority, which is then called by TLS; empty: without"
    )
    mllp_release: Literal[1, 2] = Field(
        default=1, description="2: each message is first answered by a commit block, 0x06 once it is stored, else 0x15"
    )
    sequence_numbers: bool = Field(
        default=False, description="the sender numbers messages in MSH-13: a gap is AR 207, with the next one in MSA-4"
    )
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
    charset: str = Field(
        default="",
        description="the character set where MSH-18 names none, as in table 0211; empty: UTF-8, then the fallback",
    )
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
    correction: Literal["replace", "add", "park"] = Field(
        default="replace",
        description="a charge or payment that comes again under its FT1-2 with another amount or service: "
        "in its place, beside it, or for a human",
    )
    segments: Literal["snapshot", "action"] = Field(
        default="snapshot",
        description="IN1 and GT1 of a message: all there are, in place of those before; or only what is new or changed",
    )
    payment_sign: Literal["positive", "negative", "unsigned", "park"] = Field(
        default="park",
        description="how a PY is written: 'positive', and a negative one takes a payment back; 'negative', and a "
        "positive one does; 'unsigned' whatever its sign; 'park' positive, a negative one for a human",
    )
    adjustment_sign: Literal["positive", "negative", "park"] = Field(
        default="park",
        description="the sign of an AJ that lowers what is owed; one with the other takes an adjustment back",
    )
    echoes: Literal["number", "amount"] = Field(
        default="number",
        description="how what we posted comes back in the feed: under our FT1-2 or FT1-30; or 'amount': also under a "
        "number of the EHR's own, of the same account and amount within a day",
    )
    payments_from: Literal["patient", "insurance", "park"] = Field(
        default="park",
        description="who paid a PY whose FT1-7 isn't in codes/paid-by.csv and whose FT1-14 names no plan",
    )
    carries_coverage: bool = Field(
        default=False,
        description="the feed always sends IN1 where there is insurance; without it a class is no self-pay proof",
    )
    self_pay_classes: tuple[str, ...] = Field(
        default=(), description="PV1-20.1, FT1-18 or plan codes that say: this patient pays for themselves"
    )
    watermark: date | None = Field(
        default=None,
        description="taken over from another system: what is of before this day, by day of service, is kept and shown "
        "and never asked for, and nothing is asked for until `fhirpay cutover go-live`; empty: all is",
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
    max_connections: int = Field(
        default=200,
        description="connections at once; then one that sends nothing gives way, else the new one is closed",
    )

    silence_after_min: int = Field(
        default=0, ge=0, le=10080, description="a worklist line after so many minutes without a message; 0: never"
    )
    silence_hours: str = Field(
        default="",
        description="hours that count for it, in its zone: 'Mon-Fri 07:00-19:00; Sat 08:00-12:00'; empty: always",
    )
    conformance_check: Literal["off", "sample", "all"] = Field(
        default="sample",
        description="what came in is compared with the interface's profile and the standard's tables, apart from all "
        "else: of each minute the newest message of each type; or 'all', as far as one idle processor gets; or 'off'",
    )

    @property
    def networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """`peers`, to compare an address with."""
        return tuple(ip_network(peer, strict=False) for peer in self.peers)

    @model_validator(mode="after")
    def _checked(self) -> Interface:
        for peer in self.peers:
            try:
                ip_network(peer, strict=False)
            except ValueError:
                raise ValueError(f"'{peer}' is no address or network; write 10.1.2.3 or 10.1.2.0/24") from None
        Hours.parse(self.silence_hours)
        for label in self.message_types:
            if not re.fullmatch(r"[A-Z]{3}(\^[A-Z][A-Z0-9]{2})?", label):
                raise ValueError(f"'{label}' is no message type; write DFT^P03, or DFT for all of its events")
        if self.ack_address and not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\s]+):[0-9]{1,5}", self.ack_address):
            raise ValueError(f"'{self.ack_address}' is no address; write host:port")
        if not self.tls_cert and (self.tls_key or self.tls_client_ca):
            raise ValueError("tls_key and tls_client_ca need tls_cert")
        return self

    folder: str = Field(
        default="", description="files that are put here are taken in; then they are in its done/, with their reply"
    )
    folder_settles_s: float = Field(
        default=5, gt=0, description="a file that doesn't change for this long is complete; names that end in .tmp wait"
    )
    folder_pattern: str = Field(default="*", description="which files are meant, such as '*.hl7'")
    folder_marker: str = Field(
        default="", description="such as '.done': a file is complete only when NAME.done stands beside it"
    )
    sftp: Sftp | None = Field(default=None, description="a folder at an SSH server, whose files are taken in as well")

    @property
    def system(self) -> str:
        return self.namespace or f"urn:fhirpay:{self.name}"
