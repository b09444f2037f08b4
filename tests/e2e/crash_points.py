"""Places where `fhirpay serve` may die, by name, and a serve that dies at one. Run by crash_forks, in a child.

The program has no hooks for this: here its executors, its MLLP connection and its web application are wrapped from
outside, and what they call is counted. `point` is one of:

| point | where |
|---|---|
| before UNIT, ran UNIT | around a unit's function, inside its open transaction |
| committing UNIT | PostgreSQL: COMMIT has been sent, its answer is not read |
| committed UNIT | durable, and nobody has been told yet |
| group half, group ran, group committed | SQLite: in a shared COMMIT, after its second member; before; after |
| mllp half frame, mllp answer, mllp half answer, mllp answered | what the sender has written, and has read |
| http answer, http half answer, http answered | the same of an HTTP client |
| processor WHAT came, processor WHAT done, ehr WHAT … | in the other program, see crash_others.py and `OTHERS` |

UNIT is `module.Class.function`. To add a point: a line above, and a call of the bomb.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any

import fhirpay.app
from fhirpay.cli.serve import serve as fhirpay_serve
from fhirpay.db.postgres import PostgresDatabase
from fhirpay.db.sqlite import SqliteDatabase, Writing
from fhirpay.hl7.framing import framed
from fhirpay.hl7.mllp_server import Connection

# What takes in what the world says, and answers it.
INTAKE_UNITS = (
    "lease.take_over_all",
    "receive_hl7.Hl7Intake._record",
    "intake.Intake._transact",
    "keep_events.record_all",
    "deps._make",
    "answers.answered",
    "worker.Worker._turn_unit",
    "apply_message.ApplyMessage._apply",
    "apply_message.ApplyMessage._follow",
)
# What moves money and writes it back. A worker that comes after a death is the only one who takes over or resends.
MONEY_UNITS = (
    "take_payment.TakePayment._sending",
    "take_payment.TakePayment._taken_over",
    "take_payment.TakePayment._finish",
    "lookup.LookUp._finish",
    "lookup.LookUp._resending",
    "webhook.Webhooks._settle",
    "refund.Refunds._sending",
    "refund.Refunds._finish",
    "postings.sending",
    "post_back.PostBack._posted",
)
GROUPS = ("group half", "group ran", "group committed")
ANSWERS = (
    "mllp half frame",
    "mllp answer",
    "mllp half answer",
    "mllp answered",
    "http answer",
    "http half answer",
    "http answered",
)
# point → whom to arm, and with what
OTHERS: dict[str, tuple[str, dict[str, str]]] = {
    f"{whom} {what} {when}": (whom, {"method": method, "path": path, "when": when})
    for whom, what, method, path in (
        ("processor", "payment", "POST", r"/v1/payments$"),
        ("processor", "confirm", "POST", r"/confirm$"),
        ("processor", "checkout", "POST", r"/v1/checkouts$"),
        ("processor", "refund", "POST", r"/v1/refunds$"),
        ("ehr", "posting", "PUT", r"/PaymentReconciliation/"),
    )
    for when in ("came", "done")
}

# Passed only by who comes after a death there.
_AFTER = {
    "take_payment.TakePayment._taken_over": ["committed take_payment.TakePayment._sending"],
    "lookup.LookUp._resending": ["processor confirm came"],
}


def around(units: Iterable[str], phases: Iterable[str]) -> list[str]:
    """The points of these units, each behind the death that it needs."""
    points: list[str] = []
    for unit in units:
        for phase in phases:
            points += [*_AFTER.get(unit, ()), f"{phase} {unit}"]
    return points


class Bomb:
    """Kills this process when it passes `point` for the `hits`-th time."""

    def __init__(self, point: str, hits: int) -> None:
        self.point = point
        self._left = hits

    def __call__(self, point: str) -> None:
        if self.due(point):
            self.goes_off()

    def due(self, point: str) -> bool:
        if point != self.point:
            return False
        self._left -= 1
        return self._left == 0

    def goes_off(self) -> None:
        os.write(2, f"DIED AT {self.point}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)


def name_of(unit: Callable[..., Any]) -> str:
    return f"{unit.__module__.rpartition('.')[2]}.{unit.__qualname__}"


def serve(asked: dict[str, Any]) -> None:
    """`fhirpay serve --config …`, with a bomb in it."""
    bomb = Bomb(asked["point"], asked["hits"])
    for lay in (_in_sqlite, _in_postgres, _in_mllp, _in_http):
        lay(bomb)
    fhirpay_serve(Path(asked["config"]), asked["roles"])


def _in_sqlite(bomb: Bomb) -> None:
    begin, run, commit, tell = Writing.begin, Writing.run, Writing.commit, SqliteDatabase._tell
    members = 0

    def begins(writing: Writing) -> None:
        nonlocal members
        members = 0
        begin(writing)

    def runs(writing: Writing, job: Any, topics: set[str]) -> None:
        nonlocal members
        bomb(f"before {name_of(job.fn)}")
        run(writing, job, topics)
        bomb(f"ran {name_of(job.fn)}")
        members += 1
        if members == 2:
            bomb("group half")

    def commits(writing: Writing) -> None:
        if members > 1:
            bomb("group ran")
        commit(writing)

    def tells(database: SqliteDatabase, jobs: list[Any], topics: set[str]) -> None:
        if len(jobs) > 1:
            bomb("group committed")
        for job in jobs:
            if job.error is None:
                bomb(f"committed {name_of(job.fn)}")
        tell(database, jobs, topics)

    Writing.begin, Writing.run, Writing.commit, SqliteDatabase._tell = begins, runs, commits, tells


def _in_postgres(bomb: Bomb) -> None:
    write = PostgresDatabase._write

    def writes(database: PostgresDatabase, tenant: str, fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        name = name_of(fn)

        def unit(tx: Any, *args: Any, **kwargs: Any) -> Any:
            bomb(f"before {name}")
            value = fn(tx, *args, **kwargs)
            bomb(f"ran {name}")
            if bomb.due(f"committing {name}"):
                tx._raw.pgconn.send_query(b"COMMIT")
                tx._raw.pgconn.flush()
                bomb.goes_off()
            return value

        value = write(database, tenant, unit, args, kwargs)
        bomb(f"committed {name}")
        return value

    PostgresDatabase._write = writes


def _in_mllp(bomb: Bomb) -> None:
    connection = Connection
    received, write = connection.data_received, connection._write

    def receives(self: Any, data: bytes) -> None:
        received(self, data)
        if self._framer.pending:
            bomb("mllp half frame")

    async def writes(self: Any, reply: bytes) -> None:
        bomb("mllp answer")
        if bomb.due("mllp half answer"):
            self._transport.write(framed(reply)[: len(reply) // 2])
            bomb.goes_off()
        await write(self, reply)
        bomb("mllp answered")

    connection.data_received, connection._write = receives, writes


def _in_http(bomb: Bomb) -> None:
    served = fhirpay.app.served
    send_type = Callable[[MutableMapping[str, Any]], Awaitable[None]]

    def around(app: Any, bound: Any) -> Any:
        async def layer(scope: MutableMapping[str, Any], receive: Any, send: send_type) -> None:
            async def sends(message: MutableMapping[str, Any]) -> None:
                start = message["type"] == "http.response.start"
                bomb("http answer" if start else "http half answer")
                await send(message)
                if not start:
                    bomb("http answered")

            watched = scope["type"] == "http" and scope["method"] == "POST"
            await app(scope, receive, sends if watched else send)

        return served(layer, bound)  # type: ignore[arg-type]

    fhirpay.app.served = around
