"""The running program: starts the roles that `wiring` built, and stops them in the order that loses nothing.

Stop: not ready → listeners finish the frame in hand and close → web finishes its requests → workers claim no more and
wait for their calls → leases given back → writer flushed, database closed. A second signal is a crash, which is safe.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from fastapi import FastAPI

from .errors import ConfigInvalid
from .flow.lease import take_over_all
from .log import Log
from .usecases import (
    keep_subscribed,
    match_bank,
    match_postings,
    pull_settlements,
    read_back,
    receivers_gone,
    reports_gone,
    sweep,
)
from .wiring import System

log = Log("app")

ROLES = ("web", "mllp", "worker")


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: stopping is ours to order. `up` is set once it answers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises ConfigInvalid when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigInvalid(f"can't listen at {host}:{port}: {error.strerror}; is another program there?") from None
    return bound


@contextlib.asynccontextmanager
async def served(app: FastAPI, bound: socket.socket) -> AsyncIterator[None]:
    """Serve `app` on a bound socket; on the way out, requests in hand are finished."""
    config = uvicorn.Config(app, lifespan="on", log_config=None, access_log=False, timeout_graceful_shutdown=20)
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        up = asyncio.create_task(server.up.wait())
        await asyncio.wait({up, task}, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        yield
    finally:
        server.should_exit = True
        await task
        bound.close()


@contextlib.asynccontextmanager
async def serving(system: System, roles: frozenset[str] = frozenset(ROLES)) -> AsyncIterator[None]:
    """Everything up for the length of the block."""
    await system.database.start()
    try:
        async with contextlib.AsyncExitStack() as stack:
            stopping = asyncio.Event()
            if "worker" in roles:
                await _take_over(system)
                await stack.enter_async_context(_working(system, stopping))
            if "web" in roles:
                web = listen(system.settings.http_host, system.settings.http_port)
                await stack.enter_async_context(served(system.web, web))
                if (admin := system.admin_socket()) is not None:
                    await admin.start()
                    stack.push_async_callback(admin.stop)
            if "mllp" in roles:
                for listener in system.listeners():
                    await listener.start()
                    stack.push_async_callback(listener.stop)
                await stack.enter_async_context(_watching(system))
            log.info("app.ready", role=",".join(sorted(roles)), port=system.settings.http_port)
            system.ready.set()
            try:
                yield
            finally:
                system.ready.clear()
                log.info("app.stopping")
    finally:
        await system.close()
        await system.database.stop()


async def _take_over(system: System) -> None:
    """On SQLite nobody else can hold a lease: what the process before us had in hand goes on at once."""
    if system.database.dialect != "sqlite":
        return
    for house in system.houses.values():
        if count := await house.units.write(take_over_all):
            log.info("work.taken_over", tenant=house.tenant.name, count=count)


@contextlib.asynccontextmanager
async def _watching(system: System) -> AsyncIterator[None]:
    """Folders; on the way out, the file in hand is finished."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(folder.run(stop)) for folder in system.folders()]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


@contextlib.asynccontextmanager
async def _working(system: System, stopping: asyncio.Event) -> AsyncIterator[None]:
    for house in system.houses.values():
        await house.units.write(receivers_gone.note, house.tenant)
        await house.units.write(reports_gone.note, house.tenant)
        await house.units.write(keep_subscribed.note_left, house.tenant)
        await house.units.write(sweep.schedule, house.tenant, house.processors)
        await house.units.write(pull_settlements.schedule, house.tenant, house.processors)
        await house.units.write(match_bank.schedule, house.tenant)
        await house.units.write(match_postings.schedule, house.tenant)
        await house.units.write(read_back.schedule, house.tenant)
    tasks = [asyncio.create_task(worker.run(stopping)) for worker in system.workers()]
    for house in system.houses.values():
        watches = (house.silence, house.mended, house.traffic, house.daily, house.reconcile)
        tasks += [asyncio.create_task(watch.run(stopping)) for watch in watches]
        tasks += [asyncio.create_task(maker.run(stopping)) for maker in house.makers]
    tasks += [asyncio.create_task(asking.run(stopping)) for asking in (*system.polls(), *system.exports())]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


async def serve_until_stopped(system: System, roles: frozenset[str]) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told(number: signal.Signals) -> None:
        log.info("app.signal", signal=number.name)
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)
    async with serving(system, roles):
        await stop.wait()
