"""Patients in short: compact facts → FHIR R4 resources, and two worlds in which a story about them is played.

`PureAccount` knows nothing but `assess` and plain numbers; `StoredAccount` goes through the FHIR store, the rows and
the ledger. Both take the same events, so a story is told twice and has to come out the same.
To add an event: a method `on_<name>` in each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from fhirpay.billing import entries, money, policy, rows, store
from fhirpay.billing.assessment import Assessment, Desired
from fhirpay.billing.facts import AccountFacts, Hold, StaffAmount
from fhirpay.billing.intake import Resources, facts_of
from fhirpay.billing.responsibility import assess
from fhirpay.billing.standing import Standing, askable, oldest_first, spread
from fhirpay.config import Facility, Merchant, Tenant
from fhirpay.db.unit import Tx
from fhirpay.domain import fhir_urls as urls
from fhirpay.domain.money import Money
from fhirpay.errors import RuleBroken
from fhirpay.fhir import store as fhir
from fhirpay.flow import topics
from fhirpay.ledger import rules
from fhirpay.ledger import store as ledger

ACCOUNT, ACCOUNT_TOPIC = "Account/a1", "account:urn:test|A1"
Resource = dict[str, Any]


def tenant_of(facility: Mapping[str, Any] | None = None) -> Tenant:
    merchant = Merchant(name="main", processor="simulated", base_url="https://processor", secret_key="test")
    data = {"name": "main", "zone": "America/Chicago", "bill_hold_days": 0, **(facility or {})}
    return Tenant(name="main", facilities=(Facility.model_validate(data),), merchants=(merchant,))


# ── compact → FHIR ────────────────────────────────────────────────────────────────────────────────────────────────


def amount_of(text: Any) -> Money:
    """`25.00`, or `25.00 EUR`."""
    number, _, currency = str(text).partition(" ")
    return Money.of(number, currency or "USD")


def fhir_money(text: Any) -> dict[str, Any]:
    amount = amount_of(text)
    return {"value": amount.decimal, "currency": amount.currency}


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"reference": name if "/" in name else f"{kind}/{name}"}


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _clean(resource: Mapping[str, Any]) -> Resource:
    return {key: value for key, value in resource.items() if value not in (None, [], {}, "")}


def patient(of: Mapping[str, Any]) -> Resource:
    born, dead = str(of.get("born", "1980-05-05")), of.get("deceased")
    return _clean(
        {"resourceType": "Patient", "id": "p1", "birthDate": born, "deceasedBoolean": dead, "active": of.get("active")}
    )


def account(of: Mapping[str, Any]) -> Resource:
    extensions: list[dict[str, Any]] = [
        {"url": url, "valueBoolean": of[name]}
        for name, url in (("self_pay", urls.SELF_PAY), ("bad_debt", urls.BAD_DEBT), ("job_related", urls.JOB_RELATED))
        if name in of
    ]
    if of.get("accident"):
        extensions.append({"url": urls.ACCIDENT, "extension": [{"url": "state", "valueString": "IL"}]})
    for number, copay in enumerate(of.get("copays", ()), start=1):
        parts = [
            {"url": urls.COPAY_AMOUNT, "valueMoney": fhir_money(copay["amount"])},
            {"url": urls.COPAY_IDENTIFIER, "valueIdentifier": {"system": "urn:test", "value": f"CO{number}"}},
        ]
        if "visit" in copay:
            parts.append({"url": urls.COPAY_ENCOUNTER, "valueReference": _ref("Encounter", copay["visit"])})
        if "day" in copay:
            parts.append({"url": urls.COPAY_DATE, "valueDateTime": str(copay["day"])})
        extensions.append({"url": urls.COPAY_DUE, "extension": parts})
    guarantors = [
        _clean({"party": _ref("RelatedPerson", one["party"]), "onHold": one.get("on_hold"), "period": _period(one)})
        for one in of.get("guarantors", ())
    ]
    return _clean(
        {
            "resourceType": "Account",
            "id": "a1",
            "identifier": [{"system": "urn:test", "value": "A1"}],
            "status": of.get("status", "active"),
            "subject": [_ref("Patient", "p1")],
            "servicePeriod": _period(of),
            "coverage": [
                {"coverage": _ref("Coverage", name), "priority": rank}
                for rank, name in enumerate(of.get("coverages", ()), start=1)
            ],
            "guarantor": guarantors,
            "extension": extensions,
        }
    )


def _period(of: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(of[name]) for name in ("start", "end") if name in of}


def charge(of: Mapping[str, Any]) -> Resource:
    resource: Resource = {
        "resourceType": "ChargeItem",
        "id": of["id"],
        "identifier": [{"system": "urn:test:charge", "value": of.get("number", of["id"])}],
        "status": of.get("status", "billable"),
        "code": {"text": "x-ray"},
        "subject": _ref("Patient", "p1"),
        "account": [_ref("Account", of.get("account", "a1"))],
        "context": _ref("Encounter", of["visit"]) if "visit" in of else None,
        "occurrenceDateTime": str(of["day"]) if "day" in of else None,
        "priceOverride": fhir_money(of["amount"]) if "amount" in of else None,
        "partOf": [_ref("ChargeItem", of["part_of"])] if "part_of" in of else None,
    }
    return _clean(resource)


def credit(of: Mapping[str, Any]) -> Resource:
    """A CD line: its own ChargeItem, negative, of the charge `of` or of the one with that `of_number`."""
    resource = charge({**of, "amount": f"-{of['amount']}", "number": of.get("number", f"{of['id']}-CD")})
    resource["extension"] = [{"url": urls.DIRECTION, "valueCode": "credit"}]
    if "of" in of:
        resource["partOf"] = [_ref("ChargeItem", of["of"])]
    elif "of_number" in of:
        named = {"system": "urn:test:charge", "value": of["of_number"]}
        resource["partOf"] = [{"type": "ChargeItem", "identifier": named}]
    return resource


_KINDS = {
    "insurance": _coded(f"{urls.TERMINOLOGY}v3-ActCode", "HMO"),
    "pay": _coded(urls.COVERAGE_SELF_PAY, "pay"),
    "medicaid": _coded("https://codesystem.x12.org/005010/1032", "MC"),
    "workers_comp": _coded(f"{urls.TERMINOLOGY}v3-ActCode", "WCBPOL"),
    "auto": _coded(f"{urls.TERMINOLOGY}v3-ActCode", "AUTOPOL"),
}


def coverage(of: Mapping[str, Any]) -> Resource:
    costs = [
        {"type": _coded(urls.COVERAGE_COPAY_TYPE, kind), "valueMoney": fhir_money(of[kind])}
        for kind in ("copay", "deductible")
        if kind in of
    ]
    return _clean(
        {
            "resourceType": "Coverage",
            "id": of["id"],
            "status": of.get("status", "active"),
            "type": _KINDS[of.get("kind", "insurance")],
            "beneficiary": _ref("Patient", "p1"),
            "payor": [{"display": "an insurer"}],
            "period": _period(of),
            "costToBeneficiary": costs,
        }
    )


def visit(of: Mapping[str, Any]) -> Resource:
    return _clean(
        {
            "resourceType": "Encounter",
            "id": of["id"],
            "status": of.get("status", "in-progress"),
            "class": {"code": of.get("class", "AMB")},
            "subject": _ref("Patient", "p1"),
            "account": [_ref("Account", "a1")],
            "period": _period(of),
        }
    )


def _base(amount: Any) -> list[dict[str, Any]]:
    return [{"type": "base", "amount": fhir_money(amount)}]


def invoice(of: Mapping[str, Any]) -> Resource:
    lines = [
        _clean(
            {
                "chargeItemReference": _ref("ChargeItem", line["charge"]) if "charge" in line else None,
                "chargeItemCodeableConcept": None if "charge" in line else {"text": "x-ray"},
                "priceComponent": [{"type": "base", "amount": fhir_money(line["amount"])}]
                if "amount" in line
                else None,
            }
        )
        for line in of.get("lines", ())
    ]
    return _clean(
        {
            "resourceType": "Invoice",
            "id": of["id"],
            "status": of.get("status", "issued"),
            "subject": _ref("Patient", "p1"),
            "account": _ref("Account", of.get("account", "a1")),
            "recipient": _ref("Patient", of["recipient"]) if "recipient" in of else None,
            "date": str(of["day"]) if "day" in of else None,
            "lineItem": lines,
            "totalGross": fhir_money(of["total"]) if "total" in of else None,
        }
    )


BUILDERS = {
    "patient": patient,
    "account": account,
    "charge": charge,
    "credit": credit,
    "coverage": coverage,
    "visit": visit,
    "invoice": invoice,
}
NAMED = ("charge", "credit", "coverage", "visit", "invoice")


@dataclass
class Told:
    """What has been said so far, in compact form: an event says what is new, the rest stays."""

    said: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def tell(self, kind: str, of: Mapping[str, Any]) -> Resource:
        name = str(of["id"]) if kind in NAMED else kind
        known = self.said.setdefault((kind, name), {})
        known.update(of)
        return BUILDERS[kind](known)


# ── the pure world ────────────────────────────────────────────────────────────────────────────────────────────────

Key = tuple[str, str, str]


@dataclass
class PureAccount:
    """An account as plain values: what `assess` says, and money counted by hand."""

    tenant: Tenant
    at: datetime
    told: Told = field(default_factory=Told)
    resources: dict[str, Resource] = field(default_factory=dict)
    staff: list[StaffAmount] = field(default_factory=list)
    confirmed: bool = False
    holds: dict[str, Hold] = field(default_factory=dict)
    parked: bool = False
    paid: dict[Key, int] = field(default_factory=dict)
    reserved: dict[str, dict[Key, int]] = field(default_factory=dict)
    credit: int = 0

    @property
    def facts(self) -> AccountFacts:
        def of(kind: str) -> tuple[Resource, ...]:
            return tuple(one for ref, one in self.resources.items() if ref.startswith(f"{kind}/"))

        named = self.resources.get(ACCOUNT, {})
        read = Resources(
            account_ref=ACCOUNT,
            account=named,
            patients=tuple(one for ref, one in self.resources.items() if ref == "Patient/p1"),
            charges=of("ChargeItem"),
            invoices=of("Invoice"),
            coverages=of("Coverage"),
            encounters=of("Encounter"),
        )
        received: dict[str, Money] = {}
        for key in {*self.paid, *(key for parts in self.reserved.values() for key in parts)}:
            if key[0] == "invoice" and (minor := self.paid.get(key, 0) + self._in_flight(key)):
                received[key[1]] = Money(minor, key[2])
        return replace(
            facts_of(read, self.tenant.facilities[0]),
            staff=tuple(self.staff),
            holds=tuple(self.holds.values()),
            suspended_by=("wrk1",) if self.parked else (),
            received=received,
            **({"self_pay": "staff", "self_pay_confirmed": True} if self.confirmed else {}),
        )

    @property
    def assessment(self) -> Assessment:
        return assess(self.facts, self.tenant.facilities[0], self.at)

    def _in_flight(self, key: Key) -> int:
        return sum(parts.get(key, 0) for parts in self.reserved.values())

    def standings(self) -> dict[str, Standing]:
        found: dict[str, Standing] = {}
        for one in self.assessment.obligations:
            found["/".join(one.key)] = self._standing(one)
        return found

    def _standing(self, one: Desired) -> Standing:
        return Standing(
            obligation_id="|".join(one.key),
            currency=one.currency,
            basis_state=one.state,
            patient=one.patient.minor,
            posted=sum(one.draws.values()),
            collectable_from=one.collectable_from,
            paid=self.paid.get(one.key, 0),
            in_flight=self._in_flight(one.key),
            order=(one.basis_kind, one.basis_key),
        )

    def _square(self) -> None:
        """Excess becomes credit, credit pays what is due."""
        by_key = {tuple(one.obligation_id.split("|")): one for one in self.standings().values()}
        for key, paid in list(self.paid.items()):
            owed = by_key[key].patient if key in by_key else 0
            if paid > owed:
                self.credit += paid - owed
                self.paid[key] = owed
        if self.holds or self.parked:
            return
        for one in oldest_first(self.standings().values()):
            part = min(self.credit, one.may_be_asked(self.at))
            if part:
                key = tuple(one.obligation_id.split("|"))
                self.paid[key] = self.paid.get(key, 0) + part
                self.credit -= part

    def asks(self) -> dict[str, int]:
        """Minor units that may be asked for now, by kind of basis."""
        found: dict[str, int] = {}
        if self.holds or self.parked:
            return found
        for name, minor in askable(self.standings().values(), self.at, credit=self.credit).items():
            kind = name.partition("|")[0]
            found[kind] = found.get(kind, 0) + minor
        return found

    def says(self) -> set[str]:
        """Every kind of sentence and every hold that the statements name now."""
        said = {says.kind for one in self.assessment.obligations for says in one.statement}
        return said | {hold.name for hold in self.assessment.holds}

    def on_resource(self, kind: str, of: Mapping[str, Any]) -> None:
        resource = self.told.tell(kind, of)
        self.resources[f"{resource['resourceType']}/{resource['id']}"] = resource
        if not _on_account(resource):
            del self.resources[f"{resource['resourceType']}/{resource['id']}"]
        self._square()

    def on_start(self, payment: str, minor: int) -> None:
        limits = askable(self.standings().values(), self.at, credit=self.credit)
        if self.holds or self.parked or minor > sum(limits.values()):
            raise RuleBroken("less may be asked for")
        parts = spread(minor, list(limits.items()))
        self.reserved[payment] = {tuple(name.split("|")): part for name, part in parts.items()}
        self._square()

    def on_capture(self, payment: str) -> None:
        for key, minor in self.reserved.pop(payment).items():
            self.paid[key] = self.paid.get(key, 0) + minor
        self._square()

    def on_fail(self, payment: str) -> None:
        del self.reserved[payment]
        self._square()

    def on_take_back(self, payment: str, minor: int) -> None:
        key = max(self.paid, key=lambda one: self.paid[one])
        self.paid[key] -= minor
        self._square()

    def on_hold(self, name: str) -> None:
        self.holds[name] = Hold(name, "opened by staff")
        self._square()

    def on_release(self, name: str) -> None:
        del self.holds[name]
        self._square()

    def on_staff(self, minor: int) -> None:
        number = len(self.staff) + 1
        self.staff.append(StaffAmount(f"stf{number:03d}", Money(minor, "USD"), "by phone", self.at))
        self._square()

    def on_confirm_self_pay(self) -> None:
        self.confirmed = True
        self._square()

    def on_park(self) -> None:
        self.parked = True

    def on_replay(self) -> None:
        self.parked = False
        self._square()

    def on_day(self, at: datetime) -> None:
        self.at = at
        self._square()


def _on_account(resource: Resource) -> bool:
    if resource["resourceType"] == "ChargeItem":
        return resource["account"][0]["reference"] == ACCOUNT
    return resource["resourceType"] != "Invoice" or resource["account"]["reference"] == ACCOUNT


# ── the stored world ──────────────────────────────────────────────────────────────────────────────────────────────


class StoredAccount:
    """The same account in a database. Every method is a unit's function: it takes the unit's `tx` first."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.told = Told()
        self.holds: dict[str, str] = {}
        self.actions: list[policy.Action] = []

    def reassess(self, tx: Tx) -> None:
        reassessed = store.reassess(tx, ACCOUNT, self.tenant)
        money.carry_out(tx, reassessed)

    def on_resource(self, tx: Tx, kind: str, of: Mapping[str, Any]) -> None:
        fhir.put(tx, self.told.tell(kind, of))
        self.reassess(tx)

    def on_start(self, tx: Tx, payment: str, minor: int) -> None:
        ids = [one.obligation_id for one in store.owed(tx, ACCOUNT)]
        parts = money.reserve(tx, ids, Money(minor, "USD"), payment_id=payment)
        assert sum(part.amount.minor for part in parts) == minor
        assert money.reserve(tx, ids, Money(minor, "USD"), payment_id=payment) == parts

    def on_capture(self, tx: Tx, payment: str) -> None:
        reserved = [
            money.Share(row["obligation_id"], Money(row["in_flight_minor"], row["currency"]))
            for row in money._of_payment(tx, payment)
        ]
        total = sum((share.amount for share in reserved), Money.zero("USD"))
        when = rules.When(occurred_at=tx.now, business_date=tx.now.date())
        settled = money.settle(tx, payment, reserved)
        ledger.post(tx, rules.capture(payment, "main", total, **when), key=f"capture/{payment}")
        money.post(tx, settled.ledger, business_date=tx.now.date())
        self.reassess(tx)

    def on_fail(self, tx: Tx, payment: str) -> None:
        money.release(tx, payment)
        self.reassess(tx)

    def on_take_back(self, tx: Tx, payment: str, minor: int) -> None:
        share = max(money._of_payment(tx, payment), key=lambda row: row["paid_minor"])
        taken = money.reopen(tx, share["obligation_id"], Money(minor, "USD"), payment_id=payment)
        money.post(tx, taken.ledger, business_date=tx.now.date())
        when = rules.When(occurred_at=tx.now, business_date=tx.now.date())
        entry = rules.refund_approved(payment, f"ref-{payment}", Money(minor, "USD"), **when)
        ledger.post(tx, entry, key=f"refund/{payment}")
        self.reassess(tx)

    def on_hold(self, tx: Tx, name: str) -> None:
        self.holds[name] = entries.open_hold(tx, ACCOUNT, name, says="opened by staff", by="ann")
        self.reassess(tx)

    def on_release(self, tx: Tx, name: str) -> None:
        entries.release_hold(tx, self.holds[name], by="ann", why="settled")
        self.reassess(tx)

    def on_staff(self, tx: Tx, minor: int) -> None:
        entries.enter_amount(tx, ACCOUNT, Money(minor, "USD"), reason="by phone", by="ann")
        self.reassess(tx)

    def on_confirm_self_pay(self, tx: Tx) -> None:
        entries.confirm_self_pay(tx, ACCOUNT, reason="said so at the desk", by="ann")
        self.reassess(tx)

    def on_park(self, tx: Tx) -> None:
        """A message of the account parks: nobody reassesses, and still nothing may be asked."""
        topics.hold(tx, "wrk1", topics.Topics(suspends=(ACCOUNT_TOPIC,)))

    def on_replay(self, tx: Tx) -> None:
        topics.forget(tx, "wrk1")
        self.reassess(tx)

    def on_day(self, tx: Tx) -> None:
        self.reassess(tx)

    def asks(self, tx: Tx) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in store.owed(tx, ACCOUNT):
            found[one.basis_kind] = found.get(one.basis_kind, 0) + one.askable.minor
        return found

    def credit(self, tx: Tx) -> int:
        return sum(share.amount.minor for share in money.credits_of(tx, ACCOUNT))

    def check_books(self, tx: Tx) -> None:
        """The control equations of one account, row by row."""
        for row in rows.of_accounts(tx, [ACCOUNT]):
            one = row["obligation_id"]
            allocated = sum(
                share["allocated_minor"]
                for share in tx.all(money.shares.select().where(money.shares.c.obligation_id == one))
            )
            patient = ledger.balance(tx, "ar_patient", currency=row["currency"], obligation=one)
            assert patient == row["posted_minor"] - allocated, (one, row["basis_key"])
            assert patient >= 0
            assert row["posted_minor"] <= row["patient_minor"]
            assert row["state"] == str(rows.standing(row).state) or row["state"] in rows.ENDS
        pending = sum(row["pending_minor"] for row in rows.of_accounts(tx, [ACCOUNT]))
        assert sum(_by_currency(tx, "ar_pending").values()) == pending


def _by_currency(tx: Tx, account: str) -> dict[str, int]:
    return {
        one.amount.currency: one.amount.minor
        for one in ledger.balances(tx, account_ref=ACCOUNT)
        if one.account == account
    }


def read_stories() -> list[dict[str, Any]]:
    """The stories of tests/stories, file by file."""
    stories: list[dict[str, Any]] = []
    for path in sorted((Path(__file__).parent / "stories").glob("*.yaml")):
        # Every scalar stays text: 2026-03-02 and 25.00 are read by us, exactly.
        for story in yaml.load(path.read_text(encoding="utf-8"), Loader=_Text):
            stories.append(story)
    return stories


class _Text(yaml.SafeLoader):
    """YAML whose numbers and days stay as written; `true`, `false` and nothing are themselves (`on` is a word)."""


_Text.yaml_implicit_resolvers = {
    **{letter: [("tag:yaml.org,2002:bool", re.compile(r"true|false"))] for letter in "tf"},
    "": [("tag:yaml.org,2002:null", re.compile(r""))],
}


def noon(day: str, tenant: Tenant) -> datetime:
    return datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=ZoneInfo(tenant.facilities[0].zone))
