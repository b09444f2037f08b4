"""Somebody comes from an EHR (SMART App Launch 2.2): who it is, about whom, and a session for it. By web/launch/.

    begin    an EHR launch (`iss`, `launch`), or from our own page; the browser gets a cookie and is sent to sign in
    finish   it comes back with a code: `state` is this browser's and unused, the code becomes a token, the token says
             who it is and about which patient, the patient is one of ours, and a session opens

What was drawn for a sign-in follows from its cookie, and nothing of it is kept but hashes. Each refusal is a
LaunchRefused with a sentence for the screen; what a person has to change at the EHR or here goes on the worklist.
In the unit that opens the session the EHR's charges of that visit are asked for, where they are found so (`poll_by`).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn

from ..billing import worklist
from ..config import Connection
from ..config_launch import normal_base
from ..db.unit import Tx, Units
from ..domain.ids import Ids
from ..errors import EhrMisconfigured, LaunchRefused
from ..log import Log
from ..security.sealed import derived, seal
from ..smart import launch_store as kept
from ..smart.launch import LaunchClient, Launched
from ..smart.launch_store import Kind, Session
from ..smart.token_store import hashed
from . import launch_context as context
from . import visits

log = Log("launch")

SHUT = "launch_misconfigured"  # on the worklist; its subject is the connection
SIGN_IN_LIVES = timedelta(minutes=10)
_SECRET_MAX = 200
_LAUNCH_MAX = 4_000
_CODE_MAX = 8_000
_KINDS: Mapping[str, Kind] = {"Practitioner": "staff", "PractitionerRole": "staff", "Patient": "patient"}
# RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6: what an EHR may say instead of a code, and what then helps
_OF_THE_PERSON = {"access_denied", "login_required", "consent_required", "interaction_required"}
_OF_THE_PERSON |= {"account_selection_required"}
_OF_A_MOMENT = {"server_error", "temporarily_unavailable"}
_OF_THE_SETUP = {"invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope"}


@dataclass(frozen=True, slots=True)
class SignIn:
    """Where the browser is sent, and the cookie that makes it the one that may come back."""

    url: str
    state: str
    browser: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """A session, and the secret of its cookie."""

    session_id: str
    secret: str = field(repr=False)
    lives: timedelta


class Launches:
    """One tenant's. `clients` are by connection; `redirect_uri` is registered at each EHR to the letter."""

    def __init__(
        self,
        units: Units,
        clients: Mapping[str, LaunchClient],
        *,
        ids: Ids,
        hash_key: bytes,
        redirect_uri: str,
    ) -> None:
        self._units = units
        self._clients = clients
        self._ids = ids
        self._hash_key = hash_key
        self._redirect_uri = redirect_uri

    @property
    def doors(self) -> tuple[tuple[str, str], ...]:
        """The EHRs that people can sign in at from our own page: name and title."""
        found = (client.connection for client in self._clients.values())
        return tuple((one.name, one.launch_title) for one in found if one.launch_title)

    async def begin(self, *, iss: str, launch: str) -> SignIn:
        """An EHR opens us."""
        base = normal_base(iss)
        client = next((one for one in self._clients.values() if normal_base(one.connection.base_url) == base), None)
        if client is None or not base:
            self._refuse("unknown-iss", "fhirpay isn't set up for the EHR that opened this page.")
        if not launch or len(launch) > _LAUNCH_MAX or not launch.isascii() or not launch.isprintable():
            self._refuse("no-launch", "The EHR opened this page without saying for which chart (`launch`).")
        return await self._begin(client, aud=iss, launch=launch)

    async def begin_alone(self, connection: str) -> SignIn:
        """Somebody comes by our own page; the EHR then asks for the patient, or knows."""
        client = self._clients.get(connection)
        if client is None or not client.connection.launch_title:
            self._refuse("unknown-iss", "Nobody can sign in here by that name.")
        return await self._begin(client, aud=client.connection.base_url, launch="")

    async def finish(self, answer: Mapping[str, str], browser: str) -> Opened:
        """`answer` are the parameters with which the browser was sent back, `browser` its cookie."""
        state = answer.get("state", "")
        if not state or not browser or max(len(state), len(browser)) > _SECRET_MAX:
            self._refuse("state", _STRANGE)
        try:
            client = self._clients.get(await self._units.write(_used, state, browser))
        except LaunchRefused as error:
            self._refuse(error.reason, error.message)
        if client is None:
            self._refuse("unknown-iss", "fhirpay isn't set up for that EHR any more.")
        try:
            launched = await self._launched(client, answer, state, browser)
            opened = await self._opened(client, launched)
        except EhrMisconfigured as error:
            await self._shut(client.connection, error.message)
        except LaunchRefused as error:
            self._refuse(error.reason, error.message)
        return opened

    # ── there ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _begin(self, client: LaunchClient, *, aud: str, launch: str) -> SignIn:
        state, browser = self._ids.secret(), self._ids.secret()
        try:
            url = await client.authorize(
                aud=aud,
                launch=launch,
                state=state,
                nonce=self._drawn("nonce", state, browser),
                verifier=self._drawn("verifier", state, browser),
                redirect_uri=self._redirect_uri,
            )
        except EhrMisconfigured as error:
            await self._shut(client.connection, error.message)
        await self._units.write(kept.begin, state, browser, client.connection.name, SIGN_IN_LIVES)
        return SignIn(url, state, browser)

    def _drawn(self, purpose: str, state: str, browser: str) -> str:
        return derived(self._hash_key, f"launch {purpose}", f"{state} {browser}")

    # ── and back ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _launched(self, client: LaunchClient, answer: Mapping[str, str], state: str, browser: str) -> Launched:
        await client.answered_by(answer.get("iss", ""))
        if error := answer.get("error", ""):
            await self._said_no(client.connection, error)
        code = answer.get("code", "")
        if not code or len(code) > _CODE_MAX:
            raise LaunchRefused("The EHR sent you back without a code to let you in.", reason="no-code")
        return await client.exchange(
            code=code,
            verifier=self._drawn("verifier", state, browser),
            redirect_uri=self._redirect_uri,
            nonce=self._drawn("nonce", state, browser),
        )

    async def _said_no(self, connection: Connection, error: str) -> NoReturn:
        if error in _OF_THE_SETUP:
            says = f"'{connection.name}' answered a launch by {error}: is it registered there as it is configured here?"
            await self._shut(connection, says)
        if error in _OF_THE_PERSON:
            raise LaunchRefused("The EHR didn't let you in, or you chose not to come in.", reason="ehr-declined")
        again = "try again in a moment." if error in _OF_A_MOMENT else "open this again from the EHR."
        raise LaunchRefused(f"The EHR couldn't sign you in: {again}", reason="ehr-error")

    async def _opened(self, client: LaunchClient, launched: Launched) -> Opened:
        connection, who = client.connection, launched.who
        kind = _kind(connection, launched)
        read = self._units.read
        patient_ref = await read(context.by_id, connection, "Patient", launched.patient)
        if patient_ref is None:
            resource = await _resource(client, launched)
            patient_ref = await read(context.by_numbers, connection, resource)
        if patient_ref is None:
            raise LaunchRefused(
                "This patient isn't known here: nothing about them has come from this EHR.", reason="unknown-patient"
            )
        visit = await self._visit(client, launched, patient_ref)
        secret = self._ids.secret()
        refresh = seal(self._hash_key, secret, launched.refresh_token) if launched.refresh_token else ""
        session_id = self._ids.new("ses")

        def opening(tx: Tx) -> timedelta:
            lives = timedelta(minutes=connection.launch_session_min)
            vouched = lives if launched.lives_s is None else min(lives, timedelta(seconds=launched.lives_s))
            session = Session(
                session_id,
                hashed(secret),
                connection.name,
                kind,
                who.fhir_user,
                who.subject,
                launched.patient,
                patient_ref,
                visit,
                bool(launched.encounter),
                refresh,
                checked_until=tx.now + vouched,
                renewed=0,
                ends_at=tx.now + lives,
                ended_at=None,
            )
            kept.open_session(tx, session)
            worklist.settled(tx, SHUT, connection.name)
            if connection.poll_by:
                named = ("Encounter", launched.encounter) if launched.encounter else ("Patient", launched.patient)
                visits.look(tx, connection, *named)
            return lives

        lives = await self._units.write(opening)
        log.info(
            "launch.opened",
            connection=connection.name,
            kind=kind,
            resource_type="Patient",
            resource_id=patient_ref.partition("/")[2],
        )
        return Opened(session_id, secret, lives)

    async def _visit(self, client: LaunchClient, launched: Launched, patient_ref: str) -> str:
        """Ours, of the Encounter in context; empty where there is none, or none of this patient that is known here."""
        if not launched.encounter:
            return ""
        ref = await self._units.read(context.by_id, client.connection, "Encounter", launched.encounter)
        if ref is None and launched.may_read("Encounter"):
            resource = await client.read(launched, "Encounter", launched.encounter)
            if resource is not None:
                ref = await self._units.read(context.by_numbers, client.connection, resource)
        return ref if ref and await self._units.read(context.is_of, ref, patient_ref) else ""

    # ── no ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _refuse(self, reason: str, says: str) -> NoReturn:
        log.info("launch.refused", code=reason)
        raise LaunchRefused(says, reason=reason) from None

    async def _shut(self, connection: Connection, says: str) -> NoReturn:
        def note(tx: Tx) -> None:
            worklist.open_item(tx, kind=SHUT, subject=connection.name, says=says)

        await self._units.write(note)
        log.warning("launch.misconfigured", connection=connection.name)
        raise LaunchRefused(
            "The EHR and fhirpay don't agree on how people come in. Whoever runs fhirpay sees on its worklist why.",
            reason="misconfigured",
        ) from None


