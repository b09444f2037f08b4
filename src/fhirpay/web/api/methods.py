"""`/api/v1/method-setups` and `/stored-methods`: a method that the payer stores on the processor's page, and consent.

First a setup: the address of a page of the processor. When the payer has been there, the setup's id becomes a stored
method, with the consent to use it. No card number passes through here.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...db.unit import Tx
from ...domain.mandate import MandateState
from ...errors import NotFound, RuleBroken
from ...payments import choice, mandates, stored_methods
from ...payments.port import Method
from ...usecases import bank_codes, collect
from ...usecases.to_page import through_ours
from . import bodies, views
from .deps import Deps, answer_once, json_answer, known, once_of
from .paging import LIMIT, Cursor, Limit, asked
from .payments import account_ref


def methods_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["stored methods"])

    def merchant_of(facility: str | None) -> str:
        """Whose processor keeps the method. Raises RuleBroken where the facility has to be named."""
        here = [one for one in deps.tenant.facilities if facility in (None, one.name)]
        names = {choice.choices(deps.tenant, one, "stored")[0] for one in here}
        if len(names) != 1:
            raise RuleBroken("name the facility whose processor keeps the method", location="facility")
        return names.pop()

    @router.post("/method-setups", status_code=201, openapi_extra=bodies.openapi(bodies.NewSetupBody))
    async def set_up(request: Request) -> Response:
        """The processor's page on which the payer stores a method."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.NewSetupBody, max_bytes=deps.body_max_bytes)
        once = once_of(deps, request, client, raw)
        # Our own address: the client's may say whose account it is.
        back = f"{deps.public_url.rstrip('/')}/api/v1/return/{deps.tenant.name}"

        def make(tx: Tx) -> str:
            merchant_of(body.facility)
            account_ref(tx, body.account)
            return tx.ids.new("set")

        async def answer(setup_id: str) -> tuple[int, dict[str, Any]]:
            merchant = merchant_of(body.facility)
            if body.kind == "bank":
                bank = deps.registry.bank_vault(merchant)
                made = await bank.open_bank_page(setup_id, return_url=back, idempotency_key=setup_id)
            else:
                vault = deps.registry.vault(merchant)
                made = await vault.open_setup_page(setup_id, return_url=back, idempotency_key=setup_id)
            where = {"public_url": deps.public_url, "tenant": deps.tenant.name, "merchant": merchant}
            page = through_ours(made, **where, what="store")
            return 201, {"setup": page.reference, "url": page.url, "expires_at": views.at(page.expires_at)}

        return await answer_once(deps, once, make, answer)

    @router.post("/stored-methods", status_code=201, openapi_extra=bodies.openapi(bodies.NewMethodBody))
    async def keep(request: Request) -> Response:
        """Keep what the payer has stored, with the consent to use it."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.NewMethodBody, max_bytes=deps.body_max_bytes)
        once = once_of(deps, request, client, raw)
        consent = body.consent
        cap = consent.cap.money if consent else None
        if consent:
            bodies.checked_text(consent.text, "consent.text")
        stored: Method | None = None
        merchant = ""
        if await known(deps, once) is None:
            merchant = merchant_of(body.facility)
            stored = await deps.registry.vault(merchant).read_method(body.setup)
            if stored is None:
                raise NotFound("the payer has not stored a method there", location="setup")

        def make(tx: Tx) -> str:
            account = account_ref(tx, body.account)
            if stored is None:
                raise RuleBroken("this request is being answered; send it again")
            if stored.kind == "bank" and (consent is None or consent.sec_code is None):
                raise RuleBroken("a bank account needs the authorization to debit it", location="consent.sec_code")
            kept = stored_methods.keep(tx, stored, account_ref=account, debtor_ref="", merchant=merchant)
            if consent and cap:
                by = f"client:{client.name}"
                agreed = stored_methods.record_consent(
                    tx, kept.method_id, text=consent.text, cap=cap, given_at=None, recorded_by=by
                )
                if stored.kind == "bank" and consent.sec_code:
                    ids = {"consent_id": agreed.consent_id, "processor_ref": stored.mandate}
                    mandates.record(tx, kept.method_id, sec_code=consent.sec_code, **ids)
            collect.act(tx, account, deps.tenant)
            return kept.method_id

        async def answer(method_id: str) -> tuple[int, dict[str, Any]]:
            return 201, await deps.units.read(views.method, method_id)

        return await answer_once(deps, once, make, answer)

    @router.get("/stored-methods")
    async def many(account: str, request: Request, limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """The methods of an account that may be used, newest first."""
        await deps.client(request)

        page = asked(deps, "stored_methods", request, limit, cursor)

        def found(tx: Tx) -> dict[str, Any]:
            of = [one.method_id for one in stored_methods.of_account(tx, account_ref(tx, account))]
            return page.of_all(of, str, lambda id: views.method(tx, id), newest=True)

        return json_answer(await deps.units.read(found))

    @router.get("/stored-methods/{method_id}")
    async def one(method_id: str, request: Request) -> Response:
        await deps.client(request)
        return json_answer(await deps.units.read(views.method, method_id))

    @router.post("/stored-methods/{method_id}/mandate", openapi_extra=bodies.openapi(bodies.MandateBody))
    async def change_mandate(method_id: str, request: Request) -> Response:
        """Make a suspended mandate active again, or note that the payer has revoked it."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.MandateBody, max_bytes=deps.body_max_bytes)

        def make(tx: Tx) -> str:
            account = stored_methods.get(tx, method_id).account_ref
            bank_codes.decided(tx, method_id, MandateState(body.state), by=body.by, why=body.why)
            collect.act(tx, account, deps.tenant)
            return method_id

        async def answer(_: str) -> tuple[int, dict[str, Any]]:
            return 200, await deps.units.read(views.method, method_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.delete("/stored-methods/{method_id}")
    async def remove(method_id: str, request: Request) -> Response:
        """Not to be used any more; the consent ends with it."""
        await deps.client(request)

        def gone(tx: Tx) -> dict[str, Any]:
            account = stored_methods.get(tx, method_id).account_ref
            stored_methods.end(tx, method_id, "removed")
            collect.act(tx, account, deps.tenant)
            return views.method(tx, method_id)

        return json_answer(await deps.units.write(gone))

    return router
