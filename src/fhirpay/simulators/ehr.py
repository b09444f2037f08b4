"""A simulated EHR: a FHIR server of R4, or of R5, written from their definitions, with its own durable book.

Run it with `python -m fhirpay.simulators.ehr --port 8092 --database var/ehr.db --token …`, or give `create_app(…)` to
uvicorn. FHIR base: `/fhir`; beside it `/control/…` for tests and the demo (`ehr_control.py`). What it takes stands in
`ehr_rules.py`, what it does wrong in `ehr_faults.py`. Sections in comments are of hl7.org/fhir/R4/http.html.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx2
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.background import BackgroundTask

from .ehr_capabilities import Switches, capability_statement, offered
from .ehr_clock import Clock, utc_now
from .ehr_control import control
from .ehr_faults import FaultLayer, Faults
from .ehr_json import read, write
from .ehr_mllp import listening
from .ehr_rules import TYPES, Issue, check, references, rewritten, valid_id
from .ehr_store import Many, Stale, Store, Version, new_uuid
from .ehr_subscriptions import Subscriptions

_JSON = "application/fhir+json"
_RESULT = {"_count", "_sort", "_offset", "_format", "_pretty", "_summary"}  # not conditions


class Refused(Exception):
    """An answer other than success, as an OperationOutcome."""

    def __init__(self, status: int, *issues: Issue, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.issues = issues
        self.headers = headers or {}


def _refused(status: int, code: str, says: str, expression: str = "") -> Refused:
    return Refused(status, Issue(code, says, expression))


class Ehr:
    """The FHIR behaviour. Each method is one interaction."""

    def __init__(
        self, store: Store, switches: Switches, faults: Faults, clock: Clock, subscriptions: Subscriptions
    ) -> None:
        self.subscriptions = subscriptions
        self.store = store
        self.switches = switches
        self.faults = faults
        self.clock = clock

    def seed(self, resource: dict[str, Any]) -> None:
        """What the EHR has of its own, such as the practice's Organization. Once."""
        if self.store.read(resource["resourceType"], resource["id"]) is None:
            self.store.update(resource, resource["id"])

    def chart(self, resource: dict[str, Any]) -> tuple[Version, bool]:
        """What happens at the EHR's own screens: stored as is, under the id in it or a new one."""
        checked = self._taken(str(resource.get("resourceType")), write(resource).encode())
        return self.store.update(checked, checked["id"]) if "id" in checked else self.store.create(checked)

    def read(self, kind: str, id: str, version: str = "") -> Version:
        number = int(version) if version.isdigit() else None
        found = self.store.read(kind, id, number) if not version or number else None
        if found is None:
            raise _refused(404, "not-found", f"there is no {kind}/{id}" + (f" version {version}" * bool(version)))
        if found.deleted:  # §read: "410 Gone"
            raise _refused(410, "deleted", f"{kind}/{id} was deleted")
        return found

    def create(self, kind: str, body: bytes, if_none_exist: str | None) -> tuple[Version, bool]:
        resource = self._taken(kind, body)
        criteria = None
        if if_none_exist is not None and self.switches.conditional_create and kind != "Basic":
            criteria = parse_qsl(if_none_exist.lstrip("?"))
            if not criteria:
                raise _refused(400, "invalid", "If-None-Exist has no search parameter")
            if self.faults.takes("match_all", "POST"):
                criteria = []
            if self.faults.takes("forget_if_none_exist"):
                criteria = None
        lag = self.faults.takes("lagging_if_none_exist") if criteria else None
        kept = self._kept(resource)
        return self._conditional(
            lambda: self.store.create(kept, unless=criteria, lag_s=lag.seconds if lag else 0, sent=resource)
        )

    def update(self, kind: str, id: str, body: bytes, if_match: str | None) -> tuple[Version, bool]:
        resource = self._taken(kind, body)
        if resource.get("id") != id:  # §update: "SHALL contain an id element that has an identical value"
            raise _refused(400, "invalid", f"id in the body is not '{id}'", f"{kind}.id")
        if not valid_id(id):
            raise _refused(400, "value", f"'{id}' is not a FHIR id", f"{kind}.id")
        if self.store.read(kind, id) is None:
            if not self.switches.update_create:
                says = "this server gives ids itself: update of what is not there"
                raise _refused(self.switches.update_refusal, "not-supported", says)
            if self.faults.takes("other_id"):
                return self.store.create(self._kept(resource), sent=resource)
        elif not self.switches.update:
            raise _refused(405, "not-supported", "what is there is changed by PATCH here")
        return self._put(kind, id, resource, if_match)

    def patch(self, kind: str, id: str, body: bytes, if_match: str | None) -> Version:
        """JSON Patch (RFC 6902): `test` and `replace` of elements at the top."""
        if not self.switches.patch:
            raise _refused(405, "not-supported", "PATCH is not offered; see /fhir/metadata")
        current = self.read(kind, id)
        resource = dict(current.resource)
        for step in read(b'{"steps":' + body + b"}")["steps"]:
            element = str(step.get("path", "")).removeprefix("/")
            if step.get("op") not in ("test", "replace") or element not in resource:
                raise _refused(422, "processing", f"{step.get('op')} of {element} can't be done here")
            if step["op"] == "test" and resource[element] != step.get("value"):
                raise _refused(422, "processing", f"{element} isn't {step.get('value')}")
            resource[element] = step.get("value")
        return self._put(kind, id, self._taken(kind, write(resource).encode()), if_match)[0]

    def _put(self, kind: str, id: str, resource: dict[str, Any], if_match: str | None) -> tuple[Version, bool]:
        number = _version(if_match) if self.switches.versioning else None
        try:
            return self.store.update(self._kept(resource), id, if_match=number, sent=resource)
        except Stale:
            raise _refused(412, "conflict", f"{kind}/{id} is not at version {number}") from None

    def _kept(self, resource: dict[str, Any]) -> dict[str, Any]:
        return rewritten(resource) if self.faults.takes("rewrite") else resource

    def conditional_update(self, kind: str, body: bytes, query: str, if_match: str | None) -> tuple[Version, bool]:
        if not self.switches.conditional_update or not (criteria := _conditions(query)):
            raise _refused(405, "not-supported", f"PUT {kind} needs an id here")
        resource = self._taken(kind, body)
        current, _ = self._conditional(lambda: (self.store.matching(kind, criteria), False))
        if current is None:
            if resource.get("id"):
                return self.update(kind, resource["id"], body, if_match)
            return self._conditional(lambda: self.store.create(resource, unless=criteria))
        if resource.get("id", current.id) != current.id:
            raise _refused(400, "invalid", f"id in the body is not '{current.id}', which matches", f"{kind}.id")
        return self.update(kind, current.id, write(resource | {"id": current.id}).encode(), if_match)

    def search(self, kind: str, query: str, base: str) -> dict[str, Any]:
        if not self.switches.search:
            raise _refused(405, "not-supported", "this server has no search")
        given = dict(parse_qsl(query))
        if (needed := self.switches.searched_with.get(kind)) and not {needed, "_id"} & given.keys():
            raise _refused(400, "required", f"{kind} is searched by {needed} here")
        lag = self.faults.takes("index_lag")
        try:
            criteria = [] if self.faults.takes("match_all", "GET") else _conditions(query)
            found = self.store.search(kind, criteria, lag_s=lag.seconds if lag else 0)
            count = min(int(given.get("_count", "50")), self.switches.page_max)
            offset = int(given.get("_offset", "0"))
        except ValueError as error:
            raise _refused(400, "not-supported", str(error)) from None
        if given.get("_sort", "").startswith("-"):
            found.reverse()
        links = [{"relation": "self", "url": f"{base}/{kind}?{query}"}]
        if offset + count < len(found):
            rest = re.sub(r"&?_offset=\d+", "", query)
            links.append({"relation": "next", "url": f"{base}/{kind}?{rest}&_offset={offset + count}"})
        page = found[offset : offset + count]
        return _bundle("searchset", len(found), links, [_entry(base, item) for item in page])

    def history(self, kind: str, id: str, base: str) -> dict[str, Any]:
        versions = self.store.history(kind, id)
        if not versions:
            raise _refused(404, "not-found", f"there is no {kind}/{id}")
        links = [{"relation": "self", "url": f"{base}/{kind}/{id}/_history"}]
        return _bundle("history", len(versions), links, [_past(base, item) for item in versions])

    def _conditional(self, act: Any) -> Any:
        try:
            return act()
        except Many:
            raise _refused(412, "multiple-matches", "the condition matches more than one resource") from None
        except ValueError as error:
            raise _refused(400, "not-supported", str(error)) from None

    def _taken(self, kind: str, body: bytes) -> dict[str, Any]:
        """The resource in a body, checked. Raises Refused with every issue."""
        try:
            resource = read(body)
        except ValueError as error:
            raise _refused(400, "structure", f"the body is not JSON: {error}") from None
        if not isinstance(resource, dict) or resource.get("resourceType") != kind:
            raise _refused(400, "invalid", f"the body is not a {kind}", kind)
        if kind == "Subscription" and self.faults.takes("refuse_subscription"):
            raise _refused(422, "not-supported", "this criteria isn't watched here", "Subscription.criteria")
        if issues := check(resource, r5=self.switches.r5):
            semantic = all(issue.code == "business-rule" for issue in issues)
            raise Refused(422 if semantic else 400, *issues)
        if self.switches.references_checked:
            self._check_references(resource)
        return resource

    def _check_references(self, resource: dict[str, Any]) -> None:
        for reference, address in references(resource):
            kind, id = reference.split("/")
            if kind not in TYPES or self.store.read(kind, id) is None:
                raise Refused(422, Issue("not-found", f"{reference} leads nowhere here", address))


