"""Calls to what an EHR names in its smart-configuration, and to its FHIR base. Called by backend.py and launch.py.

Asking for a token twice does nothing twice, so whatever gives no answer is EhrUnavailable: may be tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import urlencode, urlsplit

from ..errors import ConfigInvalid, EhrMisconfigured, EhrUnavailable
from ..net.errors import NeverSent, Uncertain
from ..net.http import HttpClient, Response
from .configuration import PATH


class Endpoints:
    """One connection's. `open_client` makes an HTTP client for an address, under the connection's own rules."""

    def __init__(self, ehr: str, base_url: str, open_client: Callable[[str], HttpClient]) -> None:
        self._ehr = ehr
        self._open = open_client
        self._base = open_client(base_url)
        self._endpoint: HttpClient | None = None

    async def configuration(self) -> Response:
        """The answer, of any status that isn't worth another try. Raises EhrUnavailable, EhrMisconfigured."""
        answer = await self._sent(self._base, "GET", PATH, {"accept": "application/json"})
        if answer.status == 429 or answer.status >= 500:
            raise EhrUnavailable(f"{PATH[1:]} of '{self._ehr}' answered {answer.status}", connection=self._ehr)
        return answer

    async def resource(self, reference: str, authorization: str) -> Response:
        """A read of the EHR's own `Patient/123`."""
        headers = {"accept": "application/fhir+json", "authorization": authorization}
        return await self._sent(self._base, "GET", f"/{reference}", headers)

    async def post(self, url: str, form: Mapping[str, str], *, authorization: str = "") -> Response:
        """To the address exactly as it is named, with its last slash: it may be an assertion's `aud`."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if self._endpoint is None or self._endpoint.base_url != origin:
            if self._endpoint is not None:
                await self._endpoint.aclose()
            self._endpoint = self._open(origin)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"accept": "application/json", "content-type": "application/x-www-form-urlencoded"}
        headers |= {"authorization": authorization} if authorization else {}
        return await self._sent(self._endpoint, "POST", path, headers, urlencode(form).encode())

    async def aclose(self) -> None:
        await self._base.aclose()
        if self._endpoint is not None:
            await self._endpoint.aclose()

    async def _sent(
        self, http: HttpClient, method: str, path: str, headers: Mapping[str, str], form: bytes | None = None
    ) -> Response:
        try:
            return await http.send(method, path, body=form, headers=headers)
        except (NeverSent, Uncertain) as error:
            raise EhrUnavailable(f"no token for '{self._ehr}': {error.message}", connection=self._ehr) from None
        except ConfigInvalid as error:  # a name that leads where we may not go
            raise EhrMisconfigured(f"no token for '{self._ehr}': {error.message}", connection=self._ehr) from None
