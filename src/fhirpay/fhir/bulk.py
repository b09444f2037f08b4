"""Calls of a bulk data export (FHIR Bulk Data Access 2.0): kick-off, status, files line by line, the end.

Called by usecases/take_export.py; one a connection. Addresses that the server names are its own word: a status address
has to be at the EHR itself, and our token goes nowhere else, whatever a manifest says. What a call means is as in
client.py; a file is read as it comes, so that its size is nobody's concern.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

from ..errors import ConfigInvalid, EhrMisconfigured, MessageInvalid
from ..net.dates import retry_after
from ..net.errors import NeverSent, Uncertain
from ..net.http import HttpClient, Response
from .access import Access, authorized
from .client import EhrRefused, failure
from .json import loads

LINE_MAX = 10_000_000  # bytes: as large as a body that is sent to us
_NDJSON = "application/fhir+ndjson"
_HOSTS_MAX = 8  # other than its own, that files are fetched from


@dataclass(frozen=True, slots=True)
class Running:
    """The server is at work. `again_in` is what it says, None where it doesn't."""

    again_in: timedelta | None
    progress: str


@dataclass(frozen=True, slots=True)
class File:
    """`role` is output, deleted or error; `count` the number of lines, None where it isn't said."""

    role: str
    type: str
    url: str
    count: int | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an export came to: all that had changed by `transaction_time`, by the server's clock."""

    transaction_time: datetime
    needs_token: bool
    files: tuple[File, ...]