def create_app(
    database: Path | str = ":memory:",
    *,
    token: str = "",
    switches: Switches | None = None,
    organization: str = "clinic",
    mllp_port: int | None = None,
    clock: Callable[[], datetime] = utc_now,
    new_id: Callable[[], str] = new_uuid,
    notify: httpx2.AsyncBaseTransport | None = None,
) -> FastAPI:
    """The server as an ASGI application. `app.state.ehr` is its Ehr, `organization` the practice it belongs to.

    With `mllp_port` it also takes HL7v2 messages there (0: any free port, then in `app.state.mllp_port`).
    `clock`, `new_id` (of what it stores under an id of its own) and the network that subscribers are told by (`notify`)
    are the machine's unless given.
    """
    own, faults = Clock(clock), Faults()
    store = Store(database, clock=own.now, new_id=new_id)
    can = switches or Switches()
    ehr = Ehr(store, can, faults, own, Subscriptions(store, can, faults, notify))
    ehr.seed({"resourceType": "Organization", "id": organization, "name": "The practice"})

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.callback(store.close)
            if mllp_port is not None:
                listener = listening("127.0.0.1", mllp_port, store.keep_message)
                app.state.mllp_port = await stack.enter_async_context(listener)
            yield

    app = FastAPI(lifespan=lifespan, openapi_url=None, redirect_slashes=False)
    app.state.ehr = ehr
    app.add_middleware(FaultLayer, faults=faults, clock=own)
    _fhir_routes(app, ehr, token)
    app.include_router(control(ehr))

    @app.exception_handler(Refused)
    async def _outcome(_: Request, error: Refused) -> Response:
        issues = [
            {"severity": "error", "code": i.code, "diagnostics": i.says}
            | ({"expression": [i.expression]} if i.expression else {})
            for i in error.issues
        ]
        body = write({"resourceType": "OperationOutcome", "issue": issues})
        return Response(body, error.status, error.headers, _JSON)

    return app


