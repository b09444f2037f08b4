"""Laws of matching what an EHR says with what we posted: in any order nothing is lost, nothing counts twice."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from fhirpay.domain.money import Money
from fhirpay.writeback.ehr_match import NEAR_DAYS, TAKEN_BACK, Found, Known, Says, decide

START = date(2026, 11, 1)
days = st.integers(0, 6).map(lambda day: START + timedelta(days=day))
accounts = st.sampled_from(["", "Account/a", "Account/b"])
amounts = st.sampled_from([500, 500, 800, -500]).map(lambda minor: Money(minor, "USD"))
said = st.lists(st.builds(Says, st.just(""), accounts, amounts, days, st.sampled_from(["", "", "7"])), max_size=7).map(
    lambda found: [Says(f"e{n}", one.account_ref, one.amount, one.day, one.number) for n, one in enumerate(found)]
)
known = st.lists(
    st.builds(Known, st.just(""), accounts.filter(bool), amounts, days, there=st.booleans(), heard=st.booleans()),
    max_size=7,
).map(
    lambda found: [
        Known(f"p{n}", one.account_ref, one.amount, one.day, there=one.there and not one.heard, heard=one.heard)
        for n, one in enumerate(found)
    ]
)


def ends(found: Found) -> list[tuple[str, ...]]:
    """What became of each, whatever order it is told in."""
    told: list[tuple[str, ...]] = [("match", one.entry_id, one.subject, one.rule.name) for one in found.matches]
    for theirs, ours in found.ambiguous:
        told.append(("ambiguous", *sorted(one.entry_id for one in theirs), *sorted(one.subject for one in ours)))
    told += [("twice", one.entry_id, beside.subject) for one, beside in found.twice]
    return sorted([*told, *(("unknown", one.entry_id) for one in found.unknown)])


@given(said, known, st.randoms(use_true_random=False))
def test_the_same_facts_in_any_order_are_the_same_and_each_is_told_once(
    theirs: list[Says], ours: list[Known], chance: object
) -> None:
    found = decide(theirs, ours)
    shuffled, others = list(theirs), list(ours)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    chance.shuffle(others)  # type: ignore[attr-defined]
    assert ends(decide(shuffled, others)) == ends(found)
    told = [one.entry_id for one in (*found.unknown, *found.matches, *(each for each, _ in found.twice))]
    told += [one.entry_id for some, _ in found.ambiguous for one in some]
    assert sorted(told) == sorted(one.entry_id for one in theirs)
    taken = [one.subject for one in found.matches if one.rule is not TAKEN_BACK]
    taken += [one.subject for _, some in found.ambiguous for one in some]
    assert len(taken) == len(set(taken)), "no payment of ours is two of theirs"


@given(said, known)
def test_what_is_matched_is_the_same_money_and_what_could_be_two_never_is(
    theirs: list[Says], ours: list[Known]
) -> None:
    found = decide(theirs, ours)
    by_id, mine = {one.entry_id: one for one in theirs}, {one.subject: one for one in ours}
    for match in found.matches:
        if match.rule is TAKEN_BACK:
            continue
        one, other = by_id[match.entry_id], mine[match.subject]
        assert (one.account_ref, one.amount) == (other.account_ref, other.amount)
        assert abs((one.day - other.day).days) <= match.rule.days
        assert not other.there
        rivals = [each for each in ours if not each.there and each.account_ref == other.account_ref]
        assert [each.subject for each in rivals if (each.amount, each.day) == (one.amount, one.day)] in (
            [],
            [match.subject],
        )
    for one, beside in found.twice:
        assert one.amount == beside.amount
        assert abs((one.day - beside.day).days) <= NEAR_DAYS
