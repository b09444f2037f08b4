"""We as the app that an EHR launches (SMART App Launch 2.2, app-launch): authorization code with PKCE, at a connection.

    authorize  where the browser is sent to sign in: response_type=code, state, nonce, aud, code_challenge by S256
    exchange   the code that comes back for tokens, and who it is and about whom: all of it checked
    renew      whether the EHR still vouches for them

Nothing is stored here and no unit is open during a call: usecases/launch.py does both sides of it. Codes, tokens,
verifiers, secrets and assertions are in no log line and in no error. Made by `wiring`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from authlib.common.urls import add_params_to_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from ..config import Connection
from ..domain.clock import Clock
from ..domain.ids import Ids
from ..errors import ConfigInvalid, EhrMisconfigured, LaunchRefused, MessageInvalid
from ..fhir.json import loads
from ..log import Log
from ..net.http import HttpClient, Response
from .asking import OF_A_LAUNCH, granted_in, needed_at_launch
from .client_auth import assertion, basic
from .configuration import PATH
from .endpoints import Endpoints
from .id_token import Who, read_id_token
from .key_sets import RemoteKeys
from .keys import KeyRing
from .launch_configuration import LaunchConfiguration, read_launch_configuration
from .scopes import Scope
from .token import clocks_differ, read_answer, refusal, skew_s

log = Log("smart")

IN_CONTEXT = ("Patient", "Encounter")  # what may have to be read, to know whom of ours a launch is about
_KNOWN_FOR_S = 3600.0  # a smart-configuration
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")
_OF_CLOCKS = ("id-token-exp", "id-token-iat", "id-token-nbf")


@dataclass(frozen=True, slots=True)
class Launched:
    """What the EHR said. `patient` and `encounter` are its own ids; `encounter` may be empty."""

    who: Who
    patient: str
    encounter: str
    granted: tuple[Scope, ...]
    lives_s: int | None
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)

    def may_read(self, resource_type: str) -> bool:
        return any(one.type in ("*", resource_type) and "r" in one.letters for one in self.granted)


@dataclass(frozen=True, slots=True)
class Renewed:
    """`refresh_token` is the one to use next time."""

    lives_s: int | None
    refresh_token: str = field(repr=False)


class LaunchClient:
    """Raises LaunchRefused with a sentence for the screen, EhrUnavailable when it may do later, EhrMisconfigured for
    what a person has to change, there or here."""

    def __init__(
        self,
        connection: Connection,
        *,
        keys: KeyRing,
        clock: Clock,
        ids: Ids,
        open_client: Callable[[str], HttpClient],
    ) -> None:
        """Raises ConfigInvalid for scopes that a launch can't have."""
        for one in connection.launch_scopes:
            if "/" in one and one != "launch/encounter" and Scope.parse(one, OF_A_LAUNCH) is None:
                raise ConfigInvalid(
                    f"connection '{connection.name}': '{one[:80]}' is no scope of a launch; write one such as "
                    "patient/Patient.r (v2) or patient/Patient.read (v1)"
                )
        self.connection = connection
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._open = open_client
        self._endpoints = Endpoints(connection.name, connection.base_url, open_client)
        self._known: tuple[float, LaunchConfiguration] | None = None
        self._issuer: tuple[str, RemoteKeys] | None = None

    async def authorize(
        self, *, aud: str, launch: str, state: str, nonce: str, verifier: str, redirect_uri: str
    ) -> str:
        """Where the browser goes. `aud` is the FHIR base; an empty `launch`: a standalone one."""
        configuration = await self.configuration()
        asked = {
            "response_type": "code",
            "client_id": self.connection.launch_client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._scopes(configuration, launch)),
            "state": state,
            "aud": aud,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
        }
        asked |= {"launch": launch} if launch else {}
        return add_params_to_uri(configuration.authorize_url, list(asked.items()))

    async def answered_by(self, issuer: str) -> None:
        """Whether an answer is of the server that was asked, where it names one (RFC 9207): `issuer` is its `iss`."""
        configuration = await self.configuration()
        if issuer != configuration.issuer and (issuer or configuration.names_itself):
            raise LaunchRefused(
                "The answer is of another server than the one that you were sent to.", reason="other-issuer"
            )

    async def exchange(self, *, code: str, verifier: str, redirect_uri: str, nonce: str) -> Launched:
        """A code is good once: whatever goes wrong here, the person launches again."""
        configuration = await self.configuration()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri}
        answer = await self._asked(configuration, form | {"code_verifier": verifier})
        read = read_answer(answer, ehr=self.connection.name, needs_life=False)
        who = await self._who(configuration, answer, read.doc, nonce=nonce)
        patient, encounter = read.doc.get("patient"), read.doc.get("encounter")
        if not isinstance(patient, str) or not _ID.match(patient):
            raise LaunchRefused(
                "The EHR didn't say which patient this is about: open it from a patient's chart.", reason="no-patient"
            )
        return Launched(
            who,
            patient,
            encounter if isinstance(encounter, str) and _ID.match(encounter) else "",
            granted_in(read.scope, OF_A_LAUNCH),
            read.lives_s,
            read.value,
            _text(read.doc, "refresh_token"),
        )

    async def renew(self, refresh_token: str, *, subject: str, patient: str) -> Renewed:
        """LaunchRefused here means that the EHR vouches no more, or for somebody else."""
        configuration = await self.configuration()
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        answer = await self._asked(configuration, form)
        read = read_answer(answer, ehr=self.connection.name, needs_life=False, needs_scope=False)
        if "id_token" in read.doc:
            await self._who(configuration, answer, read.doc, subject=subject)
        if read.doc.get("patient", patient) != patient:
            raise LaunchRefused("The EHR speaks of another patient now.", reason="other-patient")
        return Renewed(read.lives_s, _text(read.doc, "refresh_token") or refresh_token)

    async def read(self, launched: Launched, resource_type: str, id: str) -> dict[str, Any] | None:
        """The EHR's own resource; None where it doesn't give it to this person."""
        answer = await self._endpoints.resource(f"{resource_type}/{id}", f"Bearer {launched.access_token}")
        if not answer.ok:
            log.info(
                "launch.unread", connection=self.connection.name, resource_type=resource_type, status=answer.status
            )
            return None
        try:
            found = loads(answer.body)
        except MessageInvalid:
            return None
        return found if (found.get("resourceType"), found.get("id")) == (resource_type, id) else None

    async def configuration(self) -> LaunchConfiguration:
        """What it says of itself, read again after an hour."""
        now = asyncio.get_running_loop().time()
        if self._known is not None and now < self._known[0] + _KNOWN_FOR_S:
            return self._known[1]
        name = self.connection.name
        answer = await self._endpoints.configuration()
        try:
            private, auth = self.connection.private_network, self.connection.launch_auth
            found = read_launch_configuration(answer, private=private, auth=auth)
        except MessageInvalid as error:
            raise EhrMisconfigured(f"{PATH[1:]} of '{name}': {error.message}", connection=name) from None
        pinned = self.connection.token_endpoint
        if pinned and found.token_url != pinned:
            says = f"{PATH[1:]} of '{name}' names another token endpoint than the connection's token_endpoint"
            raise EhrMisconfigured(f"{says}: ask the EHR before you change it", connection=name)
        self._known = (now, found)
        return found

    async def aclose(self) -> None:
        await self._endpoints.aclose()
        if self._issuer is not None:
            await self._issuer[1].aclose()

    def _scopes(self, configuration: LaunchConfiguration, launch: str) -> tuple[str, ...]:
        more = self.connection.launch_scopes
        if not more:
            more = needed_at_launch(IN_CONTEXT, v2=configuration.v2)
            more += ("online_access",) if "permission-online" in configuration.capabilities else ()
        return ("launch" if launch else "launch/patient", "openid", "fhirUser", *more)

    async def _asked(self, configuration: LaunchConfiguration, form: dict[str, str]) -> Response:
        """The answer to a token request, if it is a success."""
        connection, kid, authorization = self.connection, "", ""
        now = self._clock.now()
        match connection.launch_auth:
            case "public":
                form = form | {"client_id": connection.launch_client_id}
            case "client_secret_basic":
                authorization = basic(connection.launch_client_id, connection.launch_client_secret)
            case "private_key_jwt":
                try:
                    key = self._keys.signing(now, configuration.algorithms)
                except ConfigInvalid as error:
                    says = f"'{connection.name}': {error.message}"
                    raise EhrMisconfigured(says, connection=connection.name) from None
                jti, kid = self._ids.secret(), key.kid
                form = form | assertion(key, connection.launch_client_id, configuration.token_url, now=now, jti=jti)
        answer = await self._endpoints.post(configuration.token_url, form, authorization=authorization)
        if not answer.ok:
            self._refused(answer, kid)
        return answer

    def _refused(self, answer: Response, kid: str) -> NoReturn:
        name, client_id = self.connection.name, self.connection.launch_client_id
        error = refusal(answer, ehr=name, client_id=client_id, kid=kid, now=self._clock.now())
        if error.ids.get("error") == "invalid_grant":
            raise LaunchRefused(
                "The EHR takes this sign-in no more: it was used already, or it ran out.", reason="invalid-grant"
            )
        self._known = None  # it may have moved
        raise error

    async def _who(
        self,
        configuration: LaunchConfiguration,
        answer: Response,
        doc: Mapping[str, Any],
        *,
        nonce: str | None = None,
        subject: str | None = None,
    ) -> Who:
        now = self._clock.now()
        try:
            return await read_id_token(
                doc.get("id_token"),
                await self._keys_of(configuration.jwks_url),
                issuer=configuration.issuer,
                client_id=self.connection.launch_client_id,
                base_url=self.connection.base_url,
                now=now,
                nonce=nonce,
                subject=subject,
            )
        except LaunchRefused as error:
            words = clocks_differ(skew_s(answer.headers, now)) if error.reason in _OF_CLOCKS else ""
            if words:
                raise LaunchRefused(f"{error.message} {words[0].upper()}{words[1:]}.", reason=error.reason) from None
            raise

    async def _keys_of(self, url: str) -> RemoteKeys:
        if self._issuer is None or self._issuer[0] != url:
            if self._issuer is not None:
                await self._issuer[1].aclose()
            self._issuer = (url, RemoteKeys(self._open(url), self._clock.now))
        return self._issuer[1]


def _text(doc: Mapping[str, Any], name: str) -> str:
    found = doc.get(name)
    return found if isinstance(found, str) else ""
