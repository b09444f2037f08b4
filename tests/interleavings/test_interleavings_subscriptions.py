"""Payments that are written at one moment, and a Subscription that ends meanwhile, on PostgreSQL, interleaved.

The law: the events of a Subscription have the numbers 1 to its count, in the order of their commits, each with its
call; and none comes once it was turned off or deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from sqlalchemy import func, select

from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.flow.tables import WorkRow
from fhirpay.subscriptions import store
from interleaving import Actor, Played, Stage, Write
from subscribers_world import posted, subscribed

_NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
_work = table(WorkRow)
_number = count(1)


@pytest.fixture(scope="module")
def stage(databases: Any) -> Iterator[Stage]:
    with databases.url("postgresql") as url, Stage(url, FrozenClock(_NOW), CountedIds()).open() as made:
        yield made


def _looked(tx: Tx, id: str) -> tuple[int, list[int], int]:
    """Its count, the numbers of its events, and how many calls are queued."""
    one = store.get(tx, id)
    calls = tx.scalar(select(func.count()).select_from(_work).where(_work.c.tenant_id == tx.tenant))
    return (one.events if one else -1, [event.number for event in store.between(tx, id, 0, 99, 99)], calls)


def _pay(write: Write) -> None:
    write(posted, next(_number))


def _turn_off(tx: Tx, id: str) -> None:
    one = store.get(tx, id, lock=True)
    assert one is not None
    store.change(tx, one, state="off")


def test_each_payment_has_the_next_number(stage: Stage) -> None:
    made: list[str] = []

    def setting() -> list[Actor]:
        made.append(stage.write(subscribed))
        return [_pay, _pay]

    def check(played: Played) -> None:
        assert not any(played.errors)
        assert stage.write(_looked, made[-1]) == (2, [1, 2], 2)

    explored = stage.explore(setting, check)
    assert explored.waits
    explored.said("payment | payment")


@pytest.mark.parametrize("end", [_turn_off, store.remove])
def test_a_subscription_that_ends_has_no_event_after_it(stage: Stage, end: Any) -> None:
    made: list[str] = []

    def setting() -> list[Actor]:
        made.append(stage.write(subscribed))
        return [_pay, lambda write: write(end, made[-1])]

    def check(played: Played) -> None:
        assert not any(played.errors)
        events, numbers, calls = stage.write(_looked, made[-1])
        if end is store.remove:
            assert (events, numbers) == (-1, [])
        else:
            assert (events, calls) in ((0, 0), (1, 1))
            assert numbers == list(range(1, events + 1))

    stage.explore(setting, check).said(f"payment | {end.__name__}")
