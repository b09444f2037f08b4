"""Calls to a FHIR server of somebody else. Called by usecases that write back or poll; one client a connection.

Bodies keep their digits (json.py). What an answer means: 2xx is done; 429, and 503 with Retry-After, were refused
unprocessed (`EhrUnavailable`, retry is safe), and so is 401: once with another token, where there is one, else while
our token is mended; other 4xx are `EhrRefused` with the words of the OperationOutcome; everything else, and no answer,
is `Uncertain`: it may have happened. A 201 that names nobody is done too: it is a Remote without id. Only GETs are
tried again here; what to do about the rest is the caller's decision. Whatever a token takes, one call takes no longer
than the client's time limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_exponential

from ..errors import EhrMisconfigured, EhrUnavailable, MessageInvalid, RuleBroken
from ..net.errors import AnswerTooLarge, NeverSent, Uncertain
from ..net.http import HttpClient, Response
from .access import Access, FixedToken, authorized
from .json import loads
from .loose import objects, text
from .pages import Page, failed, is_error, next_of, read_page, split_link
from .statement import Capability, FhirVersion, Statement, name_of, read_statement

_JSON = "application/fhir+json"
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}\Z")
_JSON_PATCH = "application/json-patch+json"
_LOCATION = re.compile(r"/([A-Za-z0-9.-]{1,64})(?:/_history/([A-Za-z0-9.-]{1,64}))?/?\Z")
_WORDS_MAX = 500


class EhrRefused(RuleBroken):
    """The EHR understood and said no; nothing was stored. The message holds its words."""

    code = "ehr-refused"

    def __init__(self, message: str, *, status: int, **ids: str) -> None:
        super().__init__(message, **ids)
        self.status = status


@dataclass(frozen=True, slots=True)
class Remote:
    """A resource as the server has it. `resource` is empty when the answer had no body, `id` when it named nobody."""

    type: str
    id: str
    version: str
    resource: Mapping[str, Any]
    new: bool = False  # the answer was a 201


@dataclass(frozen=True, slots=True)
class Matches:
    """What a search found; not `complete`: there is more that we didn't get to see."""

    found: tuple[Remote, ...]
    complete: bool