def _fhir_routes(app: FastAPI, ehr: Ehr, token: str) -> None:
    def admit(request: Request, kind: str = "") -> str:
        """Who calls, in what format, about which type; returns our base address."""
        if token and request.headers.get("authorization") != f"Bearer {token}":
            issue = Issue("login", "a bearer token is needed, and this is not it", "")
            raise Refused(401, issue, headers={"WWW-Authenticate": "Bearer"})
        sent = request.headers.get("content-type", "").split(";")[0]
        writes = request.method in ("POST", "PUT") and not request.url.path.endswith("/_search")
        if writes and sent not in (_JSON, "application/json"):
            raise _refused(415, "not-supported", f"send {_JSON}, not '{sent}'")
        if kind and not offered(kind, ehr.switches):
            raise _refused(404, "not-supported", f"this server has no {kind}")
        if kind == "Basic" and (request.method != "POST" or request.url.path.endswith("/_search")):
            raise _refused(405, "not-supported", "a financial transaction is created, and nothing else")
        return f"{request.base_url}fhir"

    @app.get("/fhir/metadata")
    async def metadata() -> Response:
        return Response(
            write(capability_statement(ehr.switches, boast=ehr.faults.takes("boast") is not None)), media_type=_JSON
        )

    @app.get("/fhir/{kind}")
    async def search(request: Request, kind: str) -> Response:
        base = admit(request, kind)
        return _plain(ehr.search(kind, request.url.query, base))

    @app.post("/fhir/{kind}/_search")
    async def search_by_post(request: Request, kind: str) -> Response:
        base = admit(request, kind)
        query = "&".join(filter(None, [request.url.query, (await request.body()).decode()]))
        return _plain(ehr.search(kind, query, base))

    @app.post("/fhir/{kind}")
    async def create(request: Request, kind: str) -> Response:
        base, body = admit(request, kind), await request.body()
        version, new = ehr.create(kind, body, request.headers.get("if-none-exist"))
        if kind == "Basic":  # as its documentation shows: a Location, and no body
            return Response(status_code=201, headers={"Location": f"{base}/Basic/{version.id}"}, media_type=_JSON)
        return _stored(request, base, version, 201 if new else 200, then=ehr.subscriptions.deliver)

    @app.put("/fhir/{kind}")
    async def conditional_update(request: Request, kind: str) -> Response:
        base, body, if_match = admit(request, kind), await request.body(), request.headers.get("if-match")
        version, new = ehr.conditional_update(kind, body, request.url.query, if_match)
        return _stored(request, base, version, 201 if new else 200, then=ehr.subscriptions.deliver)

    @app.get("/fhir/{kind}/{id}")
    async def read_one(request: Request, kind: str, id: str) -> Response:
        base = admit(request, kind)
        version = ehr.read(kind, id)
        if request.headers.get("if-none-match") == f'W/"{version.version}"':
            return Response(status_code=304)
        return _stored(request, base, version, 200, located=False)

    @app.put("/fhir/{kind}/{id}")
    async def update(request: Request, kind: str, id: str) -> Response:
        base, body, if_match = admit(request, kind), await request.body(), request.headers.get("if-match")
        version, new = ehr.update(kind, id, body, if_match)
        return _stored(request, base, version, 201 if new else 200, then=ehr.subscriptions.deliver)

    @app.patch("/fhir/{kind}/{id}")
    async def patch(request: Request, kind: str, id: str) -> Response:
        base, body = admit(request, kind), await request.body()
        if request.headers.get("content-type", "").split(";")[0] != "application/json-patch+json":
            raise _refused(415, "not-supported", "send application/json-patch+json")
        version = ehr.patch(kind, id, body, request.headers.get("if-match"))
        return _stored(request, base, version, 200, then=ehr.subscriptions.deliver)

    @app.get("/fhir/{kind}/{id}/_history")
    async def history(request: Request, kind: str, id: str) -> Response:
        base = admit(request, kind)
        return _plain(ehr.history(kind, id, base))

    @app.get("/fhir/{kind}/{id}/_history/{version}")
    async def vread(request: Request, kind: str, id: str, version: str) -> Response:
        base = admit(request, kind)
        return _stored(request, base, ehr.read(kind, id, version), 200, located=False)

    @app.api_route("/fhir/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def others(request: Request, rest: str) -> Response:
        admit(request)
        raise _refused(405, "not-supported", f"{request.method} of this address is not offered; see /fhir/metadata")


def _version(if_match: str | None) -> int | None:
    if if_match is None:
        return None
    found = re.fullmatch(r'(?:W/)?"(\d+)"', if_match.strip())
    if not found:
        raise _refused(400, "invalid", 'If-Match is a version such as W/"3"')
    return int(found.group(1))


def _conditions(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in parse_qsl(query) if name not in _RESULT]


def _bundle(kind: str, total: int, links: list[dict[str, str]], entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": kind, "total": total, "link": links}
    return bundle | ({"entry": list(entries)} if entries else {})


def _entry(base: str, item: Version) -> dict[str, Any]:
    return {"fullUrl": f"{base}/{item.type}/{item.id}", "resource": item.resource, "search": {"mode": "match"}}


def _past(base: str, item: Version) -> dict[str, Any]:
    url = item.type if item.method == "POST" else f"{item.type}/{item.id}"
    return {
        "fullUrl": f"{base}/{item.type}/{item.id}",
        "resource": item.resource,
        "request": {"method": item.method, "url": url},
        "response": {"status": "201" if item.version == 1 else "200", "etag": f'W/"{item.version}"'},
    }


def _plain(bundle: dict[str, Any]) -> Response:
    return Response(write(bundle), media_type=_JSON)


def _stored(
    request: Request, base: str, version: Version, status: int, *, located: bool = True, then: Any = None
) -> Response:
    headers = {"ETag": f'W/"{version.version}"'}
    if located:
        headers["Location"] = f"{base}/{version.type}/{version.id}/_history/{version.version}"
    minimal = located and "return=minimal" in request.headers.get("prefer", "")
    task = None if then is None else BackgroundTask(then)
    return Response("" if minimal else version.body, status, headers, _JSON, background=task)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="a simulated EHR")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8092)
    parser.add_argument("--database", default=":memory:")
    parser.add_argument("--token", default="")
    parser.add_argument("--mllp-port", type=int, default=None)
    parser.add_argument("--fhir-version", default=Switches.fhir_version, help="what it speaks, such as 5.0.0")
    given = parser.parse_args(arguments)
    switches = Switches(fhir_version=given.fhir_version)
    app = create_app(given.database, token=given.token, mllp_port=given.mllp_port, switches=switches)
    uvicorn.run(app, host=given.host, port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
