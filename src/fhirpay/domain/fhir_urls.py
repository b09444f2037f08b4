"""The URLs that name things in FHIR: our extensions, and the systems and extensions of others that we use.

Our extensions live under `EXTENSION`; what each one holds is written beside it. Used by the mapping that states
them, the billing that reads them, and the write-back. To add one: a constant here, and its StructureDefinition.
"""

from __future__ import annotations

EXTENSION = "https://fhirpay.dev/fhir/StructureDefinition/"

# How the systems end of a charge's identifiers that an HL7v2 feed's map makes: its key of the charge, and FT1-2.
CHARGE_SYSTEM, TRANSACTION_SYSTEM = ":charge", ":transaction"

# on Account
COPAY_DUE = EXTENSION + "copay-due"  # one per copay; nested below
COPAY_AMOUNT = "amount"  # valueMoney
COPAY_IDENTIFIER = "identifier"  # valueIdentifier: sender, account, FT1-2: a second one replaces the first
COPAY_ENCOUNTER = "encounter"  # valueReference: the visit it is due at
COPAY_DATE = "date"  # valueDateTime
FINANCIAL_CLASS = EXTENSION + "financial-class"  # valueCodeableConcept, as the sender codes it (PV1-20)
SELF_PAY = EXTENSION + "self-pay"  # valueBoolean: true only where the site's words say so; absence says nothing
BAD_DEBT = EXTENSION + "bad-debt"  # valueBoolean: placed with an agency or written off (PV1-29..31)
ACCIDENT = EXTENSION + "accident"  # nested: date, code, location, state (ACC-1..4)
JOB_RELATED = EXTENSION + "job-related"  # valueBoolean (ACC-5)
CLOSED = EXTENSION + "closed-to-charges"  # valueDateTime (BAR^P06): no further charges are expected since then
PURGED = EXTENSION + "purged"  # valueBoolean (BAR^P02): archived at the sender
AMBULATORY_PAYMENT = EXTENSION + "ambulatory-payment"  # nested, to show only (GP1)
AMBULATORY_PAYMENT_LINE = EXTENSION + "ambulatory-payment-line"  # nested, to show only (GP2)
BALANCE = EXTENSION + "balance"  # valueMoney, stated by the EHR as the patient's portion
MOVED_FROM = EXTENSION + "moved-from"  # valueReference: the patient that an account is taken from (A44), read, not kept
REMOVED = EXTENSION + "removed"  # valueBoolean, on a coverage of the Account: it is taken out (IN1-55), read, not kept

# on Patient
UNLINKED_FROM = EXTENSION + "unlinked-from"  # valueReference: the patient that it was linked to (A37), read, not kept

# on Account and Encounter; FHIR has a link of its own for a Patient
REPLACED_BY = EXTENSION + "replaced-by"  # valueReference: the one that it was merged into

# on Encounter
PROCEDURE = EXTENSION + "procedure"  # valueReference: a Procedure in the Encounter (PR1)

# on Coverage
CARE_TEAM = EXTENSION + "care-team"  # valueReference: a CareTeam in the Coverage: its case manager (IN3-21)

# on ChargeItem
DIRECTION = EXTENSION + "direction"  # valueCode `credit`; a charge has none
BATCH = EXTENSION + "batch"  # valueString (FT1-3)
INSURANCE_PLAN = EXTENSION + "insurance-plan"  # valueCodeableConcept (FT1-14), to show only
INSURANCE_AMOUNT = EXTENSION + "insurance-amount"  # valueMoney (FT1-15), to show only: never the rest of the price
FEE_SCHEDULE = EXTENSION + "fee-schedule"  # valueCodeableConcept (FT1-17)
MODIFIER = EXTENSION + "modifier"  # valueCodeableConcept (FT1-26)
ABN = EXTENSION + "abn"  # valueCodeableConcept (FT1-27)
DUPLICATE_REASON = EXTENSION + "duplicate-reason"  # valueCodeableConcept (FT1-28)
UNNUMBERED = EXTENSION + "unnumbered"  # valueString: FT1-2 was empty; the message (MSH-10) that the line was in

# on PaymentReconciliation: a payment that the EHR has posted itself
ACCOUNT = EXTENSION + "account"  # valueReference: the account that it was posted to
PAID_BY = EXTENSION + "paid-by"  # valueCode: patient, insurance; adjustment: nobody is to pay it any more
ADJUSTMENT_KIND = EXTENSION + "adjustment-kind"  # valueCode: contractual, charity, bad_debt, small_balance, discount
PAYMENT_METHOD = EXTENSION + "payment-method"  # valueCodeableConcept (FT1-7), to show only
ECHO_OF = EXTENSION + "echo-of"  # valueString: our payment or refund that comes back in it, which is no second one

# in the meta.tag of a PaymentReconciliation that we posted: the name of the connection whose EHR took it
CONNECTION = "https://fhirpay.dev/connection"

# on Account.guarantor
GUARANTOR_TYPE = EXTENSION + "guarantor-type"  # valueCodeableConcept (GT1-10)

OURS = frozenset(
    {
        COPAY_DUE,
        FINANCIAL_CLASS,
        SELF_PAY,
        BAD_DEBT,
        ACCIDENT,
        JOB_RELATED,
        CLOSED,
        PURGED,
        AMBULATORY_PAYMENT,
        AMBULATORY_PAYMENT_LINE,
        BALANCE,
        MOVED_FROM,
        REMOVED,
        UNLINKED_FROM,
        REPLACED_BY,
        PROCEDURE,
        CARE_TEAM,
        DIRECTION,
        BATCH,
        INSURANCE_PLAN,
        INSURANCE_AMOUNT,
        FEE_SCHEDULE,
        MODIFIER,
        ABN,
        DUPLICATE_REASON,
        UNNUMBERED,
        ACCOUNT,
        PAID_BY,
        ADJUSTMENT_KIND,
        PAYMENT_METHOD,
        ECHO_OF,
        GUARANTOR_TYPE,
    }
)

# of the standards
APPOINTMENT_ACCOUNT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment.account"  # R5's, for R4
APPOINTMENT_SUBJECT = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Appointment.subject"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
IDENTIFIER_TYPE = TERMINOLOGY + "v2-0203"
COVERAGE_SELF_PAY = TERMINOLOGY + "coverage-selfpay"
COVERAGE_COPAY_TYPE = TERMINOLOGY + "coverage-copay-type"
URI = "urn:ietf:rfc:3986"
UNITS = "http://unitsofmeasure.org"
NPI = "http://hl7.org/fhir/sid/us-npi"
NPI_OID = "urn:oid:2.16.840.1.113883.4.6"
CHECK_DIGIT = "http://hl7.org/fhir/StructureDefinition/identifier-checkDigit"
CHECK_DIGIT_SCHEME = "http://hl7.org/fhir/StructureDefinition/namingsystem-checkDigit"
HUMAN_NAME = "http://hl7.org/fhir/StructureDefinition/humanname-"
