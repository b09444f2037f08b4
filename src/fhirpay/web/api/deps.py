"""What the routes need, built by `wiring`; and how a POST is answered once for each Idempotency-Key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from ...config import ApiClient, Tenant
from ...db.unit import Tx, Units
from ...domain.clock import Clock
from ...errors import RequiredMissing
from ...fhir.json import dumps
from ...payments import answers
from ...payments.answers import Kept
from ...payments.registry import Registry
from ...security.blind_index import keyed_hash
from ...smart.callers import Caller
from ...smart.keys import KeyRing
from ...usecases.apply_message import ApplyMessage
from ..patience import Patience

SCOPE = "payments"
STAFF = "staff"  # not in the default scopes: who may take payments may not yet release holds


@dataclass(frozen=True, slots=True)
class Deps:
    """One tenant's side of the API. `require(authorization, scope)` is who calls, or raises NotPermitted."""

    units: Units
    tenant: Tenant
    registry: Registry
    require: Callable[[str | None, str], Awaitable[Caller]]
    clock: Clock
    patience: Patience  # of a POST, for the processor's page or answer
    hash_key: bytes
    public_url: str
    messages: ApplyMessage
    body_max_bytes: int = 1_000_000
    keys: KeyRing | None = None  # what heads of the ledger are signed with

    async def client(self, request: Request, scope: str = SCOPE) -> ApiClient:
        return (await self.require(request.headers.get("authorization"), scope)).client


@dataclass(frozen=True, slots=True)
class Once:
    """A POST under its key."""

    client: str
    key: str
    body_hash: str


def once_of(deps: Deps, request: Request, client: ApiClient, body: bytes) -> Once:
    """Raises RequiredMissing without a usable Idempotency-Key."""
    key = request.headers.get("idempotency-key", "")
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise RequiredMissing(
            "send an Idempotency-Key of 1 to 255 characters: the same key again gets the same answer",
            location="Idempotency-Key",
        )
    named = f"{request.method} {request.url.path}\n".encode()
    return Once(client.name, key, keyed_hash(deps.hash_key, named + body))


async def known(deps: Deps, once: Once) -> Kept | None:
    """What this key has led to already. Raises Conflict when it came with another body."""
    return await deps.units.read(answers.find, once.client, once.key, once.body_hash)


async def answer_once(
    deps: Deps,
    once: Once,
    make: Callable[[Tx], str],
    answer: Callable[[str], Awaitable[tuple[int, dict[str, Any]]]],
) -> Response:
    """Make it once, and give the first answer again for ever. What `make` raises leaves nothing behind."""
    kept = await deps.units.write(_make, once, make)
    if kept.status is None:
        status, body = await answer(kept.subject)
        kept = await deps.units.write(answers.answered, once.client, once.key, status, dumps(body))
    return Response(kept.answer, kept.status or 201, media_type="application/json")


def _make(tx: Tx, once: Once, make: Callable[[Tx], str]) -> Kept:
    before = answers.claim(tx, once.client, once.key, once.body_hash)
    if before is not None:
        return before
    subject = make(tx)
    answers.made(tx, once.client, once.key, subject)
    return Kept(subject, None, None)


def json_answer(body: dict[str, Any], status: int = 200) -> Response:
    """JSON whose amounts keep their digits."""
    return Response(dumps(body), status, media_type="application/json")
