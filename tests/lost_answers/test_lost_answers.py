"""Answers get lost at four kinds of server, and no payment is there twice or forgotten: a small part of
`make lost-answers`, and bugs planted on purpose that this part finds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

import pytest
from lost_world import LostAnswers, lost_answers
from takers import KINDS, LAGGING, MEDPLUM, medplum, taker

from fhirpay.db.unit import Units
from fhirpay.fhir.client import FhirClient
from fhirpay.fhir.statement import Capability
from fhirpay.usecases import post_back, postings
from fhirpay.usecases.seek_posting import Answer, look
from fhirpay.writeback.profile import Way
from fhirpay.writeback.store import Posting
from matrices import Cell
from node_running import Node, needs_npm, node

pytestmark = pytest.mark.warns("posting.put_off", "call.parked", "work.parked")
ROUNDS, PAYMENTS = 3, 8


@pytest.fixture(scope="module")
def npm() -> Iterator[Node]:
    with node("takers.mjs") as process:
        yield process


async def played(
    kind: str, databases: Any, npm: Callable[[], Node] | None = None, *, lag_s: float | None = None
) -> LostAnswers:
    """As far as it is sound."""
    async with AsyncExitStack() as stack:
        url = stack.enter_context(databases.url("sqlite"))
        if npm is not None and kind in MEDPLUM:
            server = medplum(npm(), kind)
        else:
            server = await stack.enter_async_context(taker(kind))
        it = await stack.enter_async_context(lost_answers(server, 1, url))
        for _ in range(ROUNDS):
            await it.round(PAYMENTS, lag_s=lag_s)
            if it.counts.troubles:
                return it
        await it.end()
        return it


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=needs_npm if kind in MEDPLUM else ()) for kind in KINDS])
async def test_no_payment_is_there_twice_and_none_is_forgotten(
    kind: str, databases: Any, request: pytest.FixtureRequest, record_property: Callable[[str, Any], None]
) -> None:
    cell = Cell(record_property, "lost-answers", row=kind, column="of payments and refunds")
    it = await played(kind, databases, lambda: request.getfixturevalue("npm"))
    assert it.counts.troubles == []
    assert it.lost_answers >= ROUNDS * PAYMENTS / 2
    assert it.counts.refunds > 0
    counts = it.counts
    unknown = f"{len(counts.unknown)} of {counts.facts} unknown, {len(counts.looked_at)} looked at"
    cell.says(f"{it.lost_answers} answers lost: none twice, {unknown}")


# ── planted ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def sent_again_without_a_look(
    units: Units, client: FhirClient, posting: Posting, ways: tuple[Way, ...], *_: Any
) -> Answer:
    return Answer(ways=ways)


async def not_found_is_absent(
    units: Units,
    client: FhirClient,
    posting: Posting,
    ways: tuple[Way, ...],
    capability: Capability,
    settles: timedelta,
) -> Answer:
    seen = await look(client, posting, by_id=posting.way == Way.PUT, search=capability.search)
    return Answer(found=seen.found, ways=() if seen.found else ways)


def told_to_nobody(*_: Any) -> None:
    """Instead of a line on the worklist."""


@pytest.mark.parametrize(
    ("module", "guard", "bug", "says"),
    [
        (post_back, "in_doubt", sent_again_without_a_look, "is there 2 times"),
        (post_back, "in_doubt", not_found_is_absent, "is there 2 times"),
        (postings, "note_parked_call", told_to_nobody, "nobody is told"),
    ],
)
async def test_a_planted_bug_is_found_out(
    module: Any, guard: str, bug: Any, says: str, databases: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, guard, bug)
    it = await played(LAGGING, databases, lag_s=6 * 3600)
    assert any(says in trouble for trouble in it.counts.troubles), it.counts.troubles
