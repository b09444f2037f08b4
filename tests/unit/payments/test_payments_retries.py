"""When a stored method may be tried again: the networks' caps, declines for good, spacing. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirpay.domain.money import Money
from fhirpay.payments.declines import TABLE, DeclineCode
from fhirpay.payments.retries import CAPS, MUST_CONFIRM, OTHERS, SPACING, Try, why_not

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SOFT = [str(code) for code, row in TABLE.items() if not row.hard and code is not DeclineCode.CONFIRMATION_NEEDED]
HARD = [str(code) for code, row in TABLE.items() if row.hard]


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def tried(*ago: timedelta, minor: int = 80_00, code: str = "insufficient_funds") -> list[Try]:
    return [Try(NOW - one, usd(minor), code) for one in ago]


def why(tries: list[Try], *, minor: int = 80_00, brand: str = "visa", unattended: bool = True) -> str:
    return why_not(tries, usd(minor), brand=brand, unattended=unattended, now=NOW)


def test_what_was_never_declined_may_be_tried() -> None:
    assert why([]) == ""


@pytest.mark.parametrize("code", HARD)
def test_a_decline_for_good_is_never_tried_again_unattended(code: str) -> None:
    assert code in why(tried(400 * DAY, code=code))
    another = why(tried(400 * DAY, code=code), minor=70_00)
    assert bool(another) is (code == DeclineCode.METHOD_INVALID)  # of another amount its bank knows it no better
    assert why(tried(400 * DAY, code=code), unattended=False) == ""  # the payer is asked


@pytest.mark.parametrize("code", [MUST_CONFIRM, "confirmation_needed"])
def test_what_the_payer_has_to_confirm_is_no_retry(code: str) -> None:
    assert "send a link" in why(tried(20 * DAY, code=code))
    assert why(tried(31 * DAY, code=code)) == ""


@pytest.mark.parametrize("code", SOFT)
@pytest.mark.parametrize("times", [1, 2, 3, 4])
def test_soft_declines_are_spaced_wider_each_time(code: str, times: int) -> None:
    gap = SPACING[min(times, len(SPACING)) - 1]
    earlier = [gap + (number + 1) * DAY for number in range(times - 1)]
    assert "not before" in why(tried(gap - timedelta(minutes=1), *earlier, code=code))
    assert why(tried(gap, *earlier, code=code)) == ""


@pytest.mark.parametrize(
    ("brand", "most"), [("visa", 15), ("Visa", 15), ("mastercard", 35), ("a brand of tomorrow", 15)]
)
def test_the_networks_caps_hold_for_staff_too(brand: str, most: int) -> None:
    spread = [DAY + number * timedelta(hours=20) for number in range(most)]
    assert "no other try" in why(tried(*spread), brand=brand, unattended=False)
    assert why(tried(*spread[1:]), brand=brand, unattended=False) == ""
    assert why(tried(*spread, minor=70_00), brand=brand, unattended=False) == ""
    assert why(tried(*(30 * DAY + one for one in spread)), brand=brand, unattended=False) == ""


def test_ten_declines_in_a_day_are_enough_whatever_the_amount() -> None:
    ten = [Try(NOW - timedelta(hours=number), usd(10_00 + number), "declined") for number in range(1, 11)]
    assert "2026-11-21" in why(ten, brand="mastercard", unattended=False)
    assert why(ten[1:], brand="mastercard", unattended=False) == ""
    assert why(ten, brand="visa", unattended=False) == ""


tries = st.lists(
    st.builds(
        Try,
        st.integers(1, 60 * 24 * 60).map(lambda minutes: NOW - timedelta(minutes=minutes)),
        st.sampled_from([usd(80_00), usd(70_00)]),
        st.sampled_from([*SOFT, *HARD, MUST_CONFIRM]),
    ),
    max_size=60,
)


@given(tries, st.sampled_from(["visa", "mastercard", "amex"]))
def test_whatever_came_before_no_cap_is_passed_and_more_declines_never_open_a_door(
    known: list[Try], brand: str
) -> None:
    for unattended in (True, False):
        allowed = not why(known, brand=brand, unattended=unattended)
        for cap in CAPS.get(brand, OTHERS):
            counted = [
                one for one in known if NOW - one.at < cap.within and (one.amount == usd(80_00) or not cap.same_amount)
            ]
            assert not allowed or len(counted) < cap.most
        if not allowed and known:
            assert why([*known, *tried(timedelta(0))], brand=brand, unattended=unattended)
    if not why(known, brand=brand):
        assert not why(known, brand=brand, unattended=False)  # nothing is stricter with the payer there
