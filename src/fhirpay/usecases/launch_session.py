"""Sessions of those who came from an EHR: still theirs, still vouched for by it. Called by web/launch/ at each request.

A session belongs to the browser with its cookie. It lasts as long as the EHR's token does, and is renewed by the
refresh token where there is one; it ends when that is refused, after `launch_session_min`, when its owner says so, or
when its connection lets no such person in any more.
An EHR that doesn't answer ends nothing: the page is to be had again later.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta

from ..db.unit import Tx, Units
from ..errors import EhrMisconfigured, EhrUnavailable, LaunchRefused, UpstreamUnavailable
from ..log import Log
from ..security.sealed import derived, seal, unseal
from ..smart import launch_store as kept
from ..smart.launch import LaunchClient, Renewed
from ..smart.launch_store import Session
from ..smart.token_store import hashed

log = Log("launch")

_LOOK_AGAIN_S = 0.05


class Sessions:
    """One tenant's. `clients` are by connection."""

    def __init__(self, units: Units, clients: Mapping[str, LaunchClient], *, hash_key: bytes) -> None:
        self._units = units
        self._clients = clients
        self._hash_key = hash_key

    async def current(self, session_id: str, secret: str) -> Session:
        """The session, if it is this browser's and goes on. Raises LaunchRefused, UpstreamUnavailable."""
        one, now = await self._units.read(_read, session_id, secret)
        client = self._clients.get(one.connection)
        if client is None or one.kind not in client.connection.launch_for:  # by the configuration of now
            raise await self._ended(one, "not let in any more")
        if now < one.checked_until:
            return one
        if not one.refresh:
            raise await self._ended(one, "not renewable")
        return await self._renewed(one, client, secret)

    async def end(self, session_id: str, secret: str) -> None:
        """Its owner has done."""
        one, _ = await self._units.read(_read, session_id, secret)
        await self._units.write(kept.end, one.session_id, "by its owner")

    def form_token(self, secret: str) -> str:
        """What a form of this session carries, so that no other page can send one (CSRF)."""
        return derived(self._hash_key, "launch form", secret)

    def check_form(self, secret: str, token: str) -> None:
        """Raises LaunchRefused."""
        if not hmac.compare_digest(self.form_token(secret).encode(), token.encode()):
            raise LaunchRefused("This form wasn't sent from its own page: go back and try again.", reason="form")

    async def _renewed(self, one: Session, client: LaunchClient, secret: str) -> Session:
        """By whoever comes first; the others wait for what came of it."""
        within_s = 3 * client.connection.timeout_s  # the configuration, the token, the keys
        ends = asyncio.get_running_loop().time() + within_s
        while not await self._units.write(kept.claim_renewal, one, timedelta(seconds=within_s)):
            if asyncio.get_running_loop().time() >= ends:
                raise EhrUnavailable(f"'{one.connection}' is being asked whether this session goes on")
            await asyncio.sleep(_LOOK_AGAIN_S)
            again, now = await self._units.read(_read, one.session_id, secret)
            if now < again.checked_until:
                return again
            one = again
        token = unseal(self._hash_key, secret, one.refresh)
        if token is None:  # our hash_key is another one by now
            raise await self._ended(one, "not renewable")
        try:
            renewed = await client.renew(token, subject=one.subject, patient=one.remote_patient)
        except (LaunchRefused, EhrMisconfigured) as error:
            log.info("launch.not_renewed", connection=one.connection, code=error.code)
            raise await self._ended(one, "not renewed") from None
        except UpstreamUnavailable:
            await self._units.write(kept.release, one)
            raise
        await self._units.write(_keep, one, renewed, seal(self._hash_key, secret, renewed.refresh_token))
        return (await self._units.read(_read, one.session_id, secret))[0]

    async def _ended(self, one: Session, why: str) -> LaunchRefused:
        await self._units.write(kept.end, one.session_id, why)
        return _over()


def _over() -> LaunchRefused:
    return LaunchRefused("Your session has ended: open fhirpay again from the EHR.", reason="ended")


def _read(tx: Tx, session_id: str, secret: str) -> tuple[Session, datetime]:
    """Raises LaunchRefused: of somebody else's session no more is said than of one that isn't there."""
    one = kept.session(tx, session_id)
    if one is None or not hmac.compare_digest(one.secret_hash, hashed(secret)):
        raise LaunchRefused("This page is part of a session that isn't yours, or is over.", reason="no-session")
    if one.ended_at is not None or one.ends_at <= tx.now:
        raise _over()
    return one, tx.now


def _keep(tx: Tx, one: Session, renewed: Renewed, refresh: str) -> None:
    lives = one.ends_at - tx.now
    vouched = lives if renewed.lives_s is None else min(lives, timedelta(seconds=renewed.lives_s))
    kept.renew(tx, one, refresh=refresh, checked_until=tx.now + vouched)