class FhirClient:
    """A FHIR server. Raises EhrUnavailable, EhrRefused or Uncertain (see above) from every method."""

    def __init__(
        self,
        name: str,
        http: HttpClient,
        access: Access | None = None,
        *,
        version: FhirVersion | None = None,
        retry_wait_s: float = 0.2,
    ) -> None:
        """`version` is what was agreed; None: whatever of those that we know."""
        self.name = name
        self._http = http
        self._access = access or FixedToken()
        self._agreed = version
        self._retry_wait_s = retry_wait_s
        self._statement: Statement | None = None

    async def statement(self) -> Statement:
        """Its CapabilityStatement, which is read once; `forget` makes the next call read it again."""
        if self._statement is None:
            answer = await self._get("/metadata")
            try:
                self._statement = read_statement(answer.body)
            except MessageInvalid as error:
                raise Uncertain(
                    f"the EHR '{self.name}' doesn't say what it can do: {error}", connection=self.name
                ) from None
        return self._statement

    async def capability(self, resource_type: str) -> Capability:
        """What it offers, as far as our scopes let us. Raises EhrMisconfigured for a FHIR version that isn't meant."""
        statement = await self.statement()
        self._agreed_version(statement)
        return statement.of(resource_type).within(self._access.granted(resource_type))

    async def version(self) -> FhirVersion:
        """In which it is written to: as it states, else as agreed. Raises EhrMisconfigured for one that isn't meant."""
        return self._agreed_version(await self.statement())

    def _agreed_version(self, statement: Statement) -> FhirVersion:
        said = f"the EHR '{self.name}' speaks FHIR {name_of(statement.stated) or 'of no stated version'}"
        version = statement.version or (None if statement.stated else self._agreed)
        if version is None:
            hint = "set fhir_version, where you know it" if not statement.stated else "we speak R4, R4B and R5"
            raise EhrMisconfigured(f"{said}: {hint}", connection=self.name)
        if self._agreed not in (None, version):
            raise EhrMisconfigured(f"{said}, and fhir_version says {self._agreed}", connection=self.name)
        return version

    def forget(self) -> None:
        self._statement = None

    async def read(self, resource_type: str, id: str) -> Remote | None:
        """The current version, or None where there was never one. One that was deleted is an EhrRefused of 410."""
        answer = await self._get(f"/{resource_type}/{id}", absent=(404,))
        if answer is None:
            return None
        found = self._remote(resource_type, answer, id)
        if not found.resource:
            says = f"the EHR '{self.name}' answered a read by no {resource_type}: {_words(answer.body)}"
            raise Uncertain(says, connection=self.name)
        return found

    async def search(self, resource_type: str, params: Mapping[str, str], *, pages_max: int = 20) -> Matches:
        """All matches, page after page, up to a bound."""
        found: list[Remote] = []
        path, query = f"/{resource_type}", list(params.items())
        seen: set[str] = set()
        for _ in range(pages_max):
            bundle = self._searchset(await self._get(path, params=query))
            found += [
                Remote(resource_type, _id_in(one), _version_in(one), one)
                for entry in objects(bundle.get("entry"))
                if isinstance(one := entry.get("resource"), dict) and one.get("resourceType") == resource_type
            ]
            following, astray = next_of(bundle, self._http.base_url)
            if following is None and not astray:
                return Matches(tuple(found), complete=True)
            if following is None or following in seen:
                break  # its pages lead elsewhere, or go round in a circle
            seen.add(following)
            path, query = split_link(following)
        return Matches(tuple(found), complete=False)

    async def page(self, resource_type: str, params: Mapping[str, str], *, link: str = "") -> Page:
        """One page of a search: the first one, or the one that `link` names, which came from a page before.

        Raises Uncertain for what is no searchset, AnswerTooLarge for one that is too long.
        """
        path, query = split_link(link) if link else (f"/{resource_type}", list(params.items()))
        answer = await self._get(path, params=query)
        return read_page(self._searchset(answer), resource_type, answer.headers, self._http.base_url)

    def _searchset(self, answer: Response) -> dict[str, Any]:
        """Raises Uncertain for what shows less than there is: "nothing was found" is a reason to make a second one."""
        bundle = self._body(answer)
        if bundle.get("resourceType") != "Bundle":
            says = f"the EHR '{self.name}' answered a search by no Bundle: {_words(answer.body)}"
            raise Uncertain(says, connection=self.name)
        if (outcome := failed(bundle)) is not None:
            says = f"the EHR '{self.name}' answered a search by an error: {_said(outcome)}"
            raise Uncertain(says, connection=self.name)
        return bundle

    async def create(self, resource_type: str, body: str, *, if_none_exist: str = "") -> Remote:
        """The new resource; with `if_none_exist`, the one that matches it, when there is one."""
        headers = {"if-none-exist": if_none_exist} if if_none_exist else {}
        answer = await self._send("POST", f"/{resource_type}", body=body, headers=headers)
        return self._remote(resource_type, answer, "")

    async def update(self, resource_type: str, id: str, body: str, *, if_match: str = "") -> Remote:
        """The resource at `id`, made where it wasn't there. `if_match` is the version that may be replaced."""
        headers = {"if-match": f'W/"{if_match}"'} if if_match else {}
        answer = await self._send("PUT", f"/{resource_type}/{id}", body=body, headers=headers)
        return self._remote(resource_type, answer, id)

    async def patch(self, resource_type: str, id: str, body: str, *, if_match: str) -> Remote:
        """The resource at `id`, changed by a JSON Patch; `if_match` is the version that may be changed."""
        headers = {"if-match": f'W/"{if_match}"', "content-type": _JSON_PATCH}
        answer = await self._send("PATCH", f"/{resource_type}/{id}", body=body, headers=headers)
        return self._remote(resource_type, answer, id)

    async def aclose(self) -> None:
        await self._access.aclose()
        await self._http.aclose()

    async def _get(self, path: str, *, absent: tuple[int, ...] = (), **more: Any) -> Any:
        """A GET, at most three times: it has no effect, so trying again is safe. None for a status in `absent`."""
        attempts = AsyncRetrying(
            stop=stop_after_attempt(3),
            wait=wait_exponential(multiplier=self._retry_wait_s, max=2),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        return await attempts(self._send, "GET", path, absent=absent, **more)

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: str | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None,
        absent: tuple[int, ...] = (),
    ) -> Response | None:
        sent = {"accept": _JSON, **({"content-type": _JSON} if body is not None else {}), **(headers or {})}
        content = None if body is None else body.encode()

        async def call(authorization: str, left: float) -> Response:
            named = {"authorization": authorization} if authorization else {}
            return await self._http.send(
                method, path, body=content, headers=sent | named, params=params, timeout_s=left
            )

        try:
            answer = await authorized(self._access, call, timeout_s=self._http.timeout_s)
        except NeverSent as error:
            raise failure(self.name, error) from None
        if answer.ok:
            return answer
        if answer.status in absent:
            return None
        raise failure(self.name, answer)

    def _body(self, answer: Response) -> dict[str, Any]:
        try:
            return loads(answer.body)
        except MessageInvalid as error:
            raise Uncertain(f"the EHR '{self.name}' sent what is not FHIR: {error}", connection=self.name) from None

    def _remote(self, resource_type: str, answer: Response | None, id: str) -> Remote:
        """Who it is now: by the body, else by Location and ETag (a server may answer without a body)."""
        assert answer is not None
        resource = self._body(answer) if answer.body.strip() else {}
        if is_error(resource):
            raise Uncertain(f"the EHR '{self.name}' answered {answer.status}: {_said(resource)}", connection=self.name)
        if resource.get("resourceType") != resource_type:
            resource = {}
        located = _LOCATION.search(answer.headers.get("location", ""))
        found = _id_in(resource) or (located.group(1) if located else "") or id
        if not found and answer.status != 201:
            raise Uncertain(f"the EHR '{self.name}' answered and doesn't say about what", connection=self.name)
        tag = re.search(r'"(.+)"', answer.headers.get("etag", ""))
        version = _version_in(resource) or (located.group(2) or "" if located else "") or (tag.group(1) if tag else "")
        return Remote(resource_type, found, version, resource, new=answer.status == 201)


