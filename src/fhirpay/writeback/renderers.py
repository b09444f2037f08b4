"""What is posted over FHIR, by resource type: how it is made, how it is known again, by which ways it is sent.

Called by usecases/post_back.py, seek_posting.py and unposted.py. To post another resource type: its renderer beside
this file, an entry here, its name in `writes` (config_connection.py), and who queues it (usecases/postings.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..config import Connection
from ..errors import RuleBroken
from ..fhir.statement import Capability, FhirVersion
from . import invoice_status, oracle_basic, payment_notice, payment_reconciliation, payout_posting, provenance
from .payment_notice import NOTICE_SYSTEM
from .payment_reconciliation import PAYMENT_SYSTEM, identifier_of
from .payout_posting import PAYOUT_SYSTEM, PostedPayout
from .posted import PostedPayment, Ref, lines_for
from .profile import Way, ways
from .store import Posting

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """To whom a posting is told, and how. `target` is the one Encounter or Account of a financial transaction, `main`
    the posting that this one follows."""

    to: Connection
    version: FhirVersion
    posting: Posting
    target: Ref | None = None
    main: Posting | None = None


@dataclass(frozen=True, slots=True)
class Renderer:
    """One resource type. `mark` is what a resource of ours is known by; `same` compares content, where an EHR has put
    identifiers of its own in place of ours; `only` in words how an EHR has to take it, where not every way will do."""

    render: Callable[[Any, Told], dict[str, Any]]
    sought: Callable[[Posting], Mapping[str, str]]
    has_mark: Callable[[Resource, Posting], bool]
    same: Callable[[Resource, Resource], bool]
    made_for: Callable[[FhirVersion, Resource], bool]
    ways: Callable[[Capability], tuple[Way, ...]] = ways
    only: str = ""


def renderer_of(posting: Posting) -> Renderer:
    """By what it is of, then by its type."""
    return PAYOUTS if posting.is_payout else RENDERERS[posting.resource_type]


def named(posting: Posting) -> str:
    """By what a person finds it at the EHR."""
    return ", ".join(renderer_of(posting).sought(posting).values())


def has_identifier(resource: Resource, system: str, value: str) -> bool:
    return any(
        one.get("system", "") == system and one.get("value") == value for one in resource.get("identifier") or ()
    )


# ── PaymentReconciliation ─────────────────────────────────────────────────────────────────────────────────────────


def _reconciliation(posted: PostedPayment, told: Told) -> dict[str, Any]:
    return payment_reconciliation.render(posted, organization=told.to.organization, version=told.version)


def _payout(posted: PostedPayout, told: Told) -> dict[str, Any]:
    return payout_posting.render(posted, organization=told.to.organization, version=told.version)


# ── PaymentNotice ─────────────────────────────────────────────────────────────────────────────────────────────────


def _notice(posted: PostedPayment, told: Told) -> dict[str, Any]:
    main = told.main
    if main is None:
        raise RuleBroken(f"'{told.to.name}' doesn't have {posted.id} (any more): there is nothing to give notice of")
    named: Ref = {"type": payment_reconciliation.RESOURCE_TYPE, "identifier": identifier_of(posted.id)}
    if main.remote_id:
        named = {"reference": f"{payment_reconciliation.RESOURCE_TYPE}/{main.remote_id}"}
    return payment_notice.render(posted, organization=told.to.organization, version=told.version, payment=named)


# ── Provenance ────────────────────────────────────────────────────────────────────────────────────────────────────


def _provenance(posted: PostedPayment, told: Told) -> dict[str, Any]:
    main = told.main
    if main is None or not main.remote_id or main.posted_at is None:
        raise RuleBroken(f"'{told.to.name}' doesn't have {posted.id} (any more): there is nothing to say the source of")
    return provenance.render(
        id=main.remote_id,
        version=main.remote_version or "",
        at=main.posted_at,
        zone=posted.zone,
        organization=told.to.organization,
    )


def _put_only(capability: Capability) -> tuple[Way, ...]:
    """What has no identifier is known again by its id alone, so that has to be ours to give."""
    return (Way.PUT,) if capability.update_create else ()


# ── Basic ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _number(posting: Posting) -> str:
    return oracle_basic.identifier_of(posting.subject, min(posting.numbers, default=0))


def _transaction(posted: PostedPayment, told: Told) -> dict[str, Any]:
    agreed = told.to.financial_transaction
    if agreed is None:
        raise RuleBroken(f"'{told.to.name}' has no financial_transaction any more: say what is agreed, then replay")
    if told.version is FhirVersion.R5:
        raise RuleBroken(f"'{told.to.name}' speaks R5, and the financial transaction is one of R4")
    lines = lines_for(posted, told.posting.numbers)
    if told.target is None:  # no line is left that would have one
        raise RuleBroken(f"nothing of {posted.id} is for that visit or account any more: there is nothing to post")
    return oracle_basic.render(posted, agreed, identifier=_number(told.posting), lines=lines, target=told.target)


def _created_only(capability: Capability) -> tuple[Way, ...]:
    """Whatever else a server announces of Basic: of a financial transaction nothing else is documented."""
    return (Way.BLIND,) if capability.create else ()


FOLLOWS = {
    payment_notice.RESOURCE_TYPE: payment_reconciliation.RESOURCE_TYPE,
    provenance.RESOURCE_TYPE: payment_reconciliation.RESOURCE_TYPE,
    invoice_status.RESOURCE_TYPE: payment_reconciliation.RESOURCE_TYPE,  # nothing is rendered: usecases/post_invoice.py
}
"""What is posted after another one that the EHR has, of the same payment or refund → that one."""

RENDERERS: Mapping[str, Renderer] = {
    payment_reconciliation.RESOURCE_TYPE: Renderer(
        render=_reconciliation,
        sought=lambda posting: {"identifier": f"{PAYMENT_SYSTEM}|{posting.subject}"},
        has_mark=lambda resource, posting: has_identifier(resource, PAYMENT_SYSTEM, posting.subject),
        same=lambda one, other: (
            payment_reconciliation.amount_and_date(one) == payment_reconciliation.amount_and_date(other)
        ),
        made_for=payment_reconciliation.is_of,
    ),
    payment_notice.RESOURCE_TYPE: Renderer(
        render=_notice,
        sought=lambda posting: {"identifier": f"{NOTICE_SYSTEM}|{posting.subject}"},
        has_mark=lambda resource, posting: has_identifier(resource, NOTICE_SYSTEM, posting.subject),
        same=lambda one, other: (one.get("amount"), one.get("payment")) == (other.get("amount"), other.get("payment")),
        made_for=payment_notice.is_of,
    ),
    provenance.RESOURCE_TYPE: Renderer(
        render=_provenance,
        sought=lambda posting: {"_id": posting.subject},
        has_mark=lambda resource, posting: provenance.is_ours(resource, posting.subject),
        same=lambda one, other: (
            (one.get("target"), one.get("recorded")) == (other.get("target"), other.get("recorded"))
        ),
        made_for=lambda *_: True,
        ways=_put_only,
        only=" at an id of ours (updateCreate)",
    ),
    oracle_basic.RESOURCE_TYPE: Renderer(
        render=_transaction,
        sought=lambda posting: {"identifier": _number(posting)},
        has_mark=lambda resource, posting: has_identifier(resource, "", _number(posting)),
        same=lambda one, other: one.get("extension") == other.get("extension"),
        made_for=lambda version, _: version is not FhirVersion.R5,
        ways=_created_only,
    ),
}

PAYOUTS = Renderer(
    render=_payout,
    sought=lambda posting: {"identifier": f"{PAYOUT_SYSTEM}|{posting.subject}"},
    has_mark=lambda resource, posting: has_identifier(resource, PAYOUT_SYSTEM, posting.subject),
    same=lambda one, other: (
        payment_reconciliation.amount_and_date(one) == payment_reconciliation.amount_and_date(other)
    ),
    made_for=payment_reconciliation.is_of,
)
"""A payout goes by the ways of a payment, under a name of its own."""