class BulkClient:
    """Raises EhrUnavailable, EhrMisconfigured, EhrRefused or Uncertain from every method, as client.py does."""

    def __init__(
        self,
        name: str,
        base_url: str,
        access: Access,
        open_client: Callable[[str], HttpClient],
        *,
        private: bool = False,
    ) -> None:
        """`open_client` makes a client for an address, under the connection's own rules. `access` is the FhirClient's,
        which closes it."""
        self.name = name
        self._base = base_url.rstrip("/")
        self._access = access
        self._open = open_client
        self._private = private
        self._own = open_client(_origin(self._base))
        self._others: dict[str, HttpClient] = {}

    async def kick_off(self, types: Sequence[str], since: datetime, *, group: str = "") -> str:
        """The address of a new export's status. It has no effect there but work: asked twice, it is done twice."""
        url = f"{self._base}/Group/{group}/$export" if group else f"{self._base}/$export"
        moment = since.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        query = {"_outputFormat": _NDJSON, "_type": ",".join(types), "_since": moment}
        headers = {"accept": "application/fhir+json", "prefer": "respond-async"}
        answer = await self._send("GET", _path(url), headers, query)
        if answer.status != 202:
            raise EhrMisconfigured(f"its $export answered {answer.status}, not 202: it has none", connection=self.name)
        if not (location := answer.headers.get("content-location", "")):
            raise EhrMisconfigured("its $export names no Content-Location to ask at", connection=self.name)
        try:
            return self._status_url(_called(urljoin(url, location)))
        except ValueError:
            says = "its $export is to be asked about at what is no address"
            raise EhrMisconfigured(says, connection=self.name) from None

    def _status_url(self, url: str) -> str:
        """On the EHR's own host: another one under the same path is it too, as a proxy hides."""
        if _origin(url) == _origin(self._base):
            return url
        base = urlsplit(self._base).path
        if base and (_path(url) + "/").startswith(base + "/") and ".." not in _path(url):
            return _origin(self._base) + _path(url)
        says = f"its $export is to be asked about at {urlsplit(url).hostname}: our token goes nowhere but to the EHR"
        raise EhrMisconfigured(says, connection=self.name)

    async def status(self, url: str) -> Running | str:
        """What there is of it; once it is complete, the manifest's text. Raises EhrRefused of 404 once it is gone."""
        answer = await self._send("GET", _path(url), {"accept": "application/json"})
        if answer.status == 202:
            return Running(retry_after(answer.headers), answer.headers.get("x-progress", ""))
        if answer.status != 200:
            raise Uncertain(f"the EHR '{self.name}' answered {answer.status} about its export", connection=self.name)
        return answer.body.decode("utf-8", "replace")

    async def delete(self, url: str) -> None:
        """Cancelled, or its files no longer needed. What is gone already is fine."""
        try:
            await self._send("DELETE", _path(url), {"accept": "application/json"})
        except EhrRefused as error:
            if error.status not in (404, 405, 410):
                raise

    async def lines(self, file: File, manifest: Manifest) -> AsyncGenerator[bytes | None]:
        """Each line that isn't empty, as it comes; None for one that is longer than LINE_MAX."""
        http = self._client_for(file, needs_token=manifest.needs_token)
        with_token = manifest.needs_token and http is self._own
        authorization = await self._access.authorization(within_s=http.timeout_s / 2) if with_token else ""
        for last in (False, True):
            headers = {"accept": _NDJSON} | ({"authorization": authorization} if authorization else {})
            try:
                async with http.stream("GET", _path(file.url), headers=headers) as answer:
                    if answer.status == 401 and authorization and not last:
                        authorization = await self._access.renewed(authorization, within_s=http.timeout_s / 2)
                        if authorization:
                            continue
                    if not answer.ok:
                        raise failure(self.name, Response(answer.status, answer.headers))
                    async for line in split_lines(answer.parts):
                        yield line
                    return
            except NeverSent as error:
                raise failure(self.name, error) from None
            except ConfigInvalid as error:  # a name that leads where we may not go
                raise EhrMisconfigured(f"its file can't be fetched: {error.message}", connection=self.name) from None

    def _client_for(self, file: File, *, needs_token: bool) -> HttpClient:
        origin, own = _origin(file.url), _origin(self._base)
        if origin == own:
            return self._own
        host = urlsplit(file.url).hostname
        if needs_token:
            says = f"its file at {host} wants our token, which goes nowhere but to the EHR"
            raise EhrMisconfigured(says, connection=self.name)
        if not origin.startswith("https:") and not self._private:
            raise EhrMisconfigured(f"its file at {host} would come unencrypted", connection=self.name)
        if origin not in self._others:
            if len(self._others) >= _HOSTS_MAX:
                raise EhrMisconfigured(f"its files are at more than {_HOSTS_MAX} other hosts", connection=self.name)
            try:
                self._others[origin] = self._open(origin)
            except ConfigInvalid as error:
                raise EhrMisconfigured(f"its file can't be fetched: {error.message}", connection=self.name) from None
        return self._others[origin]

    async def _send(
        self, method: str, path: str, headers: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> Response:
        http = self._own

        async def call(authorization: str, left: float) -> Response:
            named = {"authorization": authorization} if authorization else {}
            return await http.send(method, path, headers={**headers, **named}, params=query, timeout_s=left)

        try:
            answer = await authorized(self._access, call, timeout_s=http.timeout_s)
        except NeverSent as error:
            raise failure(self.name, error) from None
        if answer.ok:
            return answer
        raise failure(self.name, answer)

    async def aclose(self) -> None:
        for http in (self._own, *self._others.values()):
            await http.aclose()


async def split_lines(parts: AsyncIterable[bytes], line_max: int = LINE_MAX) -> AsyncGenerator[bytes | None]:
    """The lines of what comes in parts, without empty ones. None for one that is too long: no more of it is kept."""
    kept, too_long = bytearray(), False
    async for part in parts:
        start = 0
        while (end := part.find(b"\n", start)) >= 0:
            too_long = too_long or len(kept) + end - start > line_max
            line = None if too_long else bytes(kept) + part[start:end]
            if line is None or line.strip():
                yield line
            kept.clear()
            too_long, start = False, end + 1
        if too_long or len(kept) + len(part) - start > line_max:
            kept.clear()
            too_long = True
        else:
            kept += part[start:]
    if too_long:
        yield None
    elif kept.strip():
        yield bytes(kept)


def read_manifest(text: str) -> Manifest:
    """Raises MessageInvalid with what is missing."""
    doc = loads(text.encode())
    moment = doc.get("transactionTime")
    try:
        at = datetime.fromisoformat(moment) if isinstance(moment, str) else None
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise MessageInvalid("it has no transactionTime that is an instant", location="transactionTime")
    needs = doc.get("requiresAccessToken")
    if not isinstance(needs, bool):
        raise MessageInvalid("it doesn't say whether a token is needed", location="requiresAccessToken")
    if not isinstance(doc.get("output"), list):
        raise MessageInvalid("it has no list of files", location="output")
    files = [
        _file(role, at_index, one)
        for role in ("output", "deleted", "error")
        for at_index, one in enumerate(_listed(doc.get(role)))
    ]
    return Manifest(at.astimezone(UTC), needs, tuple(files))


def _file(role: str, index: int, one: Any) -> File:
    url, kind, count = (one.get(name) if isinstance(one, dict) else None for name in ("url", "type", "count"))
    try:
        url = _called(url) if isinstance(url, str) else ""
    except ValueError:
        url = ""
    if urlsplit(url).scheme not in ("http", "https"):
        raise MessageInvalid("it has no address", location=f"{role}[{index}].url")
    counted = count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
    return File(role, kind if isinstance(kind, str) else "", url, counted)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _called(url: str) -> str:
    """An address that can be called. Raises ValueError for what is none."""
    if not url.isprintable() or " " in url or not urlsplit(url).hostname:
        raise ValueError("this is no address")
    _origin(url)
    return url


def _origin(url: str) -> str:
    parts = urlsplit(url)
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    host = (parts.hostname or "").lower()
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{parts.port}" if parts.port not in (None, standard) else "")


def _path(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
