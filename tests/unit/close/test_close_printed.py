"""A close on paper: whatever stands in it, it is printed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from desk_world import usd
from fhirpay.close import document, pdf_file
from fhirpay.close.figures import CopayLine, Figures, Paid
from fhirpay.ledger.chain import GENESIS, Head

BEGINS = datetime(2026, 11, 20, tzinfo=UTC)
ASKED = document.Asked(
    tenant="main",
    facility="main",
    till="",
    zone="UTC",
    day=date(2026, 11, 20),
    begins=BEGINS,
    ends=BEGINS + timedelta(days=1),
    as_of=BEGINS,
    number=1,
    former=None,
    replaces=None,
)


def test_a_row_that_is_longer_than_a_page_goes_on_over_the_next() -> None:
    paid = tuple(Paid(f"pay{number:026d}", "cash", "2026-11-20", usd(1_00)) for number in range(60))
    copay = CopayLine("Appointment/a", "", "Account/a", "obl1", usd(60_00), paid, "")
    made = document.unsigned(ASKED, Figures(copays=(copay,)), Head(0, GENESIS), "")
    assert pdf_file.render(made, "").startswith(b"%PDF")
