"""What is agreed with an EHR that is called over FHIR: its address, who we are to it, what is posted there, who may
launch us from it. Part of `config`; the keys that we sign with as a client of EHRs stand here too."""

from __future__ import annotations

import re
from datetime import date, time
from typing import Literal, get_args

from pydantic import AwareDatetime, Field, model_validator

from .config_launch import LaunchedFrom
from .config_report import PostingReport
from .config_section import Section, Stage, known_zone
from .config_writeback import FinancialTransaction, Written, wrong_in_writes

# What an EHR may be asked for; what one of them refers to is read with it.
Related = Literal["Account", "Patient", "Coverage", "Encounter", "RelatedPerson", "Organization"]
Polled = Literal["ChargeItem", "Invoice", "Appointment"] | Related
RELATED: tuple[str, ...] = get_args(Related)
_SECRET = re.compile(r"[A-Za-z0-9._~+/=-]{32,200}\Z")  # it goes into a header (RFC 6750 §2.1)


class SigningKey(Section):
    """A key that we sign with as a client of EHRs. Its public half is published as long as it stands here."""

    private_key: str = Field(
        repr=False,
        description="the file of an RSA key (RS384) or an EC key on P-384 (ES384), PEM or JWK; or its text by env:NAME",
    )
    signs_from: AwareDatetime | None = Field(
        default=None, description="it is published at once and signs from then on; empty: at once, for the only key"
    )


