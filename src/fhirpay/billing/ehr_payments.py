"""What the EHR says that was paid on an account: its payments, each less what was taken back of it. Pure.

Read from the PaymentReconciliations that segments/ft1_py.yaml makes, by usecases/external_payments.py. All that is
known of the account is judged at once, so the order in which messages came can't matter: a payment that is taken back
before it comes in counts for nothing once it does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from ..domain import fhir_urls as urls
from ..domain.money import Money
from .elements import Resource, at, day_of, money_of, own_ref, reference
from .facts import INSURANCE, Relief

PATIENT, ADJUSTMENT = "patient", "adjustment"
_COUNTS = frozenset({"active"})
_ANY = ZoneInfo("UTC")  # a payment date is a day at its till


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the EHR's: `amount` above zero for money received, below for a payment taken back."""

    ref: str  # PaymentReconciliation/…
    key: str  # the same whatever the order of arrival
    number: str  # FT1-2, with the sender's namespace
    reference: str  # FT1-30
    amount: Money
    day: date
    paid_by: str  # patient, insurance; adjustment: nobody
    kind: str  # of an adjustment: what is written off
    method: str
    names: str  # the charge that it pays, where it says one
    feed: str  # the system of its sender's identifiers
    echo_of: str  # a payment or refund of ours; empty: it is the EHR's own
    unnumbered: str  # the message (MSH-10) that it came in, where it has no FT1-2

    @property
    def label(self) -> str:
        """As the sender's staff know it."""
        return self.number.rpartition("|")[2] or self.key.rpartition("|")[0].rpartition("|")[2]


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment with what is left of it."""

    said: Said
    amount: Money


@dataclass(frozen=True, slots=True)
class Standing:
    """`unmatched`: lines that take a payment back which isn't known here, or more than there was."""

    paid: tuple[Paid, ...]
    unmatched: tuple[tuple[Said, Money], ...]


def said_of(resource: Resource) -> Said | None:
    """None for what can't be read as money, or counts no more."""
    amount, day = money_of(resource.get("paymentAmount")), day_of(resource.get("paymentDate"), _ANY)
    identifiers = resource.get("identifier") or ()
    if amount is None or not amount.minor or day is None or not identifiers or resource.get("status") not in _COUNTS:
        return None
    extensions = {one.get("url"): one for one in resource.get("extension", ())}
    number = next((one for one in identifiers if str(one.get("system", "")).endswith(urls.TRANSACTION_SYSTEM)), {})
    requests = [reference(one.get("request")) for one in resource.get("detail", ())]
    coding = (at(extensions, urls.PAYMENT_METHOD, "valueCodeableConcept", "coding") or [{}])[0]
    return Said(
        ref=own_ref(resource),
        key=f"{identifiers[0].get('system', '')}|{identifiers[0].get('value', '')}",
        number=f"{number['system']}|{number['value']}" if number else "",
        reference=str(at(resource, "paymentIdentifier", "value") or ""),
        amount=amount,
        day=day,
        paid_by=str(at(extensions, urls.PAID_BY, "valueCode") or ""),
        kind=str(at(extensions, urls.ADJUSTMENT_KIND, "valueCode") or ""),
        method=str(coding.get("code", "")),
        names=next((ref for ref in requests if ref.startswith("ChargeItem/")), ""),
        feed=str(identifiers[0].get("system", "")).removesuffix(":payment"),
        echo_of=str(at(extensions, urls.ECHO_OF, "valueString") or ""),
        unnumbered=str(at(extensions, urls.UNNUMBERED, "valueString") or ""),
    )


def standing(said: Iterable[Said]) -> Standing:
    """What stands of these lines. Echoes of ours are no payments, and take none back.

    A line that takes back means the payment of its FT1-2 or FT1-30, of which it may take a part; one without either
    means the latest payment of exactly its amount.
    """
    own = sorted((one for one in said if not one.echo_of), key=lambda one: (one.day, one.key))
    left = {one.ref: one.amount for one in own if one.amount.minor > 0}
    paid = {one.ref: one for one in own if one.amount.minor > 0}
    unmatched: list[tuple[Said, Money]] = []
    named = [one for one in own if one.amount.minor < 0]
    for back in sorted(named, key=lambda one: not _names_any(one, paid.values())):
        rest = -back.amount
        for ref, one in paid.items():
            if rest and _names(back, one) and left[ref].currency == rest.currency:
                part = min(rest, left[ref], key=lambda money: money.minor)
                left[ref], rest = left[ref] - part, rest - part
        if not _names_any(back, paid.values()):
            alike = [ref for ref in paid if left[ref] == rest and _like(paid[ref], back)]
            if alike:
                left[alike[-1]], rest = left[alike[-1]] - rest, rest - rest
        if rest:
            unmatched.append((back, rest))
    return Standing(tuple(Paid(paid[ref], amount) for ref, amount in left.items() if amount), tuple(unmatched))


def relief_of(resources: Iterable[Resource]) -> Iterator[Relief]:
    """What of these is paid by an insurance or written off, for the account's facts. A write-off that is taken back is
    matched like a payment is."""
    said = [one for resource in resources if (one := said_of(resource)) is not None]
    for one, amount in ((paid.said, paid.amount) for paid in standing(said).paid):
        if one.paid_by in (INSURANCE, ADJUSTMENT):
            kind = INSURANCE if one.paid_by == INSURANCE else one.kind
            yield Relief(kind, amount, one.ref, one.key, one.day, one.label, one.names)


def _names(back: Said, payment: Said) -> bool:
    """A write-off takes no payment back, and the other way round."""
    if (payment.paid_by == ADJUSTMENT) != (back.paid_by == ADJUSTMENT):
        return False
    by_number = bool(back.number) and back.number == payment.number
    return by_number or (bool(back.reference) and back.reference == payment.reference)


def _names_any(back: Said, payments: Iterable[Said]) -> bool:
    return any(_names(back, one) for one in payments)


def _like(payment: Said, back: Said) -> bool:
    return (payment.paid_by, payment.kind) == (back.paid_by, back.kind)
