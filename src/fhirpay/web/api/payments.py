"""`/api/v1/payments`, `/refunds`, and what is owed. Thin: parse, one use case, show."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response
from pydantic import AwareDatetime

from ...billing import store as obligations
from ...db.unit import Tx
from ...domain.payment import PaymentState
from ...domain.refund import RefundState
from ...errors import NotFound, RuleBroken
from ...fhir import replaced
from ...fhir import store as fhir
from ...payments import lists, store
from ...payments.records import Payment
from ...usecases import capture as capturing
from ...usecases import on_terminal
from ...usecases import refund as refunding
from ...usecases import reverse as reversing
from ...usecases import void as voiding
from ...usecases.start_payment import NewPayment, start
from . import bodies, views
from .deps import Deps, answer_once, json_answer, once_of
from .paging import LIMIT, Cursor, Limit, asked


def account_ref(tx: Tx, said: str) -> str:
    """`Account/ID` or `system|value` as the account that we have, or the one that it was merged into.

    Raises NotFound, RuleBroken for more than one.
    """
    if said.startswith("Account/"):
        if fhir.get(tx, "Account", said.removeprefix("Account/")) is None:
            raise NotFound(f"there is no {said}", location="account")
        return replaced.survivor(tx, said)
    system, bar, value = said.rpartition("|")
    found = replaced.find(tx, "Account", system, value) if bar else []
    if not found:
        raise NotFound("there is no such account; write Account/ID or system|value", location="account")
    if len(found) > 1:
        raise RuleBroken("more than one account has this identifier", location="account")
    return f"Account/{found[0].id}"


def account_of(tx: Tx, body: bodies.SpreadBody) -> str:
    """The one account that is paid on. Raises NotFound, RuleBroken for more than one."""
    if body.account is not None:
        return account_ref(tx, body.account)
    accounts = {obligations.obligation(tx, one).account_ref for one in body.named}
    if len(accounts) > 1:
        raise RuleBroken("these obligations are of several accounts; pay them one account at a time")
    return accounts.pop()


def payments_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["payments"])

    @router.post("/payments", status_code=201, openapi_extra=bodies.openapi(bodies.NewPaymentBody))
    async def take(request: Request) -> Response:
        """Take a payment of what is owed now, by a stored method, on the processor's page, or on a card reader."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.NewPaymentBody, max_bytes=deps.body_max_bytes)
        amount, chosen = body.whole, body.chosen
        back = bodies.checked_url(body.method.hosted.return_url) if body.method.hosted else ""

        def make(tx: Tx) -> str:
            wish = NewPayment(
                account_ref=account_of(tx, body),
                requested_by=f"client:{client.name}",
                amount=amount,
                obligations=body.named,
                spread_by=body.spread,
                chosen=chosen,
                method_id=body.method.stored_method,
                terminal=body.method.terminal or "",
                return_url=back,
                capture=body.capture == "automatic",
                initiated_by="merchant" if body.merchant_initiated else "customer",
                merchant_reason=body.merchant_initiated or "",
            )
            return start(tx, wish, deps.tenant)

        async def answer(payment_id: str) -> tuple[int, dict[str, Any]]:
            await deps.patience.begun(payment_id)
            return 201, await deps.units.read(views.payment, payment_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.post("/payments/{payment_id}/capture", openapi_extra=bodies.openapi(bodies.NewCaptureBody))
    async def capture(payment_id: str, request: Request) -> Response:
        """Take what was authorized, or a part of it: the rest is released."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.NewCaptureBody, max_bytes=deps.body_max_bytes)
        wish = capturing.NewCapture(payment_id, body.amount.money if body.amount else None)

        def make(tx: Tx) -> str:
            capturing.request(tx, wish, deps.registry)
            return payment_id

        return await answer_once(deps, once_of(deps, request, client, raw), make, changed)

    @router.post("/payments/{payment_id}/void", openapi_extra=bodies.openapi(bodies.NewVoidBody))
    async def void(payment_id: str, request: Request) -> Response:
        """End a payment before it settles: release what was authorized, or take the whole capture back."""
        client = await deps.client(request)
        raw, _ = await bodies.read(request, bodies.NewVoidBody, max_bytes=deps.body_max_bytes)

        def make(tx: Tx) -> str:
            voiding.request(tx, payment_id, deps.registry)
            return payment_id

        return await answer_once(deps, once_of(deps, request, client, raw), make, changed)

    @router.post("/payments/{payment_id}/cancel", openapi_extra=bodies.openapi(bodies.NewCancelBody))
    async def cancel(payment_id: str, request: Request) -> Response:
        """Have a card reader stop waiting. The card may be faster: then the answer shows what it has paid."""
        client = await deps.client(request)
        raw, _ = await bodies.read(request, bodies.NewCancelBody, max_bytes=deps.body_max_bytes)

        def make(tx: Tx) -> str:
            on_terminal.cancel(tx, payment_id)
            return payment_id

        return await answer_once(deps, once_of(deps, request, client, raw), make, changed)

    @router.post("/payments/{payment_id}/reverse", openapi_extra=bodies.openapi(bodies.NewReversalBody))
    async def reverse(payment_id: str, request: Request) -> Response:
        """Take a payment back whole: a void while it has not settled, else a refund of all that is left."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.NewReversalBody, max_bytes=deps.body_max_bytes)
        reason = bodies.checked_text(body.reason, "reason")
        wish = reversing.NewReversal(payment_id, reason, f"client:{client.name}")

        def make(tx: Tx) -> str:
            reversing.request(tx, wish, deps.tenant, deps.registry)
            return payment_id

        return await answer_once(deps, once_of(deps, request, client, raw), make, changed)

    async def changed(payment_id: str) -> tuple[int, dict[str, Any]]:
        await deps.patience.until(payment_id, lambda tx: store.open_operation(tx, payment_id) is None)
        return 200, await deps.units.read(views.payment, payment_id)

    @router.get("/payments/{payment_id}")
    async def one(payment_id: str, request: Request) -> Response:
        await deps.client(request)
        return json_answer(await deps.units.read(views.payment, payment_id))

    @router.get("/payments")
    async def many(
        request: Request,
        account: str | None = None,
        state: PaymentState | None = None,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
        limit: Limit = LIMIT,
        cursor: Cursor = "",
    ) -> Response:
        """The payments of an account, or all, oldest first; `since` and `until` are of when they were made."""
        await deps.client(request)
        page = asked(deps, "payments", request, limit, cursor)

        def found(tx: Tx) -> dict[str, Any]:
            ref = None if account is None else account_ref(tx, account)
            wanted = lists.Wanted(ref, None, [str(state)] if state else (), since, until, page.last)
            ids = lists.payments(tx, wanted, page.most)
            return page.answer(ids, lambda id: [id], lambda id: views.payment(tx, id))

        return json_answer(await deps.units.read(found))

    @router.get("/return/{tenant}/{payment_id}", include_in_schema=False)
    async def back(tenant: str, payment_id: str) -> Response:
        """Where the processor's page sends the payer. From here on to the client's own page, which it never learns."""
        payment = await deps.units.read(_returning, tenant, payment_id)
        if payment.return_url:
            return RedirectResponse(payment.return_url, 303)
        return json_answer({"payment": payment.payment_id, "state": str(payment.state)})

    @router.get("/return/{tenant}", include_in_schema=False)
    async def done(tenant: str) -> Response:
        """Where a payer ends who has stored a method."""
        return PlainTextResponse("Thank you. You may close this page.")

    def _returning(tx: Tx, tenant: str, payment_id: str) -> Payment:
        if tenant != deps.tenant.name:
            raise NotFound("there is no such payment")
        return store.get(tx, payment_id)

    return router


def refunds_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["refunds"])

    @router.post("/refunds", status_code=201, openapi_extra=bodies.openapi(bodies.NewRefundBody))
    async def give_back(request: Request) -> Response:
        """Give back the whole payment or a part of it."""
        client = await deps.client(request)
        raw, body = await bodies.read(request, bodies.NewRefundBody, max_bytes=deps.body_max_bytes)
        wish = refunding.NewRefund(
            payment_id=body.payment,
            reason=bodies.checked_text(body.reason, "reason"),
            requested_by=f"client:{client.name}",
            amount=body.amount.money if body.amount else None,
            while_returnable=body.while_returnable,
        )

        def make(tx: Tx) -> str:
            return refunding.request(tx, wish, deps.tenant)

        async def answer(refund_id: str) -> tuple[int, dict[str, Any]]:
            return 201, await deps.units.read(views.refund, refund_id)

        return await answer_once(deps, once_of(deps, request, client, raw), make, answer)

    @router.get("/refunds/{refund_id}")
    async def one(refund_id: str, request: Request) -> Response:
        await deps.client(request)
        return json_answer(await deps.units.read(views.refund, refund_id))

    @router.get("/refunds")
    async def many(
        request: Request,
        payment: str | None = None,
        account: str | None = None,
        state: RefundState | None = None,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
        limit: Limit = LIMIT,
        cursor: Cursor = "",
    ) -> Response:
        """The refunds of a payment, of an account's payments, or all, oldest first."""
        await deps.client(request)
        page = asked(deps, "refunds", request, limit, cursor)

        def found(tx: Tx) -> dict[str, Any]:
            if payment is not None:
                store.get(tx, payment)
            ref = None if account is None else account_ref(tx, account)
            wanted = lists.Wanted(ref, payment, [str(state)] if state else (), since, until, page.last)
            ids = lists.refunds(tx, wanted, page.most)
            return page.answer(ids, lambda id: [id], lambda id: views.refund(tx, id))

        return json_answer(await deps.units.read(found))

    return router


def owed_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["what is owed"])

    @router.get("/accounts/{account_id}/balance")
    async def balance(account_id: str, request: Request) -> Response:
        """What may be asked for now, and what stands to the account's credit."""
        await deps.client(request)
        return json_answer(await deps.units.read(_balance, f"Account/{account_id}"))

    @router.get("/balance")
    async def balance_by_identifier(account: str, request: Request) -> Response:
        """The same, by `account=system|value`."""
        await deps.client(request)
        return json_answer(await deps.units.read(_balance, account))

    @router.get("/obligations")
    async def owed(account: str, request: Request, limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """Every obligation of an account, past ones too, oldest first, each with why it may or may not be asked for."""
        await deps.client(request)
        page = asked(deps, "obligations", request, limit, cursor)

        def found(tx: Tx) -> dict[str, Any]:
            of = obligations.obligations_of(tx, account_ref(tx, account))
            return page.of_all(of, lambda one: one.obligation_id, views.obligation)

        return json_answer(await deps.units.read(found))

    def _balance(tx: Tx, account: str) -> dict[str, Any]:
        return views.balance(tx, account_ref(tx, account))

    return router
