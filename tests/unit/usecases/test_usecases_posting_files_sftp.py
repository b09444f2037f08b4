"""Posting files at an SSH server that nobody here wrote: whole, once, over nothing, whatever breaks in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from chain_built import charged, paid, refunded, tenant

from fhirpay.config_sftp import SftpAccount
from fhirpay.db.unit import open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.net.sftp import SftpServer
from fhirpay.writeback.remote_out_folder import RemoteOutFolder
from files_world import Files
from sftp_running import Running, sftp_server

pytestmark = pytest.mark.warns("posting_file.unplaced", "call.parked")


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with sftp_server(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def one(databases: Any, clock: FrozenClock, ids: CountedIds, server: Running) -> AsyncIterator[Files]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(databases.url("sqlite"))
        database = open_database(url, clock=clock, ids=ids, database_clock=False)
        await database.start()
        stack.push_async_callback(database.stop)
        settings = server.settings()
        names = SftpAccount.model_fields
        account = SftpAccount(**{name: value for name, value in settings.model_dump().items() if name in names})
        made = Files(database, clock, tenant(), server.files / "in", out=RemoteOutFolder(SftpServer("epic", account)))
        await made.units.write(lambda tx: refunded(tx, made.tenant, paid(tx, made.tenant, charged(tx, made.tenant))))
        yield made


async def later(one: Files) -> None:
    one.clock.advance(timedelta(hours=1))
    await one.work()


async def test_a_file_is_there_whole_under_its_own_name(one: Files, server: Running) -> None:
    (file,) = await one.round()
    assert one.there() == {file.name: file.body.decode()}
    assert (await one.file()).state == "placed"
    assert "fsync" in server.done


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "close", "rename"])
@pytest.mark.parametrize("fault", ["cut before", "cut after"])
async def test_a_connection_that_is_lost_at_any_step_doubles_nothing(
    one: Files, server: Running, operation: str, fault: str
) -> None:
    (file,) = await one.make()
    server.orders[operation] = fault
    await one.work()
    await later(one)
    await later(one)
    assert one.there() == {file.name: file.body.decode()}
    assert (await one.file()).state == "placed"
    assert server.orders == {}
    assert await one.open_items() == []


async def test_a_server_that_is_down_or_refuses_is_waited_for(one: Files, server: Running) -> None:
    (file,) = await one.make()
    server.lets_in = False
    await one.work()
    (item,) = await one.open_items()
    assert "doesn't let us in" in item.says
    server.lets_in = True
    server.orders["rename"] = "refuse"
    await later(one)
    (item,) = await one.open_items()
    assert "Permission denied" in item.says
    await later(one)
    assert one.there() == {file.name: file.body.decode()}
    assert await one.open_items() == []


async def test_what_was_taken_before_we_heard_that_it_was_there_is_for_a_person(one: Files, server: Running) -> None:
    (file,) = await one.make()
    server.orders["rename"] = "cut after"
    await one.work()
    text = one.take(file.name)
    await later(one)
    assert (text, one.there()) == (file.body.decode(), {})
    assert (await one.file()).state == "unknown"


async def test_a_file_of_somebody_elses_is_written_over_by_no_rename(one: Files, server: Running) -> None:
    (file,) = await one.make()
    server.before["rename"] = lambda: (server.files / "in" / file.name).write_text("theirs")
    await one.work()
    assert one.there()[file.name] == "theirs"
    await later(one)
    assert (await one.file()).state == "unknown"


async def test_two_workers_at_once_put_it_there_once(one: Files, server: Running) -> None:
    (file,) = await one.make()
    await asyncio.gather(one.worker("a").drain(), one.worker("b").drain())
    assert one.there() == {file.name: file.body.decode()}
    assert server.done.count("rename") == 1
