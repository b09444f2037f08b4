"""`fhirpay adjustments …` as the billing office runs it: nothing running, and through a server that is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fhirpay.cli.admin import through_server
from fhirpay.config import Settings, load
from fhirpay.errors import FhirpayError
from fhirpay.wiring import System, build
from intake_world import ft1, message

CONFIG = """
database = "sqlite:///{folder}/fhirpay.db"
hash_key = "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
log_level = "ERROR"
[[tenants]]
name = "main"
[[tenants.merchants]]
name = "main"
processor = "simulated"
base_url = "https://processor.example"
secret_key = "k"
[[tenants.facilities]]
name = "main"
bill_hold_days = 0
[[tenants.interfaces]]
name = "clinic"
namespace = "urn:clinic"
account_key = "PID-18"
carries_coverage = true
self_pay_classes = ["SP"]
[[tenants.destinations]]
name = "engine"
host = "127.0.0.1"
port = 1
"""
ACCOUNT = "urn:clinic|A100"
BY = ["--by", "ann", "--reason", "below the limit"]


async def test_a_balance_is_given_up_and_recovered(config: Path, run: Callable[..., tuple[int, list[str]]]) -> None:
    assert (await asyncio.to_thread(run, "migrate"))[0] == 0
    settings = load(config)
    system = build(settings)
    await system.database.start()
    socket = system.admin_socket()
    assert socket is not None
    await socket.start()
    try:
        house = system.house("main")
        async for _ in house.intakes["clinic"].answers(message("M1", ft1(1, "CG", "9.50&USD")), source="mllp"):
            pass
        await system.workers()[0].drain()
        _, lines = await asyncio.to_thread(run, "explain", ACCOUNT)
        obligation = (
            next(line for line in lines if "obligation obl" in line).partition("obligation ")[2].partition(" ")[0]
        )
        async with through_server(settings, "main", _not_here) as server:
            asked = {"obligation": obligation, "kind": "small_balance", "amount": "9.00"}
            for named, why in (({"by": "", "reason": "r"}, "say who"), ({"by": "ann", "reason": ""}, "needs a reason")):
                with pytest.raises(FhirpayError, match=why):
                    await server.write_off(**asked, **named)
            entry = await server.write_off(**asked, by="ann", reason="below the limit")
            assert await server.recover(entry=entry, by="bob", reason="it was paid") == entry
    finally:
        await socket.stop()
        await system.close()
        await system.database.stop()
    off = ("adjustments", "write-off", obligation, "--kind")
    assert (await asyncio.to_thread(run, *off, "charity", *BY))[0] == 0
    status, lines = await asyncio.to_thread(run, *off, "charity", *BY)
    assert (status, lines[-1].rpartition(": ")[0]) == (1, f"fhirpay: {obligation} is written_off")
    _, lines = await asyncio.to_thread(run, "adjustments", "list", ACCOUNT, "--json")
    said = [json.loads(line) for line in lines]
    assert [(one["kind"], one["amount"], one["told"]) for one in said] == [
        ("charity", "9.50", {"engine": "pending"}),
        ("small_balance", "9.00", {"engine": "pending"}),
        ("small_balance", "-9.00", {"engine": "pending"}),
    ]
    text = (await asyncio.to_thread(run, "adjustments", "list", ACCOUNT))[1]
    assert "9.00 USD put back" in text[2]
    assert "pending at 'engine'" in text[2]


def _not_here(settings: Settings) -> System:
    raise AssertionError("the server was not asked")
