"""Everything that can be set, with its default and why. Read once at start by `wiring`, checked, then frozen.

One file `fhirpay.toml` plus `FHIRPAY_*` for what changes by machine (database, ports, secrets). Tenants, facilities,
interfaces, merchants and EHR connections are data in that file. Secrets may be written as `env:NAME`. To add a
setting: a field with a default and a description here, a line in the README (a test says which is missing).
"""

from __future__ import annotations

import os
import tomllib
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, model_validator

from . import config_bank, config_gl, config_merchant, config_terminal
from .config_bank import BankAccount as BankAccount
from .config_bank import BankCsv as BankCsv
from .config_client import ApiClient, Issuer
from .config_connection import Connection, SigningKey
from .config_destination import Destination
from .config_feed import Interface
from .config_fees import AgreedFees as AgreedFees
from .config_fees import FeeRate as FeeRate
from .config_gl import GlAccount as GlAccount
from .config_in_transit import InTransit as InTransit
from .config_launch import normal_base
from .config_merchant import Merchant as Merchant
from .config_posting_file import PostingFile
from .config_report import PostingReport as PostingReport
from .config_route import Route
from .config_section import Section, in_the_clear, known_zone
from .config_sftp import Sftp as Sftp
from .config_sftp import SftpAccount as SftpAccount
from .config_terminal import Terminal
from .errors import ConfigInvalid


class Facility(Section):
    """A place that charges and is paid: its zone, merchant and collection policy."""

    name: str
    zone: str = Field(default="America/New_York", description="IANA zone of the till and of bare timestamps")
    merchant: str = Field(default="main", description="who is paid")
    organization: str = Field(
        default="",
        description="Organization id used as requestor and payee in postings; of several facilities each has its own, "
        "by which an account is known to be its",
    )
    policy: Literal["hold", "request", "autopay"] = Field(
        default="request", description="what happens to what is owed: nothing, ask, or the stored method"
    )
    autopay_cap: str = Field(default="200.00", description="most that a stored method is charged at once")
    autopay_notice_days: int = Field(default=0, description="days between becoming owed and the charge")
    bill_hold_days: int = Field(
        default=5, description="days after discharge (or service) before self-pay charges are asked for"
    )
    partial_approval: Literal["keep", "void"] = Field(
        default="keep",
        description="a bank approves a part: keep it and ask for the rest, or take all or nothing",
    )
    check_clears_days: int = Field(
        default=10,
        ge=0,
        le=90,
        description="days after its deposit in which a check may bounce: no refund before, unasked",
    )
    self_pay_discount_percent: int = Field(default=0, ge=0, le=100, description="taken off self-pay charges")