class Connection(LaunchedFrom):
    """An EHR that payments are written back to, and whose changes may be picked up."""

    auth: Literal["token", "backend-services"] = Field(
        default="token",
        description="who we are to it: a fixed `token`, or a client by SMART backend services, with the tenant's keys",
    )
    token: str = Field(default="", repr=False, description="bearer token; use env:NAME")
    client_id: str = Field(default="", description="what the EHR calls us: the client id of our registration there")
    token_endpoint: str = Field(
        default="",
        description="the only one that an assertion goes to; empty: the one that its smart-configuration names",
    )
    scopes: tuple[str, ...] = Field(
        default=(),
        description="what we ask for, in v1 or v2 syntax; empty: what `writes` and `poll` need, as it takes them",
    )
    fhir_version: Literal["", "R4", "R4B", "R5"] = Field(
        default="",
        description="empty: as its CapabilityStatement says; one that says another is not written to",
    )
    writes: tuple[Written, ...] = Field(
        default=("PaymentReconciliation",), description="what is posted there; empty: nothing"
    )
    stage: Stage = Field(
        default="auto",
        description="'shadow': nothing is posted there, what would be is kept to compare; 'assist': each posting waits "
        "for staff to confirm it; 'auto': at once",
    )
    heard_on: tuple[str, ...] = Field(
        default=(),
        description="the interfaces on which it says what is posted there, for `writeback agreement`; empty: all",
    )
    report: PostingReport | None = Field(
        default=None, description="how its own report of what is posted there is read; see below"
    )
    payout_target: bool = Field(
        default=False,
        description="each payout is posted there too, as a PaymentReconciliation with a tag of its own: only where the "
        "EHR tells it from payments, which it has already",
    )
    payouts_from: date | None = Field(
        default=None,
        description="payouts that were made before this day are not posted there, such as those that somebody has "
        "typed in by hand; empty: also those of the thirty days before `payout_target` was set",
    )
    read_back: bool = Field(
        default=False,
        description="what it has of payments is searched once a day, and compared with what was posted there",
    )
    read_back_days: int = Field(default=30, ge=2, le=365, description="how far back that search goes")
    poll: tuple[Polled, ...] = Field(
        default=(),
        description="the types whose changes are picked up there (R4); empty: it sends them to us, or nothing",
    )
    poll_by: dict[Polled, Literal["encounter", "patient"]] = Field(
        default={},
        description="those of `poll` that it finds only for an encounter or a patient: of each that we hear of",
    )
    poll_since: AwareDatetime | None = Field(
        default=None, description="changes since then are picked up, by the EHR's clock; needed for `poll`"
    )
    poll_every_s: float = Field(default=60, gt=0, description="how often changes are looked for")
    poll_overlap_s: int = Field(
        default=300, ge=0, description="how far each look goes back: as long as a change may take to be found"
    )
    poll_visit_every_s: float = Field(
        default=900, gt=0, description="how often an encounter of `poll_by` is looked at; rarer while nothing is new"
    )
    poll_late_days: int = Field(
        default=30, ge=0, description="how long after its end an encounter of `poll_by` is looked at: late charges"
    )
    poll_related_h: float = Field(
        default=24,
        ge=0,
        description="how old may be what is referred to and not in `poll`, such as a patient, before it is read again",
    )
    subscribe: tuple[Polled, ...] = Field(
        default=(),
        description="types of `poll` of whose changes the EHR is asked to tell us at once, by a Subscription",
    )
    subscribe_topics: dict[str, str] = Field(
        default={}, description="the EHR's topic of a type, by its canonical URL; without one, the type is the criteria"
    )
    subscribe_content: Literal["empty", "id-only", "full-resource"] = Field(
        default="empty",
        description="how much it tells: that something changed, what changed, or the resource itself",
    )
    subscribe_heartbeat_s: int = Field(
        default=900, ge=0, description="how often a topic is to show that it lives; 0: never, and it isn't missed"
    )
    subscribe_secrets: tuple[str, ...] = Field(
        default=(),
        repr=False,
        description="what the EHR shows as bearer token, newest first, 32 characters or more; use env:NAME",
    )
    bulk: Literal["", "initial", "nightly"] = Field(
        default="",
        description="its bulk export of the types of `poll`: once, before polling begins; or also each night; or never",
    )
    bulk_group: str = Field(default="", description="the Group that is exported; empty: the whole system")
    bulk_at: time = Field(default=time(2), description="when the night's export begins, in `zone`, or else UTC")
    interface: str = Field(
        default="", description="the interface whose rules apply to what is picked up, as for a client that sends it"
    )
    systems: dict[str, str] = Field(
        default={},
        description="its identifier system → that of the HL7v2 feed, for numbers of patients, accounts and visits",
    )
    financial_transaction: FinancialTransaction | None = Field(
        default=None, description="what is agreed for `Basic`; see below"
    )
    organization: str = Field(default="", description="Organization id at that EHR, as requestor and payee")
    zone: str = Field(default="", description="IANA zone of the dates that it is told; empty: the facility's")
    currency: str = Field(
        default="",
        pattern=r"^([A-Z]{3})?$",
        description="the only one that it books: others are for a person; empty: all",
    )
    calls_per_min: int = Field(
        default=0, ge=0, description="at most so many calls a minute by each process, evenly spaced; 0: no limit"
    )
    timeout_s: float = Field(default=10, gt=0, description="longest wait for an answer of the EHR")
    index_settles_s: int = Field(
        default=120, ge=0, description="how long its search may lag: before that, 'not found' proves nothing"
    )

    @property
    def signs_as(self) -> frozenset[str]:
        """Our client ids there that we prove to be by a key of the tenant."""
        found = [self.client_id if self.auth == "backend-services" else ""]
        found += [self.launch_client_id if self.launch_auth == "private_key_jwt" else ""]
        return frozenset(found) - {""}

    @model_validator(mode="after")
    def _one_way_in(self) -> Connection:
        unused = self.token_endpoint if not self.launch_client_id else ""
        if self.auth == "token" and (self.client_id or self.scopes or unused):
            raise ValueError(
                f"connection '{self.name}' has client_id, scopes or token_endpoint: set auth = \"backend-services\" too"
            )
        if self.auth == "backend-services" and self.token:
            raise ValueError(f"connection '{self.name}' gets its tokens by backend services: take `token` out")
        if self.auth == "backend-services" and not self.client_id:
            raise ValueError(f"connection '{self.name}' needs client_id: what the EHR called us at registration")
        tokens = self.token or self.auth == "backend-services"
        if tokens and not self.private_network and not self.base_url.startswith("https:"):
            raise ValueError(f"connection '{self.name}': base_url is not https, and tokens would be read on their way")
        if self.auth == "backend-services" and not (self.scopes or self.posted or self.poll):
            raise ValueError(
                f"connection '{self.name}' writes and polls nothing and names no scopes: say which to ask for"
            )
        if self.poll and self.poll_since is None:
            raise ValueError(f"connection '{self.name}' needs poll_since: the day from when on changes are picked up")
        if self.poll and self.fhir_version == "R5":
            raise ValueError(
                f"connection '{self.name}' speaks R5, and changes are picked up from R4 and R4B: no `poll`"
            )
        if self.launch_client_id and self.fhir_version == "R5":
            raise ValueError(f"connection '{self.name}' speaks R5, and a launch's Patient is read as R4: no launch")
        if self.bulk and not self.poll:
            raise ValueError(f"connection '{self.name}' exports nothing: name the types in `poll`")
        if stray := sorted(self.poll_by.keys() - set(self.poll)):
            raise ValueError(f"connection '{self.name}': poll_by names {', '.join(stray)}, which `poll` doesn't")
        if self.zone:
            known_zone(self.zone)
        return self

    @model_validator(mode="after")
    def _told_of_what_is_polled(self) -> Connection:
        """A notification is a hint: it gets lost, and what isn't polled would be lost with it."""
        if lost := [kind for kind in self.subscribe if kind not in self.poll]:
            raise ValueError(f"connection '{self.name}' subscribes to {', '.join(lost)}: name it in `poll` too")
        if by := [kind for kind in self.subscribe if kind in self.poll_by]:
            raise ValueError(
                f"connection '{self.name}' subscribes to {', '.join(by)}, looked at by `poll_by`: take it out"
            )
        if other := [kind for kind in self.subscribe_topics if kind not in self.subscribe]:
            raise ValueError(f"connection '{self.name}' has a topic of {', '.join(other)}: name it in `subscribe` too")
        if self.subscribe and not self.subscribe_secrets:
            raise ValueError(f"connection '{self.name}' needs subscribe_secrets: what the EHR shows when it tells us")
        if not all(map(_SECRET.match, self.subscribe_secrets)):
            says = "32 to 200 letters, digits and -._~+/= each"
            raise ValueError(f"connection '{self.name}': subscribe_secrets have {says}")
        return self

    @model_validator(mode="after")
    def _written_once(self) -> Connection:
        if wrong := wrong_in_writes(self.writes, self.financial_transaction, self.fhir_version, self.organization):
            raise ValueError(f"connection '{self.name}' {wrong}")
        return self

    @property
    def posted(self) -> tuple[str, ...]:
        """The types that are posted there."""
        payouts = ("PaymentReconciliation",) if self.payout_target else ()
        return tuple(dict.fromkeys((*self.writes, *payouts)))

    @property
    def polled(self) -> tuple[str, ...]:
        """The types whose changes are searched by `_lastUpdated`."""
        return tuple(kind for kind in self.poll if kind not in self.poll_by)
