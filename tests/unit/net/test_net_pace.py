"""An agreed rate is kept to, and who can't have a turn in time is told before anything is sent."""

from __future__ import annotations

import asyncio

import httpx2
import pytest

from fhirpay.net.errors import NeverSent
from fhirpay.net.http import client
from fhirpay.net.pace import Pace


async def test_calls_are_spaced_evenly_and_in_order() -> None:
    now = asyncio.get_running_loop().time
    at: list[float] = []

    def answer(_: httpx2.Request) -> httpx2.Response:
        at.append(now())
        return httpx2.Response(200)

    http = client("https://ehr.example", pace=Pace(1200), transport=httpx2.MockTransport(answer))
    start = now()
    await asyncio.gather(*(http.send("GET") for _ in range(4)))
    assert [moment - start >= 0.05 * turn - 0.005 for turn, moment in enumerate(at)] == [True] * 4
    await http.aclose()


async def test_a_turn_that_is_too_far_off_is_no_call_and_takes_no_turn() -> None:
    calls: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        calls.append(request)
        return httpx2.Response(200)

    http = client("https://ehr.example", pace=Pace(1), timeout_s=1, transport=httpx2.MockTransport(answer))
    await http.send("GET")
    for _ in range(2):
        with pytest.raises(NeverSent, match=r"agreed rate of calls is used up for (60|59\.\d)"):
            await http.send("GET")
    assert len(calls) == 1
    await http.aclose()
