"""A page of a search: what is a match, what comes next, by whose clock."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fhirpay.fhir.pages import read_page, split_link

BASE = "https://ehr.example/fhir"
AT = datetime(2026, 11, 20, 15, tzinfo=UTC)


def bundle(url: str = "", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "link": [{"relation": "next", "url": url}] if url else [], **more}


@pytest.mark.parametrize(
    ("url", "following"),
    [
        ("", (None, False)),
        (f"{BASE}/Account?page=2", ("/Account?page=2", False)),
        (f"{BASE}?_getpages=7&_getpagesoffset=50", ("?_getpages=7&_getpagesoffset=50", False)),
        ("http://10.0.0.7:8080/fhir/Account?page=2", ("/Account?page=2", False)),  # what a proxy stands before
        ("/fhir/Account?page=2", ("/Account?page=2", False)),
        ("https://ehr.example/other/Account?page=2", (None, True)),
        ("https://ehr.example/fhir2/Account?page=2", (None, True)),
        ("https://ehr.example/fhir/../admin", (None, True)),
    ],
)
def test_the_next_page_is_below_the_base_or_nowhere(url: str, following: tuple[str | None, bool]) -> None:
    page = read_page(bundle(url), "Account", {}, BASE)
    assert (page.following, page.astray) == following


def test_only_matches_of_the_type_count() -> None:
    own = {"resourceType": "Account", "id": "a"}
    entries = [{"resource": own}, {"resource": own, "search": {"mode": "include"}}, {"resource": {"id": "x"}}, 7]
    assert read_page(bundle(entry=entries), "Account", {}, BASE).resources == (own,)


def test_the_earlier_one_of_two_clocks_counts() -> None:
    meta = {"lastUpdated": "2026-11-20T16:00:00+01:00"}
    headers = {"date": "Fri, 20 Nov 2026 16:00:00 GMT"}
    assert read_page(bundle(meta=meta), "Account", headers, BASE).answered_at == AT
    assert read_page(bundle(meta={"lastUpdated": "yesterday"}), "Account", {"date": "?"}, BASE).answered_at is None


def test_a_link_is_sent_as_it_was_given() -> None:
    assert split_link("/Account?a=1&b=x%20y&c=") == ("/Account", [("a", "1"), ("b", "x y"), ("c", "")])
