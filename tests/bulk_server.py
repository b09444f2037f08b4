"""An EHR with a bulk export, written from FHIR Bulk Data Access 2.0 (STU 2), that does wrong what it is told to.

A transport of our HTTP client: nothing is listened at. Bodies come in parts, as over a line. What it was asked is in
`calls`, with whether a token came along.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx2

BASE = "https://93.184.215.14/fhir"
ORIGIN = "https://93.184.215.14"
STORE = "https://93.184.215.15"  # where files may be
TOKEN = "Bearer ehr-token"  # noqa: S105 (of a test)


class Parts(httpx2.AsyncByteStream):
    """A body in parts of a few bytes each; `breaks_after` so many the line is cut."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        self._parts = parts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._parts:
            yield part

    async def aclose(self) -> None:
        pass


@dataclass
class Job:
    """An export that was asked for."""

    query: dict[str, str]
    at: datetime
    looks: int = 0


@dataclass
class BulkServer(httpx2.AsyncBaseTransport):
    clock: Callable[[], datetime]
    resources: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    deleted: list[str] = field(default_factory=list[str])
    errors: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    calls: list[str] = field(default_factory=list[str])
    running_for: int = 2  # looks at the status that say: not yet
    retry_after: str = "30"
    needs_token: bool = True
    files_at: str = f"{ORIGIN}/files"
    status_at: str = f"{ORIGIN}/bulk/status"
    answers: dict[str, list[httpx2.Response]] = field(default_factory=dict[str, list[httpx2.Response]])
    garble: Callable[[str, list[bytes]], list[bytes]] = lambda kind, lines: lines
    counts: bool = True
    shows_until: timedelta = timedelta()  # before its start: it is written from a copy that lags behind
    cut_after: int = 0  # lines of a file, then the line is cut
    on_line: Callable[[str, int], None] = lambda kind, number: None

    def add(self, resource: dict[str, Any], at: datetime, version: int = 1) -> None:
        meta = {"versionId": str(version), "lastUpdated": at.isoformat(timespec="milliseconds")}
        self.resources = [one for one in self.resources if one["id"] != resource["id"]]
        self.resources.append({**resource, "meta": meta})

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url).partition("?")[0]
        query = dict(parse_qsl(request.url.query.decode()))
        token = request.headers.get("authorization") == TOKEN
        self.calls.append(
            f"{request.method} {url.removeprefix(ORIGIN)}" + " with token" * ("authorization" in request.headers)
        )
        for part, answers in self.answers.items():
            if part in url and answers:
                return answers.pop(0)
        own = url.startswith(ORIGIN)
        if own and not token and not url.endswith("/metadata") and (self.needs_token or "/files/" not in url):
            return self._outcome(401, "login")
        if url.endswith("/$export"):
            return self._kick_off(request, query)
        if url.startswith(self.status_at):
            return self._status(request.method, url.rpartition("/")[2])
        if url.startswith(self.files_at):
            job, _, kind = url.removeprefix(f"{self.files_at}/").partition("/")
            return self._file(job, kind)
        if url.endswith("/metadata"):
            return self._json(200, _STATEMENT)
        kind = url.rpartition("/")[2]
        ids = query.get("_id", "").split(",")
        found = [{"resource": one} for one in self.resources if one["resourceType"] == kind and one["id"] in ids]
        return self._json(200, {"resourceType": "Bundle", "type": "searchset", "entry": found})

    def _kick_off(self, request: httpx2.Request, query: dict[str, str]) -> httpx2.Response:
        if request.headers.get("prefer") != "respond-async" or "fhir+json" not in request.headers.get("accept", ""):
            return self._outcome(400, "invalid")
        if query.get("_outputFormat") not in ("application/fhir+ndjson", "application/ndjson", "ndjson"):
            return self._outcome(400, "not-supported")
        name = f"job{len(self.jobs) + 1}"
        self.jobs[name] = Job(query, self.clock())
        return httpx2.Response(202, headers={"content-location": f"{self.status_at}/{name}"})

    def _status(self, method: str, name: str) -> httpx2.Response:
        job = self.jobs.get(name)
        if job is None:
            return self._outcome(404, "not-found")
        if method == "DELETE":
            del self.jobs[name]
            return httpx2.Response(202)
        job.looks += 1
        if job.looks <= self.running_for:
            date = format_datetime(self.clock(), usegmt=True)
            return httpx2.Response(
                202, headers={"x-progress": f"{job.looks}0 %", "retry-after": self.retry_after, "date": date}
            )
        kinds = job.query.get("_type", "").split(",")
        output = [self._entry(name, kind, len(self._of(job, kind))) for kind in reversed(kinds) if self._of(job, kind)]
        manifest: dict[str, Any] = {
            "transactionTime": (job.at - self.shows_until).isoformat(),
            "request": f"{BASE}/$export",
        }
        manifest |= {"requiresAccessToken": self.needs_token, "output": output, "error": []}
        if self.deleted:
            manifest["deleted"] = [self._entry(name, "Bundle", 1)]
        if self.errors:
            manifest["error"] = [self._entry(name, "OperationOutcome", len(self.errors))]
        expires = format_datetime(self.clock() + timedelta(hours=1), usegmt=True)
        return httpx2.Response(200, json=manifest, headers={"expires": expires})

    def _entry(self, job: str, kind: str, count: int) -> dict[str, Any]:
        shown = {"type": kind, "url": f"{self.files_at}/{job}/{kind}"}
        return {**shown, "count": count} if self.counts else shown

    def _of(self, job: Job, kind: str) -> list[dict[str, Any]]:
        since = datetime.fromisoformat(job.query["_since"])
        ours = [one for one in self.resources if one["resourceType"] == kind]
        return [one for one in ours if datetime.fromisoformat(one["meta"]["lastUpdated"]) >= since]

    def _file(self, name: str, kind: str) -> httpx2.Response:
        job = self.jobs.get(name)
        if job is None:
            return self._outcome(404, "not-found")
        if kind == "Bundle":
            entries = [{"request": {"method": "DELETE", "url": one}} for one in self.deleted]
            lines: list[Any] = [{"resourceType": "Bundle", "type": "transaction", "entry": entries}]
        else:
            lines = self.errors if kind == "OperationOutcome" else self._of(job, kind)
        written = self.garble(kind, [json.dumps(one, default=float).encode() for one in lines])

        async def parts() -> AsyncIterator[bytes]:
            for number, line in enumerate(written, 1):
                self.on_line(kind, number)
                for start in range(0, len(line), 1_000_000):
                    yield line[start : start + 1_000_000]
                yield b"\n"
                if number == self.cut_after:
                    raise httpx2.ReadError("cut")

        headers = {"content-type": "application/fhir+ndjson"}
        return httpx2.Response(200, headers=headers, stream=Parts(parts()))

    def _outcome(self, status: int, code: str) -> httpx2.Response:
        issue = {"severity": "error", "code": code, "diagnostics": f"it is {code}"}
        return self._json(status, {"resourceType": "OperationOutcome", "issue": [issue]})

    def _json(self, status: int, body: dict[str, Any]) -> httpx2.Response:
        return httpx2.Response(status, content=json.dumps(body, default=float))


_TYPES = ("Organization", "Patient", "Account", "Coverage", "Encounter", "ChargeItem", "Invoice")
_CODES = [{"code": "read"}, {"code": "search-type"}]
_STATEMENT = {
    "resourceType": "CapabilityStatement",
    "fhirVersion": "4.0.1",
    "rest": [
        {
            "mode": "server",
            "resource": [{"type": kind, "interaction": _CODES} for kind in _TYPES],
            "operation": [
                {"name": "export", "definition": "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/export"}
            ],
        }
    ],
}
