"""A feed that is silent: one line, through a restart, only in its hours, gone when it speaks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fhirpay.billing.worklist import list_open
from fhirpay.config import Facility, Interface, Merchant, Tenant
from fhirpay.db.unit import Tx, Units
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import first_id
from fhirpay.inbox.store import Incoming, record
from fhirpay.reconciliation.kinds import KINDS
from fhirpay.usecases.desk_list import read
from fhirpay.usecases.silence import SILENT, SilenceWatch

pytestmark = pytest.mark.warns("feed.silent")


def tenant(**settings: Any) -> Tenant:
    feeds = [
        Interface(name="lab", account_key="PID-18", **{"silence_after_min": 30, **settings}),
        Interface(name="front", account_key="PID-18"),
    ]
    merchant = Merchant(name="main", processor="simulated", secret_key="k")
    return Tenant(facilities=(Facility(name="main", zone="UTC"),), merchants=(merchant,), interfaces=tuple(feeds))


def say(tx: Tx, interface: str) -> None:
    message_id = first_id("msg", tx.now) + f"{interface:0>16}"
    record(tx, Incoming("mllp", interface, "hl7", (interface, message_id), b"MSH|", "hash", message_id=message_id))


async def lines(units: Units) -> list[tuple[str, str]]:
    return [(one.item_id, one.subject) for one in await units.read(list_open, kind=SILENT)]


async def test_one_line_until_it_speaks(units: Units, clock: FrozenClock) -> None:
    watch = SilenceWatch(units, tenant(), clock)
    await units.write(say, "lab")
    await watch.look()
    assert await lines(units) == []
    clock.advance(timedelta(minutes=31))
    await units.write(say, "front")  # another feed's word is no sign of life
    await watch.look()
    ((line, subject),) = await lines(units)
    assert subject == "lab"
    clock.advance(timedelta(hours=5))
    await watch.look()
    await SilenceWatch(units, tenant(), clock).look()  # after a restart, or on another machine
    assert await lines(units) == [(line, "lab")]
    await units.write(say, "lab")
    await watch.look()
    assert await lines(units) == []


async def test_a_restart_forgets_neither_a_word_nor_a_silence(units: Units, clock: FrozenClock) -> None:
    await units.write(say, "lab")
    clock.advance(timedelta(minutes=29))
    await SilenceWatch(units, tenant(), clock).look()
    assert await lines(units) == []
    clock.advance(timedelta(minutes=2))
    await SilenceWatch(units, tenant(), clock).look()
    assert [subject for _, subject in await lines(units)] == ["lab"]
    await units.write(say, "lab")
    await SilenceWatch(units, tenant(), clock).look()
    assert await lines(units) == []


async def test_it_is_silent_again_after_it_spoke(units: Units, clock: FrozenClock) -> None:
    watch = SilenceWatch(units, tenant(), clock)
    await watch.look()
    await units.write(say, "lab")
    await watch.look()
    clock.advance(timedelta(hours=1))
    await watch.look()
    (line,) = (await units.read(read)).lines
    assert line.says == "nothing of lab was taken in for 30 minutes"
    assert line.next == KINDS[SILENT].next


async def test_nobody_is_told_out_of_hours_and_a_line_stays_over_the_night(units: Units, clock: FrozenClock) -> None:
    await SilenceWatch(units, tenant(silence_hours="Sat-Sun 08:00-12:00"), clock).look()  # it is a Friday
    assert await lines(units) == []
    friday = tenant(silence_hours="Fri 07:00-15:30")
    await SilenceWatch(units, friday, clock).look()
    assert len(await lines(units)) == 1
    clock.advance(timedelta(hours=8))
    await SilenceWatch(units, friday, clock).look()
    assert len(await lines(units)) == 1


async def test_a_feed_that_is_not_watched_any_more_has_no_line(units: Units, clock: FrozenClock) -> None:
    await SilenceWatch(units, tenant(), clock).look()
    assert len(await lines(units)) == 1
    await SilenceWatch(units, tenant(silence_after_min=0), clock).look()
    assert await lines(units) == []