_STRANGE = "This sign-in wasn't begun in this browser: open fhirpay again from the EHR."


def _used(tx: Tx, state: str, browser: str) -> str:
    """The connection of the sign-in, used up by this unit. Raises LaunchRefused."""
    begun = kept.find(tx, state)
    if begun is None or not hmac.compare_digest(begun.browser_hash, hashed(browser)):
        raise LaunchRefused(_STRANGE, reason="state")
    if begun.used or not kept.use(tx, state):
        raise LaunchRefused("This sign-in was used already: open fhirpay again from the EHR.", reason="replayed")
    if begun.expires_at <= tx.now:
        raise LaunchRefused("This sign-in took too long: open fhirpay again from the EHR.", reason="late")
    return begun.connection


def _kind(connection: Connection, launched: Launched) -> Kind:
    who = launched.who
    if not who.fhir_user:
        raise LaunchRefused("The EHR doesn't say who you are to it (fhirUser).", reason="no-fhir-user")
    kind = _KINDS.get(who.type)
    if kind is None or kind not in connection.launch_for:
        whom = " and ".join(f"{one}s" if one == "patient" else one for one in connection.launch_for)
        raise LaunchRefused(f"From this EHR, fhirpay is open to {whom or 'nobody'} only.", reason="not-for-you")
    if kind == "patient" and who.fhir_user != f"Patient/{launched.patient}":
        raise LaunchRefused(
            "You opened this for somebody else. Here you see what you owe yourself: open it for yourself.",
            reason="not-own",
        )
    return kind


async def _resource(client: LaunchClient, launched: Launched) -> dict[str, Any]:
    """The Patient in context, as the EHR has it."""
    if not launched.may_read("Patient"):
        raise LaunchRefused("The EHR lets us in, but not see whom this is about (patient/Patient.r).", reason="scope")
    found = await client.read(launched, "Patient", launched.patient)
    if found is None:
        raise LaunchRefused("The EHR doesn't show us the patient whom this is about.", reason="unread")
    return found
