"""What the pages need, built by `wiring`; the cookies of a browser, and where things are."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Request
from fastapi.responses import Response

from ...config import Tenant
from ...db.unit import Units
from ...domain.ids import Ids
from ...smart.token_store import hashed
from ...usecases.launch import Launches, Opened, SignIn
from ...usecases.launch_session import Sessions
from ..patience import Patience

PATH = "/launch"
REDIRECT = f"{PATH}/redirect"


@dataclass(frozen=True, slots=True)
class Deps:
    """One tenant's side of the app. `base_url` is where it is served, as browsers know it."""

    launches: Launches
    sessions: Sessions
    units: Units
    tenant: Tenant
    patience: Patience
    ids: Ids
    base_url: str

    @property
    def home(self) -> str:
        """The path of it all: cookies are bound to paths below it, so that launches side by side don't meet."""
        return urlsplit(self.base_url).path + PATH

    def at(self, session_id: str) -> str:
        return f"{self.home}/at/{session_id}"

    def sign_in_of(self, request: Request, state: str) -> str:
        return request.cookies.get(self._name(_sign_in(state)), "")

    def session_of(self, request: Request) -> str:
        return request.cookies.get(self._name("session"), "")

    def keep_sign_in(self, response: Response, begun: SignIn, lives_s: int) -> None:
        self._set(response, _sign_in(begun.state), begun.browser, self.home + "/redirect", lives_s)

    def forget_sign_in(self, response: Response, state: str) -> None:
        self._set(response, _sign_in(state), "", self.home + "/redirect", 0)

    def keep_session(self, response: Response, opened: Opened) -> None:
        self._set(response, "session", opened.secret, self.at(opened.session_id), int(opened.lives.total_seconds()))

    def forget_session(self, response: Response, session_id: str) -> None:
        self._set(response, "session", "", self.at(session_id), 0)

    def _set(self, response: Response, name: str, value: str, path: str, lives_s: int) -> None:
        # Lax, not Strict: the EHR leads the browser back to us, and a processor's page does.
        response.set_cookie(
            self._name(name), value, lives_s, path=path, secure=self._https, httponly=True, samesite="lax"
        )

    def _name(self, name: str) -> str:
        return f"{'__Secure-' if self._https else ''}fhirpay-{name}"

    @property
    def _https(self) -> bool:
        return self.base_url.startswith("https:")


def _sign_in(state: str) -> str:
    return f"sign-in-{hashed(state)[:16]}"
