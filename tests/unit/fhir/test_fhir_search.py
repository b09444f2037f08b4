"""Search: what each way of writing a parameter finds, and what is refused; on both engines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fhirpay.db.unit import Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.errors import FhirpayError, ValueInvalid
from fhirpay.fhir import store
from fhirpay.fhir.params import PARAMS
from fhirpay.fhir.search import parse, run
from fhirpay.fhir.search_values import SearchUnsupported

BASE = "http://us/fhir/R4"


def invoice(number: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Invoice",
        "id": f"i{number}",
        "status": "issued",
        "identifier": [{"system": "urn:inv", "value": number}],
        "subject": {"reference": "Patient/p1"},
        "account": {"reference": "Account/a1"},
        **more,
    }


@pytest.fixture
async def stored(units: Units, clock: FrozenClock) -> Units:
    """i1 to i4, an hour apart from 15:00 on 2026-11-20."""
    for one in (
        invoice("1"),
        invoice("2", status="draft", subject={"reference": "Group/p1"}),
        invoice("3", identifier=[{"value": "1"}, {"system": "urn:b", "value": "x,y|z"}], account={"display": "none"}),
        invoice("4", subject={"reference": "http://them/fhir/Patient/p1"}, recipient={"identifier": {"value": "r"}}),
    ):
        await units.write(store.put, one)
        clock.advance(timedelta(hours=1))
    return units


FINDS = [
    ("", "1234"),
    ("identifier=urn:inv|1", "1"),
    ("identifier=1", "13"),
    ("identifier=|1", "3"),
    ("identifier=urn:inv|", "124"),
    ("identifier=urn:inv|1,urn:inv|2", "12"),
    ("identifier=urn:b|x\\,y\\|z", "3"),
    ("identifier=urn:b|x%5C,y|z", "3"),
    ("identifier=urn:inv|9", ""),
    ("subject=Patient/p1", "13"),
    ("subject=p1", "123"),
    ("subject:Group=p1", "2"),
    ("patient=p1", "13"),
    ("patient=Patient/p1", "13"),
    (f"patient={BASE}/Patient/p1", "13"),
    ("patient=http://them/fhir/Patient/p1", "4"),
    ("account=Account/a1&status=draft", "2"),
    ("account=a1", "124"),
    ("status=issued", "134"),
    ("status=http://hl7.org/fhir/invoice-status|issued", "134"),
    ("status=issued,draft&identifier=1", "13"),
    ("recipient:identifier=r", "4"),
    ("_id=i1,i4", "14"),
    ("_lastUpdated=2026-11-20", "1234"),
    ("_lastUpdated=2026-11", "1234"),
    ("_lastUpdated=2025", ""),
    ("_lastUpdated=ne2026-11-20", ""),
    ("_lastUpdated=gt2026-11-20T16:00:00Z", "34"),
    ("_lastUpdated=ge2026-11-20T16:00:00.000Z", "234"),
    ("_lastUpdated=lt2026-11-20T11:00-05:00", "1"),
    ("_lastUpdated=le2026-11-20T21:00+05:00", "12"),
    ("_lastUpdated=le2026-11-20T21:00%2B05:00", "12"),
    ("_lastUpdated=sa2026-11-20T16:00Z&_lastUpdated=eb2026-11-20T18:00Z", "3"),
    ("_sort=-_lastUpdated&_count=2", "43"),
    ("_sort=_lastUpdated&_count=0", ""),
]


async def test_what_is_found(stored: Units) -> None:
    found: list[tuple[str, str]] = []
    for params, _ in FINDS:
        page = await stored.read(run, parse("Invoice", params, base_url=BASE))
        found.append((params, "".join(one.id[1:] for one in page.matches)))
        if "_count" not in params:
            assert page.total == len(page.matches), params
    assert found == FINDS


@pytest.mark.parametrize(
    ("params", "error", "place"),
    [
        ("shoe=44", SearchUnsupported, "http.shoe"),
        ("identifier:exact=1", SearchUnsupported, "http.identifier"),
        ("status:not=issued", SearchUnsupported, "http.status"),
        ("subject:missing=true", SearchUnsupported, "http.subject"),
        ("patient.identifier=1", SearchUnsupported, "http.patient.identifier"),
        ("charge-item=ChargeItem/1", SearchUnsupported, "http.charge-item"),  # for our own use
        ("_include=Account:owner", SearchUnsupported, "http._include"),
        ("_sort=date", SearchUnsupported, "http._sort"),
        ("_lastUpdated=ap2026", SearchUnsupported, "http._lastUpdated"),
        ("identifier=", ValueInvalid, "http.identifier"),
        ("identifier=a,,b", ValueInvalid, "http.identifier"),
        ("identifier=a,", ValueInvalid, "http.identifier"),
        ("identifier=|", ValueInvalid, "http.identifier"),
        ("_count=-1", ValueInvalid, "http._count"),
        ("_count=ten", ValueInvalid, "http._count"),
        ("_after=x", ValueInvalid, "http._after"),
        ("_lastUpdated=yesterday", SearchUnsupported, "http._lastUpdated"),
        ("_lastUpdated=2026-02-30", ValueInvalid, "http._lastUpdated"),
        ("_lastUpdated=2026-13", ValueInvalid, "http._lastUpdated"),
        ("_lastUpdated=9999", ValueInvalid, "http._lastUpdated"),
        ("identifier=" + "a," * 200 + "a", ValueInvalid, "http.identifier"),
    ],
)
def test_what_is_refused(params: str, error: type[FhirpayError], place: str) -> None:
    with pytest.raises(error) as refused:
        parse("Invoice", params)
    assert refused.value.location == place


def test_lenient_leaves_out_what_it_does_not_know_but_not_what_is_wrong() -> None:
    query = parse("Invoice", "shoe=44&status=draft&_sort=date", lenient=True)
    assert query.ignored == ("shoe", "_sort")
    assert query.stated == (("status", "draft"),)
    with pytest.raises(ValueInvalid):
        parse("Invoice", "_count=ten", lenient=True)


@pytest.mark.parametrize(("order", "changed"), [("_lastUpdated", "1"), ("_lastUpdated", "5"), ("-_lastUpdated", "5")])
async def test_pages_miss_nothing_though_resources_change_meanwhile(
    units: Units, clock: FrozenClock, order: str, changed: str
) -> None:
    for number in range(7):
        await units.write(store.put, invoice(str(number)))  # all at one moment: the id decides
    seen: list[str] = []
    params = [("_sort", order), ("_count", "3")]
    after: str | None = None
    while True:
        page = await units.read(run, parse("Invoice", params + ([("_after", after)] if after else [])))
        seen += [one.id for one in page.matches]
        after = page.after
        if len(seen) == 3:
            clock.advance(timedelta(seconds=1))
            await units.write(store.put, invoice(changed, status="draft"))
        if after is None:
            break
    assert {f"i{number}" for number in range(7)} <= set(seen)
    assert page.total == 7


def test_every_parameter_reads_an_element_that_exists() -> None:
    from fhirpay.fhir.models import structure_of

    for resource_type, params in PARAMS.items():
        for param in params.values():
            structure = structure_of(resource_type)
            assert structure is not None
            for path in param.path.split("|"):
                assert path.split(".")[0] in structure, (resource_type, param)