class Till(Section):
    """A cash drawer, with the desk at which it stands."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$", description="names it in the books: never to be another's"
    )
    facility: str = Field(default="main", description="the facility that is paid there")
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$", description="what lies in it (ISO 4217)")


class Tenant(Section):
    """One organisation's data. Everything below belongs to it alone."""

    name: str = "main"
    facilities: tuple[Facility, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    merchants: tuple[Merchant, ...] = ()
    tills: tuple[Till, ...] = ()
    bank_accounts: tuple[BankAccount, ...] = ()
    gl_accounts: tuple[GlAccount, ...] = ()
    in_transit: InTransit = InTransit()
    terminals: tuple[Terminal, ...] = ()
    routes: tuple[Route, ...] = ()
    connections: tuple[Connection, ...] = ()
    destinations: tuple[Destination, ...] = ()
    posting_files: tuple[PostingFile, ...] = ()
    clients: tuple[ApiClient, ...] = ()
    issuers: tuple[Issuer, ...] = ()
    keys: tuple[SigningKey, ...] = ()

    def facility(self, name: str) -> Facility:
        return _named(self.facilities, name, "facility")

    def interface(self, name: str) -> Interface:
        return _named(self.interfaces, name, "interface")

    def merchant(self, name: str) -> Merchant:
        return _named(self.merchants, name, "merchant")

    def till(self, name: str) -> Till:
        return _named(self.tills, name, "till")

    def bank_account(self, name: str) -> BankAccount:
        return _named(self.bank_accounts, name, "bank account")

    def facilities_of(self, account: BankAccount) -> tuple[str, ...]:
        """Those whose bags of cash and checks go into this bank account."""
        into = partial(config_bank.into_which_bags, self.bank_accounts, currency=account.currency)
        return tuple(one.name for one in self.facilities if into(one.name, one.merchant) == account.name)

    def terminal(self, name: str) -> Terminal:
        return _named(self.terminals, name, "terminal")

    def connection(self, name: str) -> Connection:
        return _named(self.connections, name, "connection")

    def destination(self, name: str) -> Destination:
        return _named(self.destinations, name, "destination")

    @property
    def receivers(self) -> tuple[Connection | Destination | PostingFile, ...]:
        """Whoever is posted to, by whichever way; their names differ."""
        return (*self.connections, *self.destinations, *self.posting_files)

    def posting_file(self, name: str) -> PostingFile:
        return _named(self.posting_files, name, "posting file")

    @model_validator(mode="after")
    def _checked(self) -> Tenant:
        merchants = {merchant.name for merchant in self.merchants}
        facilities = {facility.name for facility in self.facilities}
        for facility in self.facilities:
            known_zone(facility.zone)
            if facility.merchant not in merchants:
                raise ValueError(f"facility '{facility.name}' names merchant '{facility.merchant}', not defined")
        _tills(self.tills, facilities)
        config_merchant.check(self.merchants)
        config_bank.check(self.bank_accounts, merchants, facilities)
        config_gl.check(self.gl_accounts, merchants, facilities, {till.name for till in self.tills})
        config_terminal.check(self.terminals, merchants, facilities, {one.name: one.facility for one in self.tills})
        for route in self.routes:
            if route.facility and route.facility not in facilities:
                raise ValueError(f"route '{route.name}' names facility '{route.facility}', not defined")
            if unknown := set(route.merchants) - merchants:
                says = f"route '{route.name}' names merchant '{min(unknown)}', not defined"
                raise ValueError(f"{says}: define it in [[tenants.merchants]]")
        for connection in self.connections:
            if connection.interface and connection.interface not in {one.name for one in self.interfaces}:
                says = f"connection '{connection.name}' names interface '{connection.interface}', not defined"
                raise ValueError(says)
        for receiver in self.receivers:
            for heard in receiver.heard_on:
                if heard not in {one.name for one in self.interfaces}:
                    raise ValueError(f"'{receiver.name}' is heard on interface '{heard}', not defined")
        names = [one.name for one in self.receivers]
        if twice := next((name for name in names if names.count(name) > 1), ""):
            says = f"two connections, destinations or posting files are named '{twice}'"
            raise ValueError(f"{says}: postings are told apart by it")
        _told_apart(self.clients, {one.name for one in self.issuers})
        if not self.keys and (one := next((one for one in self.connections if one.signs_as), None)):
            raise ValueError(f"connection '{one.name}' signs its assertions: make a key with `fhirpay keys new`")
        _no_mix_up(self.connections)
        launching = [normal_base(one.base_url) for one in self.connections if one.launch_client_id]
        if twice := next((base for base in launching if launching.count(base) > 1), ""):
            raise ValueError(f"two connections are launched from {twice}: a launch names no other than that")
        for interface in self.interfaces:
            if interface.zone:
                known_zone(interface.zone)
            if interface.facility not in facilities:
                raise ValueError(f"interface '{interface.name}' names facility '{interface.facility}', not defined")
        _whose_accounts(self.facilities, [one.facility for one in self.interfaces])
        return self


class Settings(Section):
    """The whole configuration."""

    database: str = Field(
        default="sqlite:///var/fhirpay.db",
        description="sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/NAME",
    )
    http_host: str = Field(default="127.0.0.1", description="address to bind")
    http_port: int = Field(default=8080, description="port of the web role")
    public_url: str = Field(
        default="", description="how others reach us, https but on this machine; empty: http://http_host:http_port"
    )
    log_level: str = Field(default="INFO", description="DEBUG, INFO, WARNING or ERROR")
    hash_key: str = Field(
        default="", description="key of keyed hashes and blind indexes, 32 characters or more; use env:NAME"
    )
    workers: int = Field(default=4, ge=1, le=64, description="units of work in hand at once in this process")
    lease_s: float = Field(
        default=60, description="how long a worker holds an item; over four times the longest timeout_s"
    )
    poll_s: float = Field(default=1.0, description="longest sleep between looks for work when nothing wakes us")
    body_max_bytes: int = Field(default=10_000_000, description="largest HTTP body taken")
    mappings: str = Field(
        default="", description="folder of the site's own mappings, laid over those that are installed; empty: none"
    )
    tenants: tuple[Tenant, ...] = ()

    @model_validator(mode="after")
    def _lease_outlasts_calls(self) -> Settings:
        """An item makes two calls at most before its lease is looked at again, and a lease holds twice as long."""
        for tenant in self.tenants:
            for one in (*tenant.merchants, *tenant.connections, *tenant.destinations, *tenant.posting_files):
                if self.lease_s <= 4 * one.timeout_s:
                    least = f"{4 * one.timeout_s:g}"
                    raise ValueError(f"lease_s must be over four times the timeout_s of '{one.name}': above {least}")
        return self

    @model_validator(mode="after")
    def _people_come_by_https(self) -> Settings:
        """A launch brings a code and a session's cookie here, a payer comes back here from a processor's page."""
        for tenant in self.tenants:
            launched = next(
                (f"connection '{one.name}' is launched" for one in tenant.connections if one.launch_client_id), ""
            )
            paid = next((f"payers of merchant '{one.name}' come back" for one in tenant.merchants), "")
            if (launched or paid) and in_the_clear(self.base_url):
                says = f"{launched or paid} by way of {self.base_url}, which is http and can be read and changed"
                raise ValueError(f"{says}: set public_url to the https address at which we are reached")
        return self

    @model_validator(mode="after")
    def _names_of_files_are_apart(self) -> Settings:
        """What takes files from a folder can't say whose they are, and a rename there might go over another's."""
        seen: dict[tuple[str, str], str] = {}
        for to in (one for tenant in self.tenants for one in tenant.posting_files):
            key = to.place, to.file_name
            if key in seen:
                says = f"'{to.name}' and '{seen[key]}' put files of the same names into one folder"
                raise ValueError(f"{says}: give one of them a file_name of its own")
            seen[key] = to.name
        return self

    def tenant(self, name: str) -> Tenant:
        return _named(self.tenants, name, "tenant")

    @property
    def mappings_folder(self) -> Path | None:
        """The site's own mappings, as they are worked on; what a server runs of them is what was released."""
        return Path(self.mappings) if self.mappings else None

    @property
    def base_url(self) -> str:
        return (self.public_url or f"http://{self.http_host}:{self.http_port}").rstrip("/")

    def path_of(self, tenant: str) -> str:
        """Where a tenant is served: the only one at the root, several each under a path of their own."""
        return "" if len(self.tenants) == 1 else f"/tenants/{tenant}"


def _whose_accounts(facilities: tuple[Facility, ...], fed: list[str]) -> None:
    """Raises ValueError where an account that a feed brings would count, and be paid, as another facility's."""
    named = [one.organization for one in facilities if one.organization]
    if twice := next((name for name in named if named.count(name) > 1), ""):
        raise ValueError(f"two facilities have organization '{twice}': whose an account is, is told by it")
    for facility in facilities[1:]:
        if facility.name in fed and not facility.organization:
            says = f"facility '{facility.name}' has a feed and no organization: its accounts would be"
            raise ValueError(f"{says} '{facilities[0].name}'s. Give it one of its own")


def _tills(tills: tuple[Till, ...], facilities: set[str]) -> None:
    """Raises ValueError."""
    names = [till.name for till in tills]
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise ValueError(f"two tills are named '{twice}': the books tell them apart by it")
    for till in tills:
        if till.facility not in facilities:
            raise ValueError(f"till '{till.name}' names facility '{till.facility}', not defined")


def _told_apart(clients: tuple[ApiClient, ...], issuers: set[str]) -> None:
    """By name everywhere, by client_id at whoever gives out tokens, and by token."""
    seen: set[tuple[str, ...]] = set()
    for client in clients:
        if client.issuer and client.issuer not in issuers:
            raise ValueError(f"client '{client.name}' names issuer '{client.issuer}', not defined")
        marks = {("name", client.name), ("client_id", client.issuer, client.id), ("token", client.token or client.name)}
        if marks & seen:
            raise ValueError(f"client '{client.name}' has the name, client_id or token of another one")
        seen |= marks


def _no_mix_up(connections: tuple[Connection, ...]) -> None:
    """Who gives us another EHR's client_id could name that one's token endpoint, and have what we sign used there."""
    by_client: dict[str, list[Connection]] = {}
    for one in connections:
        for client_id in one.signs_as:
            by_client.setdefault(client_id, []).append(one)
    for same in by_client.values():
        open_one = next((one.name for one in same if not one.token_endpoint), "")
        if open_one and len({urlsplit(one.base_url).netloc for one in same}) > 1:
            raise ValueError(f"connection '{open_one}' needs token_endpoint: its client_id is one of another EHR too")


def _named(items: tuple[Any, ...], name: str, kind: str) -> Any:
    for item in items:
        if item.name == name:
            return item
    known = ", ".join(item.name for item in items) or "none"
    raise ConfigInvalid(f"there is no {kind} '{name}'; defined: {known}")


def load(path: Path | None = None, environ: dict[str, str] | None = None) -> Settings:
    """Settings from a TOML file and `FHIRPAY_<FIELD>` variables (which win). Raises ConfigInvalid saying where."""
    env = dict(os.environ) if environ is None else environ
    data: dict[str, Any] = {}
    if path is None and env.get("FHIRPAY_CONFIG"):
        path = Path(env["FHIRPAY_CONFIG"])
    if path is None and Path("fhirpay.toml").exists():
        path = Path("fhirpay.toml")
    if path is not None:
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise ConfigInvalid(f"there is no configuration file {path}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigInvalid(f"{path} is not valid TOML: {error}") from None
    for field in Settings.model_fields:
        if (value := env.get(f"FHIRPAY_{field.upper()}")) is not None and field != "tenants":
            data[field] = value
    try:
        return Settings.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigInvalid(f"{where}: {first['msg']}", location=str(path or "environment")) from None
