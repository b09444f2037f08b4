"""What is agreed with an EHR about what is posted there over FHIR. Part of `config`; used by config_connection."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from pydantic import Field

from .config_section import Section

Written = Literal["PaymentReconciliation", "PaymentNotice", "Provenance", "Invoice", "Basic"]


class FinancialTransaction(Section):
    """What a site of Oracle Health has agreed for payments posted as `Basic`; below its connection."""

    payment_alias: str = Field(min_length=1, description="the site's alias of a payment that we take")
    refund_alias: str = Field(default="", description="the site's alias of a refund; empty: refunds are for a person")
    refund_type: Literal["payment", "adjustment"] = Field(default="payment", description="what that alias is one of")
    location: str = Field(default="", description="the site's value for where payments were taken; empty: none is sent")
    card_brands: dict[str, str] = Field(
        default={}, description="the processor's brand → VISA, MASTER, AMEX or DISCOVER, beyond those four"
    )


def wrong_in_writes(
    writes: Collection[str], agreed: FinancialTransaction | None, version: str, organization: str
) -> str:
    """What is wrong with it; empty where nothing is."""
    if {"PaymentReconciliation", "Basic"} <= set(writes):
        return "writes PaymentReconciliation and Basic: its cash would count twice"
    if ("Basic" in writes) is not bool(agreed):
        return "has only one of Basic in `writes` and a financial_transaction section: they belong together"
    if "Basic" in writes and version == "R5":
        return "speaks R5, and a financial transaction is a Basic of R4"
    if "PaymentNotice" in writes and "PaymentReconciliation" not in writes:
        return "writes PaymentNotice, which names the PaymentReconciliation that it is about: write that too"
    if "Provenance" in writes and "PaymentReconciliation" not in writes:
        return "writes Provenance, which says where the PaymentReconciliation there comes from: write that too"
    if "Invoice" in writes and "PaymentReconciliation" not in writes:
        return "writes Invoice, which is balanced once the EHR has the PaymentReconciliation of it: write that too"
    if "PaymentNotice" in writes and not organization:
        return "writes PaymentNotice, whose recipient is the practice: `organization` is its id there"
    return ""
