"""The demo's three patients, as their EHR would send them. Invented people; the dates follow the day of the demo.

Everything comes in by MLLP, FHIR and the API. Each message has a control id of its own and each resource an id of
its own, so that a demo which was killed can send everything again, and nothing happens twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

CONSENT = (
    "I allow the practice to charge this card for copays of my visits, up to the amount stated, until I say otherwise."
)


@dataclass(frozen=True, slots=True)
class Day:
    """The day of the demo, `YYYYMMDD`."""

    hl7: str

    @property
    def fhir(self) -> str:
        return f"{self.hl7[:4]}-{self.hl7[4:6]}-{self.hl7[6:]}"


def _message(*segments: str) -> bytes:
    return "\r".join(segments).encode() + b"\r"


def ana_arrives(day: Day) -> bytes:
    """ADT^A04: an insured patient registers for an office visit."""
    return _message(
        f"MSH|^~\\&|REGISTRATION|CLINIC|FHIRPAY|MAIN|{day.hl7}090000||ADT^A04^ADT_A01|DEMO0001|P|2.5.1",
        f"EVN|A04|{day.hl7}090000",
        "PID|1||MRN1001^^^CLINIC^MR||Rivera^Ana^M||19840312|F|||12 Elm Street^^Boston^MA^02118^USA||"
        "^PRN^PH^^^617^5550101|||||ACC1001^^^CLINIC^AN",
        "PV1|1|O|EXAM^1^^CLINIC||||||||||||||||V1001^^^CLINIC^VN|HMO" + "|" * 24 + f"{day.hl7}090000",
        f"IN1|1|HMO1^Health First HMO|HF01^^^CLINIC|Health First||||GRP77|||{day.hl7[:4]}0101|||HMO|Rivera^Ana^M|SEL|"
        "19840312|||||||||||||||||||HF556677",
    )


def ana_is_charged(day: Day) -> bytes:
    """DFT^P03: the visit's charge, which the insurance should pay, and the copay that is due today."""
    return _message(
        f"MSH|^~\\&|BILLING|CLINIC|FHIRPAY|MAIN|{day.hl7}094500||DFT^P03^DFT_P03|DEMO0002|P|2.5.1",
        f"EVN|P03|{day.hl7}094500",
        "PID|1||MRN1001^^^CLINIC^MR||Rivera^Ana^M||19840312|F||||||||||ACC1001^^^CLINIC^AN",
        "PV1|1|O|EXAM^1^^CLINIC||||||||||||||||V1001^^^CLINIC^VN|HMO",
        f"FT1|1|T1001||{day.hl7}|{day.hl7}|CG|99213^Office visit, established patient^C4|||1|180.00&USD|180.00&USD",
        f"FT1|2|T1002||{day.hl7}|{day.hl7}|CO|COPAY^Office copay^L|||1|25.00&USD",
    )


def carl_is_charged(day: Day) -> bytes:
    """DFT^P03: an X-ray of a patient whose coverage nobody has stated. It may be insured; it isn't collected."""
    return _message(
        f"MSH|^~\\&|BILLING|CLINIC|FHIRPAY|MAIN|{day.hl7}101500||DFT^P03^DFT_P03|DEMO0003|P|2.5.1",
        f"EVN|P03|{day.hl7}101500",
        "PID|1||MRN1003^^^CLINIC^MR||Okafor^Carl||19710905|M||||||||||ACC1003^^^CLINIC^AN",
        "PV1|1|O|XRAY^1^^CLINIC||||||||||||||||V1003^^^CLINIC^VN|PPO",
        f"FT1|1|T3001||{day.hl7}|{day.hl7}|CG|71046^Chest X-ray, two views^C4|||1|240.00&USD|240.00&USD",
        f"IN1|1|PPO2^Blue Plan PPO|BP02^^^CLINIC|Blue Plan||||GRP12|||{day.hl7[:4]}0101|||PPO|Okafor^Carl|SEL|"
        "19710905|||||||||||||||||||BP998877",
    )


def bea_is_invoiced(day: Day) -> list[dict[str, Any]]:
    """FHIR: a patient, her account, two charges and the invoice that bills them to her."""
    subject = {"reference": "Patient/bea"}
    account = {"reference": "Account/bea-2026"}
    charges = [
        _charge("bea-visit", "99214", "Office visit", "95.00", subject, account, day),
        _charge("bea-lab", "80053", "Metabolic panel", "30.50", subject, account, day),
    ]
    lines = [
        {
            "sequence": number,
            "chargeItemReference": {"reference": f"ChargeItem/{charge['id']}"},
            "priceComponent": [{"type": "base", "amount": charge["priceOverride"]}],
        }
        for number, charge in enumerate(charges, 1)
    ]
    invoice = {
        "resourceType": "Invoice",
        "id": "bea-invoice",
        "identifier": [{"system": "urn:clinic:invoice", "value": "INV2002"}],
        "status": "issued",
        "subject": subject,
        "recipient": subject,
        "date": day.fhir,
        "account": account,
        "lineItem": lines,
        "totalNet": {"value": Decimal("125.50"), "currency": "USD"},
        "totalGross": {"value": Decimal("125.50"), "currency": "USD"},
    }
    return [
        {
            "resourceType": "Patient",
            "id": "bea",
            "identifier": [{"system": "urn:clinic:mrn", "value": "MRN1002"}],
            "name": [{"family": "Lindqvist", "given": ["Bea"]}],
            "gender": "female",
            "birthDate": "1990-06-02",
        },
        {
            "resourceType": "Account",
            "id": "bea-2026",
            "identifier": [{"system": "urn:clinic:account", "value": "ACC1002"}],
            "status": "active",
            "subject": [subject],
        },
        *charges,
        invoice,
    ]


def _charge(
    id: str, code: str, text: str, amount: str, subject: dict[str, str], account: dict[str, str], day: Day
) -> dict[str, Any]:
    return {
        "resourceType": "ChargeItem",
        "id": id,
        "identifier": [{"system": "urn:clinic:charge", "value": id}],
        "status": "billable",
        "code": {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": code}], "text": text},
        "subject": subject,
        "occurrenceDateTime": day.fhir,
        "quantity": {"value": 1},
        "priceOverride": {"value": Decimal(amount), "currency": "USD"},
        "account": [account],
    }
