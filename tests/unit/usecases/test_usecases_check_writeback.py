"""`fhirpay conformance check`: what an EHR gets of what we write back, and what is still to be agreed."""

from __future__ import annotations

from typing import Any

from test_usecases_check_ehr import answering, checked, codes, statement

from fhirpay.domain.clock import FrozenClock
from fhirpay.usecases.check_ehr import as_json, as_text


def oracle(*, searched: bool = True, **offered: Any) -> dict[str, Any]:
    stated = statement()
    visits = {"type": "Encounter", "interaction": [{"code": "search-type"}] if searched else []}
    stated["rest"][0]["resource"] = [{"type": "Basic", "interaction": [{"code": "create"}], **offered}, visits]
    return stated


async def test_where_payments_are_financial_transactions_it_says_what_is_still_to_be_agreed(clock: FrozenClock) -> None:
    agreed: dict[str, Any] = {
        "writes": ("Basic",),
        "financial_transaction": {"payment_alias": "0111", "refund_alias": "0112"},
    }
    ready = await checked(answering(oracle()), clock, **agreed)
    assert (ready.grade, codes(ready)) == ("questions", ["nothing-to-look-up"])
    assert [one["way"] for one in as_json(ready)["writeBack"]] == ["blind"]  # type: ignore[attr-defined]
    assert any("Basic posted by blind" in line for line in as_text(ready))
    boasts = oracle(updateCreate=True, interaction=[{"code": "create"}, {"code": "search-type"}])
    assert [way.value for way in (await checked(answering(boasts), clock, **agreed)).ways["Basic"]] == ["blind"]
    agreed["financial_transaction"] = {"payment_alias": "0111"}
    open_ = await checked(answering(oracle(searched=False)), clock, **agreed)
    assert codes(open_) == ["nothing-to-look-up", "no-refund-alias", "no-visits"]
    none = await checked(answering(statement()), clock, **agreed)
    assert (none.grade, "no-postings" in codes(none)) == ("not ready", True)
    hint = await checked(answering(oracle()), clock)
    assert any('writes = ["Basic"]' in line for line in as_text(hint))


async def test_it_says_of_each_type_by_which_way_it_is_posted(clock: FrozenClock) -> None:
    both = {"writes": ("PaymentReconciliation", "PaymentNotice"), "organization": "clinic"}
    none = await checked(answering(), clock, **both)
    assert none.grade == "not ready"
    assert any("no PaymentNotice can be posted: it takes none" in line for line in as_text(none))
    stated = statement()
    stated["rest"][0]["resource"].append(
        {"type": "PaymentNotice", "interaction": [{"code": "create"}, {"code": "search-type"}]}
    )
    report = await checked(answering(stated), clock, **both)
    assert report.grade == "ready"
    assert any("PaymentNotice posted by search" in line for line in as_text(report))


async def test_it_says_where_no_provenance_can_be_put_at_an_id_of_ours(clock: FrozenClock) -> None:
    both = {"writes": ("PaymentReconciliation", "Provenance"), "organization": "clinic"}
    stated = statement()
    kind: dict[str, Any] = {"type": "Provenance", "conditionalCreate": True}
    kind["interaction"] = [{"code": code} for code in ("create", "read", "search-type", "update")]
    stated["rest"][0]["resource"].append(kind)
    without = await checked(answering(stated), clock, **both)
    assert (without.grade, without.ways["Provenance"]) == ("not ready", ())
    says = "no Provenance can be posted: it takes none at an id of ours (updateCreate). Leave it out of `writes`"
    assert any(says in line for line in as_text(without))
    kind["updateCreate"] = True
    report = await checked(answering(stated), clock, **both)
    assert (report.grade, [way.value for way in report.ways["Provenance"]]) == ("ready", ["put"])


async def test_it_says_whether_an_invoice_can_be_balanced(clock: FrozenClock) -> None:
    both = {"writes": ("PaymentReconciliation", "Invoice")}
    stated = statement()
    kinds = stated["rest"][0]["resource"]
    kinds[:] = [one for one in kinds if one["type"] != "Invoice"]
    invoice: dict[str, Any] = {"type": "Invoice", "interaction": [{"code": "read"}, {"code": "update"}]}
    kinds.append(invoice)
    unsafe = await checked(answering(stated), clock, **both)
    assert unsafe.grade == "not ready"
    assert any("it doesn't state versioning" in line for line in as_text(unsafe))
    invoice["versioning"] = "versioned"
    fine = await checked(answering(stated), clock, **both)
    assert fine.grade == "ready"
    assert any("balanced by PUT of what was read" in line for line in as_text(fine))
    invoice["interaction"] = [{"code": "read"}, {"code": "patch"}]
    assert any("balanced by JSON Patch" in line for line in as_text(await checked(answering(stated), clock, **both)))
    invoice["interaction"] = [{"code": "read"}]
    assert "no-invoice-status" in codes(await checked(answering(stated), clock, **both))
