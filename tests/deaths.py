"""A process that dies at any step of a use case and is started again: what is kept then is what it would have been.

A step is a COMMIT: death right before it (all of the unit is taken back) and right after it (durable, and nobody has
been told). With FHIRPAY_EVERY_CASE=1 each statement of a unit is one too, on SQLite. What was dead does nothing more:
its next unit dies as well. Then everything is made anew from the database and the story is told from its start.

`everything` is all that is kept, without what names it: ids, hashes, sealed bytes and the tenant. A row that was
doubled or lost, another amount or state shows in it, whatever its table.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from databases import Databases
from fhirpay.db.inline import InlineDatabase
from fhirpay.db.metadata import Row
from fhirpay.db.sqlite import connect, database_path
from fhirpay.db.unit import Database, Dialect, Tx, Units, open_database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.errors import RuleBroken
from fhirpay.usecases.doctor import examine

EVERY = bool(os.environ.get("FHIRPAY_EVERY_CASE"))
_ID = re.compile(r"([a-z]{3})0{10,}\d+")
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_SEALED = frozenset({"sealed", "tenant_id"})  # another nonce each time; another tenant on PostgreSQL


class Died(BaseException):
    """The process: nothing of ours catches it."""


@dataclass
class Death:
    """At which step; 0: it lives. `steps` are those that were passed."""

    at: int = 0
    statements: bool = False
    steps: int = 0
    dead: bool = False

    def pass_by(self) -> None:
        self.steps += 1
        self.dead = self.dead or self.steps == self.at
        self.none_if_dead()

    def none_if_dead(self) -> None:
        if self.dead:
            raise Died


class _MortalTx(Tx):
    __slots__ = ()
    death: Death

    def execute(self, statement: Any, parameters: Any = None) -> Any:
        _MortalTx.death.pass_by()
        return super().execute(statement, parameters)

    def run(self, prepared: Any, parameters: Any) -> Any:
        _MortalTx.death.pass_by()
        return super().run(prepared, parameters)

    def change(self, prepared: Any, parameters: Any) -> int:
        _MortalTx.death.pass_by()
        return super().change(prepared, parameters)

    def put(self, statement: Any, *rows: Any) -> int:
        _MortalTx.death.pass_by()
        return super().put(statement, *rows)


class Mortal:
    """A tenant's database, in the hands of a process that dies."""

    def __init__(self, units: Units, death: Death) -> None:
        self._units, self._death = units, death
        self.tenant: str = units.tenant
        self.dialect: Dialect = units.dialect

    async def write(self, fn: Callable[..., Any], *args: Any, urgent: bool = False, **kwargs: Any) -> Any:
        def unit(tx: Tx) -> Any:
            if self._death.statements:
                _MortalTx.death = self._death
                tx.__class__ = _MortalTx  # the same slots
            value = fn(tx, *args, **kwargs)
            self._death.pass_by()
            return value

        self._death.none_if_dead()
        value = await self._units.write(unit)
        self._death.pass_by()
        return value

    async def read(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._death.none_if_dead()
        return await self._units.read(fn, *args, **kwargs)


Told = Callable[[Units], Awaitable[object]]


@dataclass(frozen=True)
class Story:
    """`before` is what was there; `told`, from its start each time, has nothing but what is in the database.

    What a person does may be refused when it is said again (`by_person`): it is done then.
    """

    name: str
    before: Told
    told: Told
    by_person: bool = False


@dataclass
class Graves:
    """What a story came to: the steps it has, and where it ended otherwise."""

    steps: int = 0
    otherwise: list[str] = field(default_factory=list[str])


async def dies_anywhere(story: Story, houses: Houses, *, each: int = 1) -> Graves:
    """Tell it undisturbed, then once for each step that it dies at and all over again; where it ended otherwise.

    `each`: of so many steps one.
    """
    found = Graves()
    async with houses.house() as units:
        await story.before(units)
        await houses.keep()
        life = Death(statements=houses.statements)
        await story.told(Mortal(units, life))
        found.steps, whole = life.steps, await units.read(everything)
        assert life.steps > 1, f"{story.name} has no step to die at"
    for at in range(1 if each == 1 else 2, found.steps + 1, each):
        async with houses.house(again=True) as units:
            if not houses.kept:
                await story.before(units)
            death = Death(at, statements=houses.statements)
            with suppress(Died):
                await story.told(Mortal(units, death))
            assert death.dead, f"{story.name} never came to step {at}"
            with suppress(*([RuleBroken] if story.by_person else [])):
                await story.told(units)
            end = await units.read(everything)
            if end != whole:
                found.otherwise.append(f"{story.name}, died at {at} of {found.steps}: {_differs(whole, end)}")
            if EVERY or at == 2:  # the same rows are as sound as they were
                found.otherwise += [f"{story.name}, died at {at}: {one}" for one in await units.read(examine)]
    return found


def _differs(whole: Counter[str], end: Counter[str]) -> str:
    return f"lost {sorted((whole - end).elements())[:3]}, too many {sorted((end - whole).elements())[:3]}"


def everything(tx: Tx) -> Counter[str]:
    """Each row of the tenant's, in words."""
    rows: Counter[str] = Counter()
    mine = "?" if tx.dialect == "sqlite" else "%s"
    for name in Row.metadata.tables:
        cursor = tx._raw.execute(f"SELECT * FROM {name} WHERE tenant_id = {mine}", (tx.tenant,))  # noqa: S608
        columns = [column[0] for column in cursor.description]
        for row in cursor.fetchall():
            said = " ".join(f"{key}={value}" for key, value in zip(columns, row, strict=True) if key not in _SEALED)
            nameless = _HASH.sub("#", _ID.sub(r"\1", said.replace(tx.tenant, "TENANT")))
            rows[f"{name}: {nameless}"] += 1
    return rows


# ── where it lives ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Houses:
    """Databases with what was there before, each for one death: on SQLite copies in memory, on PostgreSQL tenants."""

    clock: FrozenClock
    url: str
    statements: bool = False
    kept: Any = None
    _ids: CountedIds = field(default_factory=CountedIds)
    _server: Database | None = None
    _tenants: int = 0

    @classmethod
    @asynccontextmanager
    async def of(cls, databases: Databases, dialect: str, clock: FrozenClock) -> AsyncIterator[Houses]:
        with databases.url(dialect) as url:
            made = cls(clock, url, statements=EVERY and dialect == "sqlite")
            if dialect == "postgresql":
                made._server = open_database(url, clock=clock, ids=made._ids, database_clock=False)
                await made._server.start()
            try:
                yield made
            finally:
                if made._server is not None:
                    await made._server.stop()

    @asynccontextmanager
    async def house(self, *, again: bool = False) -> AsyncIterator[Units]:
        if self._server is not None:
            self._tenants += 1
            yield self._server.units(f"house{self._tenants:04d}")
            return
        self._inline = InlineDatabase(Path(":memory:"), clock=self.clock, ids=self._ids)
        source = self.kept if again else connect(database_path(self.url))
        source.backup(self._inline.raw)
        if not again:
            source.close()
        yield self._inline.units("main")
        self._inline.close()

    async def keep(self) -> None:
        """What is there now is what each death begins with."""
        if self._server is None:
            self.kept = connect(Path(":memory:"))
            self._inline.raw.backup(self.kept)
