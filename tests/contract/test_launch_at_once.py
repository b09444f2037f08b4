"""What of a launch several may do at once, or money hangs on: on both databases."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from launch_world import LaunchWorld, form_of, launch_world, owing, said, sent, words
from processor_running import Running, running_processor


@pytest.fixture
async def paying(database: Database, clock: FrozenClock) -> AsyncIterator[tuple[LaunchWorld, Running]]:
    async with running_processor() as processor, launch_world(database, clock, processor=processor.base_url) as made:
        await made.put(*owing("p1", "a1", "80.00"))
        yield made, processor


async def test_of_several_that_come_back_with_one_state_one_is_let_in(paying: tuple[LaunchWorld, Running]) -> None:
    w, _ = paying
    back = w.ehr.sign_in(await w.sent(), patient="p1")
    (cookie,) = ((one.name, one.value) for one in w.http.cookies.jar)
    headers = {"cookie": "=".join(cookie)}
    answers = await asyncio.gather(*(w.http.get(back, headers=headers) for _ in range(4)))
    assert sorted(one.status_code for one in answers) == [303, 403, 403, 403]
    assert {said(one) for one in answers} == {"", "This sign-in was used already: open fhirpay again from the EHR."}
    assert len(w.ehr.live) == 1


async def test_several_at_once_renew_it_once(paying: tuple[LaunchWorld, Running]) -> None:
    """A refresh token that is used twice ends the session at many EHRs."""
    w, _ = paying
    w.ehr.lives_s = 300
    path = await w.launched(patient="p1")
    w.clock.advance(timedelta(seconds=300))
    answers = await asyncio.gather(*(w.http.get(path) for _ in range(4)))
    assert [one.status_code for one in answers] == [200] * 4
    assert sum(one.endswith("/token") for one in w.ehr.calls) == 2
    assert w.ehr.faults == []


async def test_patients_pay_on_the_processors_page_and_see_it(paying: tuple[LaunchWorld, Running]) -> None:
    w, processor = paying
    path = await w.launched("Patient/p1", patient="p1")
    form = form_of(await w.page(path))
    answer = await sent(w, path, form)
    assert answer.status_code == 303, said(answer)
    page = await w.page(answer.headers["location"])
    (link,) = re.findall(r'<a href="(http[^"]+)"', page)
    assert link.startswith(processor.base_url)
    assert "link:" not in page  # that is for staff
    assert "80.00 USD being paid" in words(await w.page(path))
    again = await sent(w, path, form)  # the same form once more is the same payment
    assert again.headers["location"] == answer.headers["location"]
    back = await processor.pay_page(link)
    assert back.headers["location"].startswith("https://pay.example/api/v1/return/main/pay")
    home = await w.http.get(back.headers["location"])
    assert home.headers["location"] == f"https://pay.example{path}"
    (taken,) = (await processor.books())["payments"]
    assert taken["amount_captured"] == 8000
    w.clock.advance(timedelta(minutes=20))
    await w.work()
    page = words(await w.page(path))
    assert "Nothing to pay now" in page
    assert "80.00 USD paid" in page


async def test_a_form_that_is_sent_several_times_at_once_is_one_payment(paying: tuple[LaunchWorld, Running]) -> None:
    w, processor = paying
    path = await w.launched("Patient/p1", patient="p1")
    form = form_of(await w.page(path))
    answers = await asyncio.gather(*(sent(w, path, form) for _ in range(3)))
    (made,) = {one.headers["location"] for one in answers}
    (link,) = re.findall(r'<a href="(http[^"]+)"', await w.page(made))
    await processor.pay_page(link)
    assert len((await processor.books())["payments"]) == 1


async def test_a_form_of_any_name_is_one_payment(paying: tuple[LaunchWorld, Running]) -> None:
    w, _ = paying
    path = await w.launched("Patient/p1", patient="p1")
    form = form_of(await w.page(path)) | {"form": "\x00" + "".join(chr(0x4E00 + n) for n in range(3000))}
    answers = [await sent(w, path, form) for _ in range(2)]
    assert [one.status_code for one in answers] == [303, 303]
    assert answers[0].headers["location"] == answers[1].headers["location"]
