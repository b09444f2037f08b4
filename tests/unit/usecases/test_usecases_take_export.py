"""A bulk export is taken in once, from wherever it was broken off; the token goes to the EHR alone; what can't be read
is told. Names of the first tests: Inferno's, of bulk data in the client's role."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx2
import pytest

from bulk_server import ORIGIN, STORE, BulkServer
from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.money import Money
from fhirpay.errors import LeaseLost, MessageInvalid, RuleBroken
from fhirpay.fhir.bulk import LINE_MAX, read_manifest, split_lines
from fhirpay.polling import exports, store
from fhirpay.polling.exports import Job
from fhirpay.reconciliation.kinds import KINDS
from fhirpay.usecases.look_at_visit import UNREAD
from fhirpay.usecases.take_export import DELETED, EhrExport, next_night
from fhirpay.usecases.take_polled import REFUSED, read_all, take
from polling_world import ACCOUNT, PATIENT, SINCE, Poll, charge, polling

pytestmark = pytest.mark.warns("export.failed", "export.not_deleted")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def database(database_url: str, open_it: Any) -> AsyncIterator[Database]:
    opened = open_it(database_url)
    await opened.start()
    yield opened
    await opened.stop()


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, databases: Any) -> Any:
    """What an EHR does wrong has nothing to do with the engine."""
    with databases.url(request.param, again=True) as url:
        yield url


@pytest.fixture
def server(clock: FrozenClock) -> BulkServer:
    made = BulkServer(clock.now)
    for one in (PATIENT, ACCOUNT):
        made.add(one, SINCE + HOUR)
    for at in range(5):
        made.add(charge(f"c{at}", "10.00"), SINCE + HOUR)
    return made


@pytest.fixture
def more() -> dict[str, Any]:
    return {"bulk": "initial"}


@pytest.fixture
async def poll(
    database: Database, clock: FrozenClock, ids: CountedIds, server: BulkServer, more: dict[str, Any]
) -> AsyncIterator[Poll]:
    async with polling(database, clock, ids, server, **more) as made:
        made.works = False
        yield made


async def turn(poll: Poll, by: timedelta = timedelta(), owner: str = "one") -> None:
    poll.clock.advance(by)
    (export,) = poll.system.exports(owner)
    await export.turn()


async def to_the_end(poll: Poll, times: int = 12, by: timedelta = MINUTE) -> None:
    for _ in range(times):
        await turn(poll, by)


async def job(poll: Poll) -> Job:
    found = await poll.units.read(exports.find, "ehr")
    assert found is not None
    return found


@dataclass
class Units:
    """Those of the program; something happens before each write."""

    inner: Any
    before: Callable[[], Awaitable[None]]

    async def write(self, fn: Any, *args: Any, **more: Any) -> Any:
        await self.before()
        return await self.inner.write(fn, *args, **more)

    async def read(self, fn: Any, *args: Any, **more: Any) -> Any:
        return await self.inner.read(fn, *args, **more)


def _with(export: EhrExport, units: Any) -> EhrExport:
    return replace(export, pick=replace(export.pick, units=units))


CHARGES = [f"GET ChargeItem/c{at}" for at in range(5)]


# ── as the guide has it ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_export_is_refused_without_authorization_and_told(poll: Poll, server: BulkServer) -> None:
    server.answers = {"$export": [httpx2.Response(401), httpx2.Response(401)]}
    await turn(poll)
    (says,) = await poll.told(UNREAD)
    assert "doesn't accept our token" in says
    assert server.jobs == {}
    await to_the_end(poll)
    assert await poll.told(UNREAD) == []


async def test_kick_off_asks_as_the_guide_says_and_the_202_has_a_content_location(
    poll: Poll, server: BulkServer
) -> None:
    await turn(poll)
    (made,) = server.jobs.values()
    assert made.query == {
        "_outputFormat": "application/fhir+ndjson",
        "_type": "Organization,Encounter,Coverage,Patient,Account,ChargeItem",
        "_since": "2026-11-01T00:00:00.000Z",
    }
    assert (await job(poll)).status_url == f"{ORIGIN}/bulk/status/job1"


NOT_202 = httpx2.Response(200, json={}, headers={"content-location": "/bulk/status/job1"})


@pytest.mark.parametrize("answer", [NOT_202, httpx2.Response(202)])
async def test_a_kick_off_without_202_or_content_location_is_told(
    poll: Poll, server: BulkServer, answer: httpx2.Response
) -> None:
    server.answers = {"$export": [answer]}
    await turn(poll)
    assert len(await poll.told(UNREAD)) == 1


async def test_the_words_of_a_refusal_are_told(poll: Poll, server: BulkServer) -> None:
    issue = {"severity": "error", "code": "not-supported", "diagnostics": "no ChargeItem is exported here"}
    server.answers = {"$export": [httpx2.Response(400, json={"resourceType": "OperationOutcome", "issue": [issue]})]}
    await turn(poll)
    (says,) = await poll.told(UNREAD)
    assert "no ChargeItem is exported here" in says


@pytest.mark.parametrize("retry_after", ["600", "date"])
async def test_status_is_asked_for_when_it_says_and_its_progress_is_kept(
    poll: Poll, server: BulkServer, clock: FrozenClock, retry_after: str
) -> None:
    await turn(poll)
    in_ten_minutes = clock.now() + timedelta(seconds=1) + timedelta(minutes=10)
    server.retry_after = f"{in_ten_minutes:%a, %d %b %Y %H:%M:%S GMT}" if retry_after == "date" else retry_after
    await turn(poll, timedelta(seconds=1))
    assert server.jobs["job1"].looks == 1
    assert (await job(poll)).progress == "10 %"
    await turn(poll, timedelta(minutes=9))
    assert server.jobs["job1"].looks == 1
    await turn(poll, timedelta(minutes=1))
    assert server.jobs["job1"].looks == 2


async def test_what_is_exported_is_owed_once_and_the_job_is_deleted(poll: Poll, server: BulkServer) -> None:
    await to_the_end(poll)
    inbox, *_ = poll.system.workers()
    await inbox.drain()
    assert [one.patient for one in await poll.owed()] == [Money(1000, "USD")] * 5
    assert sorted(await poll.messages()) == sorted([*CHARGES, "GET Account/a1", "GET Patient/p1"])
    assert server.jobs == {}
    assert not [one for one in server.calls if one.startswith("GET /fhir/Account")]  # it was in the file before
    assert (await job(poll)).due_at is None  # once is enough
    asked = len(server.calls)
    await to_the_end(poll, by=DAY)
    assert len(server.calls) == asked


async def test_an_export_that_is_cancelled_is_gone_at_the_server_and_nothing_more_of_it_is_read(
    poll: Poll, server: BulkServer
) -> None:
    await turn(poll)
    await poll.units.write(exports.cancel, "ehr")
    await turn(poll)
    assert server.jobs == {}
    assert server.calls[-1] == "DELETE /bulk/status/job1 with token"
    await to_the_end(poll)
    assert await poll.messages() == []
    with pytest.raises(RuleBroken, match="no export of 'ehr'"):
        await poll.units.write(exports.cancel, "ehr")
    await poll.units.write(exports.begin, "ehr", whole=True)
    await to_the_end(poll, 1)
    with pytest.raises(RuleBroken, match="under way"):
        await poll.units.write(exports.begin, "ehr", whole=True)


async def test_what_was_read_since_it_began_is_not_undone_by_a_file(
    poll: Poll, server: BulkServer, clock: FrozenClock
) -> None:
    await turn(poll)
    meta = {"versionId": "9", "lastUpdated": (clock.now() + MINUTE).isoformat(timespec="milliseconds")}
    (export,) = poll.system.exports("one")
    pick = export.pick
    later = read_all([{**charge("c0", "77.00"), "meta": meta}], pick.connection.base_url)
    await poll.units.write(take, pick.intake, pick.connection, later)
    await to_the_end(poll)
    assert len(await poll.messages()) == len([*CHARGES, "GET Account/a1", "GET Patient/p1"])
    kept = await poll.kept("ChargeItem", "c0")
    assert kept is not None
    assert kept["priceOverride"]["value"] == 77


async def test_an_export_of_a_copy_that_lags_behind_undoes_nothing_that_was_read_before_it_began(
    poll: Poll, server: BulkServer, clock: FrozenClock
) -> None:
    """Its transactionTime is what it shows: what changed after that is later, whenever we read it."""
    server.shows_until = HOUR
    meta = {"versionId": "9", "lastUpdated": (clock.now() - 10 * MINUTE).isoformat(timespec="milliseconds")}
    (export,) = poll.system.exports("one")
    pick = export.pick
    later = read_all([{**charge("c0", "77.00"), "meta": meta}], pick.connection.base_url)
    await poll.units.write(take, pick.intake, pick.connection, later)
    await to_the_end(poll)
    kept = await poll.kept("ChargeItem", "c0")
    assert kept is not None
    assert kept["priceOverride"]["value"] == 77


@pytest.mark.parametrize(
    "url", ["https://[elsewhere/f", "https://93.184.215.15:99999/f", f"{ORIGIN}/files/\x01", "https://a b/f"]
)
async def test_an_address_that_is_none_is_told(poll: Poll, server: BulkServer, url: str) -> None:
    manifest = {"transactionTime": poll.clock.now().isoformat(), "requiresAccessToken": False}
    manifest |= {"output": [{"type": "ChargeItem", "url": url}]}
    server.answers["/bulk/status"] = [httpx2.Response(200, json=manifest) for _ in range(9)]
    await to_the_end(poll)
    assert len(await poll.told(UNREAD)) == 1


@pytest.mark.parametrize("url", ["https://[elsewhere/f", "https://93.184.215.14:99999/f", f"{ORIGIN}/bulk/\x01"])
async def test_a_status_address_that_is_none_is_told(poll: Poll, server: BulkServer, url: str) -> None:
    server.answers["$export"] = [httpx2.Response(202, headers={"content-location": url.encode()}) for _ in range(9)]
    await to_the_end(poll)
    assert len(await poll.told(UNREAD)) == 1


@pytest.mark.parametrize("more", [{"bulk": "nightly", "bulk_at": time(2), "zone": "America/New_York"}])
async def test_the_night_asks_for_what_changed_since_the_last_transaction_time(
    poll: Poll, server: BulkServer, clock: FrozenClock
) -> None:
    await to_the_end(poll)
    first = (await job(poll)).loaded_at
    assert first is not None
    due_at = (await job(poll)).due_at
    assert due_at is not None
    assert due_at.astimezone(ZoneInfo("America/New_York")).time() == time(2)
    server.add(charge("c9", "10.00"), clock.now())
    await turn(poll, DAY)
    (made,) = server.jobs.values()
    assert datetime.fromisoformat(made.query["_since"]) == first.replace(microsecond=first.microsecond // 1000 * 1000)
    await to_the_end(poll)
    assert sorted(one for one in await poll.messages() if "Charge" in one) == [*CHARGES, "GET ChargeItem/c9"]


async def test_polling_waits_for_the_first_load_and_begins_at_its_transaction_time(
    poll: Poll, server: BulkServer
) -> None:
    await poll.look()
    assert server.calls == []
    await to_the_end(poll)
    loaded = (await job(poll)).loaded_at
    (mark,) = await poll.units.write(store.marks, "ehr", ("ChargeItem",), SINCE)
    assert loaded is not None
    assert mark.watermark == loaded
    await poll.look()
    assert any("/ChargeItem" in one for one in server.calls)


# ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────────────────


class Killed(BaseException):
    pass


async def test_a_crash_while_it_runs_asks_the_same_job_again(poll: Poll, server: BulkServer) -> None:
    await turn(poll)
    await turn(poll, timedelta(seconds=2))
    await to_the_end(poll)  # other objects, as another process has
    assert [one for one in server.calls if "$export" in one] == ["GET /fhir/$export with token"]
    assert sorted(await poll.messages())[1:6] == CHARGES


async def test_a_crash_in_a_file_goes_on_behind_the_lines_that_were_read(
    poll: Poll, server: BulkServer, clock: FrozenClock
) -> None:
    for at in range(250):
        server.add(charge(f"n{at:03}", "10.00"), SINCE + HOUR)

    def killed(kind: str, number: int) -> None:
        if kind == "ChargeItem" and number == 220:
            raise Killed

    server.on_line, server.running_for = killed, 0
    with pytest.raises(Killed):
        await to_the_end(poll)
    before = await job(poll)
    assert (before.state, before.line) == ("reading", 200)
    server.on_line = lambda kind, number: None
    lines: list[int] = []

    async def note() -> None:
        lines.append((await job(poll)).line)

    poll.clock.advance(MINUTE)
    (export,) = poll.system.exports("two")
    await _with(export, Units(poll.units, note)).turn()
    assert 100 not in lines  # behind what was read: it isn't worked on again
    await to_the_end(poll)
    charges = [one for one in await poll.messages() if "Charge" in one]
    assert len(charges) == len(set(charges)) == 255
    assert (await job(poll)).loaded_at is not None
    assert len([one for one in server.calls if "$export" in one]) == 1


async def test_who_has_lost_the_lease_leaves_nothing_behind(poll: Poll, server: BulkServer) -> None:
    server.running_for = 0
    poll.clock.advance(MINUTE)
    (slow,) = poll.system.exports("slow")
    hanging = asyncio.Event()

    def meanwhile(kind: str, number: int) -> None:
        if kind == "ChargeItem" and not hanging.is_set():
            hanging.set()
            poll.clock.advance(2 * MINUTE)

    await slow.turn()
    server.on_line = meanwhile
    poll.clock.advance(MINUTE)
    taken = asyncio.Event()

    async def steal() -> None:
        if hanging.is_set() and not taken.is_set():
            taken.set()
            assert await poll.units.write(store.claim, "ehr/$export", owner="two", lease=MINUTE)

    with pytest.raises(LeaseLost):
        await _with(slow, Units(poll.units, steal)).turn()
    assert taken.is_set()
    assert not [one for one in await poll.messages() if "Charge" in one]


async def test_a_busy_server_is_left_alone_as_long_as_it_says(poll: Poll, server: BulkServer) -> None:
    server.answers = {"$export": [httpx2.Response(429, headers={"retry-after": "3600"})]}
    await turn(poll)
    await turn(poll, timedelta(minutes=59))
    assert len(server.calls) == 2  # its statement and the kick-off
    await turn(poll, timedelta(minutes=2))
    assert list(server.jobs) == ["job1"]


async def test_a_500_while_it_runs_is_temporary(poll: Poll, server: BulkServer) -> None:
    server.answers = {"bulk/status": [httpx2.Response(500), httpx2.Response(503)]}
    await to_the_end(poll, 20)
    assert [one for one in server.calls if "$export" in one] == ["GET /fhir/$export with token"]
    assert (await job(poll)).loaded_at is not None


async def test_a_job_that_fails_for_good_is_deleted_told_and_another_one_is_asked_for(
    poll: Poll, server: BulkServer
) -> None:
    server.answers = {"bulk/status/job1": [httpx2.Response(500)] * 3}
    await to_the_end(poll, 6)
    (says,) = await poll.told(UNREAD)
    assert "answered 500" in says
    assert "DELETE /bulk/status/job1 with token" in server.calls
    await to_the_end(poll, 20)
    assert (await job(poll)).loaded_at is not None
    assert await poll.told(UNREAD) == []


async def test_a_file_that_has_expired_is_exported_anew(poll: Poll, server: BulkServer) -> None:
    server.answers = {"files/job1": [httpx2.Response(410)]}
    await to_the_end(poll, 30)
    assert len([one for one in server.calls if "$export" in one]) == 2
    assert sorted(one for one in await poll.messages() if "Charge" in one) == CHARGES
    assert server.jobs == {}


async def test_a_line_that_is_cut_loses_none(poll: Poll, server: BulkServer) -> None:
    server.cut_after = 3
    await to_the_end(poll, 6)
    assert (await job(poll)).loaded_at is None
    server.cut_after = 0
    await to_the_end(poll, 20)
    assert sorted(one for one in await poll.messages() if "Charge" in one) == CHARGES


async def test_a_file_that_is_shorter_than_its_count_is_not_the_whole(poll: Poll, server: BulkServer) -> None:
    server.garble = lambda kind, lines: lines[:3] if kind == "ChargeItem" else lines
    await to_the_end(poll, 10)
    assert (await job(poll)).loaded_at is None
    assert "3 lines, and 5 by its manifest" in (await poll.told(UNREAD))[0]


@pytest.mark.parametrize("bad", [b"{", b"[1]", b'"x"', b'{"resourceType": "Patient", "id": "p2"}', b"\xff\xfe"])
async def test_a_bad_line_is_told_and_the_rest_is_taken(poll: Poll, server: BulkServer, bad: bytes) -> None:
    server.garble = lambda kind, lines: [*lines[:2], bad, *lines[3:]] if kind == "ChargeItem" else lines
    await to_the_end(poll)
    (says,) = await poll.told(REFUSED)
    assert "1 lines" in says
    assert "ChargeItem:3" in says
    assert len([one for one in await poll.messages() if "Charge" in one]) == 4
    assert (await job(poll)).loaded_at is not None


async def test_a_resource_that_is_not_valid_is_told_by_its_id(poll: Poll, server: BulkServer) -> None:
    server.add({**charge("wrong"), "status": "no such status"}, SINCE + HOUR)
    await to_the_end(poll)
    (says,) = await poll.told(REFUSED)
    assert "ChargeItem/wrong" in says


async def test_what_is_of_before_the_start_or_was_not_asked_for_is_not_taken(poll: Poll, server: BulkServer) -> None:
    old = {**charge("old"), "meta": {"versionId": "1", "lastUpdated": "2026-10-01T00:00:00Z"}}
    server.garble = lambda kind, lines: [*lines[1:], _line(old)] if kind == "ChargeItem" else lines
    await to_the_end(poll)
    assert sorted(one for one in await poll.messages() if "Charge" in one) == CHARGES[1:]


def _line(resource: dict[str, Any]) -> bytes:
    import json

    return json.dumps(resource, default=float).encode()


async def test_what_was_deleted_there_or_left_out_is_told(poll: Poll, server: BulkServer) -> None:
    server.deleted = ["ChargeItem/c1", "ChargeItem/nobody"]
    issue = {"severity": "error", "code": "exception", "diagnostics": "c7 could not be written"}
    server.errors = [{"resourceType": "OperationOutcome", "issue": [issue]}]
    server.errors.append({"resourceType": "OperationOutcome", "issue": [{**issue, "severity": "information"}]})
    await to_the_end(poll)
    (says,) = await poll.told(DELETED)
    assert {DELETED, REFUSED, UNREAD} <= KINDS.keys()  # and what to do
    assert "ChargeItem/c1" in says
    assert any("(1 errors): c7 could not be written" in one for one in await poll.told(REFUSED))


# ── where the token goes ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_file_elsewhere_is_fetched_without_our_token(poll: Poll, server: BulkServer) -> None:
    server.files_at, server.needs_token = f"{STORE}/files", False
    await to_the_end(poll)
    fetched = [one for one in server.calls if STORE in one]
    assert len(fetched) == 3
    assert not [one for one in fetched if "token" in one]
    assert (await job(poll)).loaded_at is not None


@pytest.mark.parametrize(
    ("files_at", "needs_token", "says"),
    [
        (f"{STORE}/files", True, "goes nowhere but to the EHR"),
        ("https://93.184.215.14:8443/files", True, "goes nowhere but to the EHR"),
        ("http://93.184.215.15/files", False, "unencrypted"),
        ("https://10.0.0.1/files", False, "private"),
        ("https://169.254.169.254/files", False, "metadata"),
        ("https://localhost/files", False, "this machine"),
    ],
)
async def test_a_file_where_we_may_not_go_or_our_token_may_not_is_told(
    poll: Poll, server: BulkServer, files_at: str, needs_token: bool, says: str
) -> None:
    server.files_at, server.needs_token = files_at, needs_token
    await to_the_end(poll, 6)
    assert any(says in one for one in await poll.told(UNREAD))
    assert not [one for one in server.calls if "/files/" in one]


async def test_files_of_its_own_that_need_no_token_get_none(poll: Poll, server: BulkServer) -> None:
    server.needs_token = False
    await to_the_end(poll)
    assert [one for one in server.calls if "/files/" in one]
    assert not [one for one in server.calls if "/files/" in one and "token" in one]


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/bulk/status/job1", "GET /bulk/status/job1 with token"),
        ("https://inside.example/fhir/status/job1", "GET /fhir/status/job1 with token"),
        ("https://evil.example/status/job1", ""),
        ("https://evil.example/fhir/../status/job1", ""),
    ],
)
async def test_the_status_is_asked_for_at_the_ehr_alone(
    poll: Poll, server: BulkServer, location: str, asked: str
) -> None:
    server.answers = {"$export": [httpx2.Response(202, headers={"content-location": location})]}
    await turn(poll)
    await turn(poll, timedelta(seconds=2))
    assert [one for one in server.calls if "status" in one and "GET" in one] == ([asked] if asked else [])
    assert any("goes nowhere but to the EHR" in one for one in await poll.told(UNREAD)) is not bool(asked)
    assert not [one for one in server.calls if "evil" in one or "inside" in one]


# ── lines and manifests ───────────────────────────────────────────────────────────────────────────────────────────────


async def _parts(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("parts", "lines"),
    [
        ([b'{"a', b'":1}\n{"b":2}', b"\r\n\n", b"c"], [b'{"a":1}', b'{"b":2}\r', b"c"]),
        ([b"12345678901\nab\n"], [None, b"ab"]),
        ([b"123456", b"78901", b"2\nab"], [None, b"ab"]),
        ([b"1234567890\n", b"12345678901"], [b"1234567890", None]),
        ([b"1234567890", b"\n"], [b"1234567890"]),
        ([], []),
    ],
)
async def test_lines_come_out_of_parts_and_one_that_is_too_long_is_skipped(
    parts: list[bytes], lines: list[bytes | None]
) -> None:
    assert [one async for one in split_lines(_parts(*parts), 10)] == lines


async def test_a_line_of_any_length_takes_no_more_memory_than_the_longest_allowed() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(60):
            yield b"x" * 1_000_000
        yield b"\nend\n"

    tracemalloc.start()
    try:
        assert [one async for one in split_lines(endless())] == [None, b"end"]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * LINE_MAX


async def test_a_file_is_read_no_further_than_it_is_worked_on(poll: Poll, server: BulkServer) -> None:
    """Flat memory, however long it is: after so many lines a batch is stored before another one comes."""
    for at in range(400):
        server.add(charge(f"n{at:03}", "10.00"), SINCE + HOUR)
    server.running_for = 0
    await turn(poll)
    ahead: list[int] = []

    def seen(kind: str, number: int) -> None:
        if kind == "ChargeItem":
            ahead.append(number - done[0])

    done = [0]

    async def note() -> None:
        current = await poll.units.read(exports.find, "ehr")
        done[0] = current.line if current else 0

    server.on_line = seen
    for _ in range(12):
        poll.clock.advance(MINUTE)
        (export,) = poll.system.exports("one")
        await _with(export, Units(poll.units, note)).turn()
    assert len(ahead) == 405
    assert max(ahead) <= 201


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[]", ""),
        ("<html>", ""),
        ("{}", "transactionTime"),
        ('{"transactionTime": "2026-11-01"}', "transactionTime"),
        ('{"transactionTime": "2026-11-01T00:00:00Z"}', "requiresAccessToken"),
        ('{"transactionTime": "2026-11-01T00:00:00Z", "requiresAccessToken": true}', "output"),
        (
            '{"transactionTime": "2026-11-01T00:00:00Z", "requiresAccessToken": true, "output": [{"type": "Patient"}]}',
            "output[0].url",
        ),
        (
            '{"transactionTime": "2026-11-01T00:00:00Z", "requiresAccessToken": true, "output": [{"url": "file:///x"}]}',
            "output[0].url",
        ),
    ],
)
def test_what_is_no_manifest_is_told_by_its_place(text: str, place: str) -> None:
    with pytest.raises(MessageInvalid) as caught:
        read_manifest(text)
    assert place in (caught.value.location or "")


def test_a_night_begins_at_its_hour_by_the_clock_there() -> None:
    zone = ZoneInfo("America/New_York")
    assert next_night(datetime(2026, 11, 10, 12, tzinfo=UTC), time(2), zone) == datetime(2026, 11, 11, 7, tzinfo=UTC)
    assert next_night(datetime(2026, 7, 10, 12, tzinfo=UTC), time(2), zone) == datetime(2026, 7, 11, 6, tzinfo=UTC)
    late = datetime(2026, 11, 11, 6, 30, tzinfo=UTC)  # in half an hour: the next night
    assert next_night(late, time(2), zone) == datetime(2026, 11, 12, 7, tzinfo=UTC)
