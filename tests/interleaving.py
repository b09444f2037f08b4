"""Units of work on PostgreSQL, stepped statement by statement by a schedule: the same interleavings each time.

An actor is a plain function that runs units, on a thread and a connection of its own, through the real executor
(with its retries). It stops before each statement and before each COMMIT until it is let go. A step that waits for
another's lock is seen in the server (`pg_blocking_pids`), never guessed from time, and another actor goes on.

A schedule is who begins, and at which steps the one that runs has to give way (elsewhere it runs on until it ends or
waits). All schedules with up to `switches` of these are tried, or a seeded sample of `most` of them (times the
environment's `SCHEDULES`).
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import Any

import psycopg
from sqlalchemy import Connection, create_engine, event

from fhirpay.db.postgres import Limits, PostgresDatabase, driver_url
from fhirpay.db.unit import Dialect, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids

Write = Callable[..., Any]
Actor = Callable[[Write], object]
PATIENCE_S = 120
TIMES = int(os.environ.get("SCHEDULES", "1"))


@dataclass(frozen=True)
class Schedule:
    order: tuple[int, ...]  # who begins, and who is next
    give_way: tuple[int, ...]  # before which steps


class _Player:
    """An actor on its thread: at its gate, running, or at its end."""

    def __init__(self, number: int, actor: Actor, stage: Stage) -> None:
        self.number = number
        self.pid = 0
        self.at_gate = False
        self.over = False
        self.value: object = None
        self.error: BaseException | None = None
        self.gates: list[str] = []
        self.reruns = 0  # of its units: how often one was begun, less how many there were
        self._go = threading.Event()
        self._stage = stage
        self._actor = actor
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        _here.player = self
        try:
            self.value = self._actor(self._stage.write)
        except BaseException as error:
            self.error = error
        with self._stage.changed:
            self.over = True
            self._stage.changed.notify_all()

    def gate(self, what: str) -> None:
        with self._stage.changed:
            self.gates.append(what)
            self.at_gate = True
            self._stage.changed.notify_all()
        if not self._go.wait(PATIENCE_S):
            raise TimeoutError("the schedule has forgotten an actor")
        self._go.clear()

    def let_go(self) -> None:
        self.at_gate = False
        self._go.set()


_here = threading.local()


def _gate(what: str) -> None:
    player: _Player | None = getattr(_here, "player", None)
    if player is not None:
        player.gate(what)


class _SteppedTx(Tx):
    __slots__ = ()

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        _gate(str(statement)[:60])
        return super().execute(statement, parameters)

    def run(self, prepared: Any, parameters: Any) -> Any:
        _gate("prepared")
        return super().run(prepared, parameters)

    def change(self, prepared: Any, parameters: Any) -> int:
        _gate("prepared")
        return super().change(prepared, parameters)

    def put(self, statement: Any, *rows: Any) -> int:
        _gate("constant")
        return super().put(statement, *rows)

    def add(self, into: Any, columns: Any, rows: Any) -> int:
        _gate("rows")
        return super().add(into, columns, rows)

    def _read(self, ready: Any, given: Any, fetched: Any) -> Any:
        _gate("constant")
        return super()._read(ready, given, fetched)


class _SteppedDatabase(PostgresDatabase):
    def _open(self, connection: Connection, tenant: str) -> Tx:
        player: _Player | None = getattr(_here, "player", None)
        raw: Any = connection.connection.dbapi_connection
        if player is not None:
            player.pid = raw.info.backend_pid
            player.reruns += 1
        tx = super()._open(connection, tenant)
        tx.__class__ = _SteppedTx  # the same slots, with a gate before each statement
        return tx


@dataclass
class Played:
    """What came of one schedule: each actor's value or error, in the actors' own order."""

    values: list[object]
    errors: list[BaseException | None]
    waits: int  # steps that waited for another's lock
    reruns: int  # units that the server broke off, mostly for a deadlock, and that were run again


@dataclass
class Stage:
    """A database and the actors on it. `write` runs a unit as the actor's tenant of this play."""

    url: str
    clock: FrozenClock
    ids: Ids
    tenant: str = ""
    plays: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        limits = Limits(lock_ms=PATIENCE_S * 1000, statement_ms=PATIENCE_S * 1000, attempts=10)
        self._database = _SteppedDatabase(self.url, clock=self.clock, ids=self.ids, database_clock=False, limits=limits)
        self._control = psycopg.connect(self.url, autocommit=True)

    @contextmanager
    def open(self) -> Iterator[Stage]:
        # The executor without its threads: each actor brings its own.
        options = {"prepare_threshold": None, "options": "-c deadlock_timeout=50ms"}
        engine = create_engine(driver_url(self.url), pool_size=8, max_overflow=0, connect_args=options)
        event.listen(engine, "commit", lambda _: _gate("COMMIT"))
        self._database._engine = engine
        try:
            yield self
        finally:
            engine.dispose()
            self._control.close()

    def write(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        player: _Player | None = getattr(_here, "player", None)
        if player is not None:
            player.reruns -= 1
        return self._database._write(self.tenant, fn, args, kwargs)

    def read(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        player: _Player | None = getattr(_here, "player", None)
        if player is not None:
            player.reruns -= 1
        return self._database._read(self.tenant, fn, args, kwargs)

    def fresh(self) -> None:
        """Another tenant: nothing of the play before is seen."""
        self.plays += 1
        self.tenant = f"play{self.plays}"

    def play(self, actors: list[Actor], schedule: Schedule) -> Played:
        players = [_Player(number, actor, self) for number, actor in enumerate(actors)]
        for player in players:
            player.thread.start()
        self._settle(players)
        current = schedule.order[0]
        step = waits = 0
        while not all(player.over for player in players):
            ready = [player.number for player in players if player.at_gate]
            if not ready:  # all that are left wait for each other: the server will choose
                self._settle(players, patient=True)
                continue
            if step in schedule.give_way or current not in ready:
                place = schedule.order.index(current)
                turn = [*schedule.order[place + 1 :], *schedule.order[: place + 1]]
                current = next(number for number in turn if number in ready)
            step += 1
            players[current].let_go()
            self._settle(players)
            waits += not players[current].at_gate and not players[current].over
        for player in players:
            player.thread.join(PATIENCE_S)
        return Played(
            [player.value for player in players],
            [player.error for player in players],
            waits,
            sum(player.reruns for player in players),
        )

    def _settle(self, players: list[_Player], *, patient: bool = False) -> None:
        """Until each is at its gate, at its end, or waits for another's lock (`patient`: until that changes)."""
        asked = False  # the server, only about who doesn't come by himself
        with self.changed:
            while True:
                moving = [player for player in players if not player.at_gate and not player.over]
                if not moving or (asked and not patient and all(self._blocked(player.pid) for player in moving)):
                    return
                if patient and any(player.at_gate for player in players):
                    return
                self.changed.wait(0.01)
                asked = True

    def _blocked(self, pid: int) -> bool:
        row = self._control.execute("SELECT pg_blocking_pids(%s) <> '{}'", (pid,)).fetchone()
        return pid != 0 and row is not None and row[0]

    def explore(
        self,
        setting: Callable[[], list[Actor]],
        check: Callable[[Played], None],
        *,
        switches: int = 2,
        most: int = 16,
        seed: int = 1,
    ) -> Explored:
        """Play `setting()` by each schedule in a tenant of its own; `check` the law after each. How many there were."""
        done = Explored()
        for schedule in self._schedules(setting, switches, most * TIMES, seed):
            self.fresh()
            played = self.play(setting(), schedule)
            try:
                check(played)
            except BaseException as error:
                error.add_note(f"{schedule}; {played}")
                raise
            done.schedules += 1
            done.waits += played.waits
            done.reruns += played.reruns
        return done

    def _schedules(self, setting: Callable[[], list[Actor]], switches: int, most: int, seed: int) -> list[Schedule]:
        self.fresh()
        actors = setting()
        steps = 0

        players = [_Player(number, actor, self) for number, actor in enumerate(actors)]
        for player in players:  # one after the other, to know how many steps there are
            player.thread.start()
            while not player.over:
                self._settle([player])
                if player.at_gate:
                    steps += 1
                    player.let_go()
        orders = list(permutations(range(len(actors))))
        every = [
            Schedule(order, at)
            for count in range(switches + 1)
            for order in orders
            for at in combinations(range(1, steps), count)
        ]
        return every if len(every) <= most else [*every[: len(orders)], *random.Random(seed).sample(every, most)]


class SteppedUnits:
    """A tenant's database for use cases that are coroutines: each unit is run where it is asked for, step by step."""

    dialect: Dialect = "postgresql"

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    @property
    def tenant(self) -> str:
        return self._stage.tenant

    async def write(self, fn: Callable[..., Any], *args: Any, urgent: bool = False, **kwargs: Any) -> Any:
        return self._stage.write(fn, *args, **kwargs)

    async def read(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return self._stage.read(fn, *args, **kwargs)


def ran(story: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine comes to that waits for nothing but `SteppedUnits`."""
    try:
        story.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits for something else than a unit of work")


@dataclass
class Explored:
    schedules: int = 0
    waits: int = 0
    reruns: int = 0

    def said(self, name: str) -> None:
        print(f"{name}: {self.schedules} schedules, {self.waits} waits for a lock, {self.reruns} units run again")
