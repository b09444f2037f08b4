"""`fhirpay cutover …` as the billing office runs it: nothing running, and through a server that is."""

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
watermark = "2026-11-15"
"""
Run = Callable[..., tuple[int, list[str]]]
BY = ["--by", "ann", "--reason", "trial balance"]


async def _ingested(config: Path) -> None:
    """One old charge is worked on."""
    system = build(load(config))
    await system.database.start()
    try:
        answers = (
            system.house("main")
            .intakes["clinic"]
            .answers(message("M1", ft1(1, "CG", "100.00", {4: "20261101"}), pv1={44: "20261101"}), source="file")
        )
        assert [answer async for answer in answers]
        inbox, *_ = system.workers()
        await inbox.drain()
    finally:
        await system.close()
        await system.database.stop()


def test_an_office_takes_over(config: Path, run: Run, tmp_path: Path) -> None:
    assert run("migrate")[0] == 0
    asyncio.run(_ingested(config))
    balances = tmp_path / "balances.csv"
    balances.write_text("reference,account,amount,currency\nL1,A100,75.00,USD\nL2,A9,5.00,USD\n")
    opening = ["cutover", "opening", str(balances), "--interface", "clinic"]
    status, lines = run(*opening, "--preview")
    assert (status, lines) == (
        1,
        [
            "line 2: L1 A100 75.00 USD: to be booked",
            "line 3: L2 A9 5.00 USD: nothing has come in about this account",
            "new: 1 of 75.00 USD",
            "unknown account: 1 of 5.00 USD",
            "nothing is booked: a preview",
        ],
    )
    assert run(*opening, *BY)[1][-1] == "0 booked"
    assert run(*opening, "--without-unknown")[0] == 1  # nobody says so
    assert run(*opening, *BY, "--without-unknown")[1][-1] == "1 booked"
    ((_, lines), facts) = run("cutover", "status"), run("cutover", "status", "--json")[1]
    assert lines[0] == "clinic: watermark 2026-11-15, backfilled: nothing is asked for"
    assert json.loads(facts[0])["before"] == {"count": 1, "USD": "100.00"}
    assert run("cutover", "go-live", "clinic", "--preview")[1][-1] == "   at once, opening: 1 of 75.00 USD"
    assert run("cutover", "go-live", "clinic")[0] == 1
    assert run("cutover", "go-live", "clinic", *BY)[1][-1] == "clinic is live, with the watermark of 2026-11-15"
    assert run("cutover", "go-live", "clinic", *BY)[0] == 1
    assert run("cutover", "reverse", "L1", *BY)[0] == 0
    assert run("cutover", "go-live", "lab", *BY)[0] == 2  # there is no such interface
    assert run("doctor")[1] == ["everything agrees"]


async def test_a_running_server_does_the_same(config: Path, run: Run) -> None:
    assert (await asyncio.to_thread(run, "migrate"))[0] == 0
    await _ingested(config)
    settings = load(config)
    system = build(settings)
    await system.database.start()
    socket = system.admin_socket()
    assert socket is not None
    await socket.start()
    try:
        async with through_server(settings, "main", _not_here) as server:
            said = {"by": "ann", "reason": "trial balance"}
            text = "reference,account,amount,currency\nL1,A100,75.00,USD\n"
            asked = {"text": text, "interface": "clinic", "preview": False, "without_unknown": False}
            assert await server.opening_balances(**asked, **said) == (["new: 1 of 75.00 USD", "1 booked"], True)
            lines = await server.go_live(interface="clinic", preview=True, **said)
            assert lines[-1] == "   at once, opening: 1 of 75.00 USD"
            assert len(await server.go_live(interface="clinic", preview=False, **said)) == len(lines) + 1
            with pytest.raises(FhirpayError, match="went live"):
                await server.go_live(interface="clinic", preview=False, **said)
            assert (await server.reverse_opening(reference="L1", **said)).startswith("Account/")
    finally:
        await socket.stop()
        await system.close()
        await system.database.stop()


def _not_here(settings: Settings) -> System:
    raise AssertionError("the server was not asked")