def failure(name: str, answer: Response | NeverSent) -> EhrUnavailable | EhrRefused | Uncertain:
    """What an answer of the EHR `name` means that is none of success, or that there was none."""
    if isinstance(answer, NeverSent):
        return EhrUnavailable(answer.message, connection=name)
    status = answer.status
    said = f"the EHR '{name}' answered {status}"
    if status == 401:
        return EhrMisconfigured(f"{said}: it doesn't accept our token", connection=name)
    if status == 429 or (status == 503 and "retry-after" in answer.headers):
        return EhrUnavailable(f"{said}: not now", retry_after_s=answer.retry_after_s, connection=name)
    if 400 <= status < 500 and status != 408:
        return EhrRefused(f"{said}: {_words(answer.body)}", status=status, connection=name)
    return Uncertain(said, connection=name)


def _may_pass(error: BaseException) -> bool:
    """Not what a person has to mend, what would be as long again, or who has said how long to wait."""
    if isinstance(error, EhrMisconfigured | AnswerTooLarge):
        return False
    return isinstance(error, Uncertain) or (isinstance(error, EhrUnavailable) and not error.retry_after_s)


def _version_in(resource: Mapping[str, Any]) -> str:
    meta = resource.get("meta")
    return text(meta.get("versionId")) if isinstance(meta, dict) else ""


def _id_in(resource: Mapping[str, Any]) -> str:
    """Its id; nothing where it has none that FHIR allows: it becomes part of an address."""
    id = text(resource.get("id"))
    return id if _ID.match(id) else ""


def _words(body: bytes) -> str:
    """What an OperationOutcome says, for the person who reads why it was refused."""
    try:
        return _said(loads(body))
    except MessageInvalid:
        return "no OperationOutcome"


def _said(outcome: Mapping[str, Any]) -> str:
    said: list[str] = []
    for issue in objects(outcome.get("issue")):
        details = issue.get("details")
        stated = (details.get("text") if isinstance(details, dict) else "", issue.get("diagnostics"), issue.get("code"))
        says = next(filter(None, map(text, stated)), "")
        places = issue.get("expression") or issue.get("location")
        where = ", ".join(map(text, places)) if isinstance(places, list) else ""
        said.append(f"{where}: {says}" if where else says)
    return "; ".join(said)[:_WORDS_MAX] or "no OperationOutcome"
