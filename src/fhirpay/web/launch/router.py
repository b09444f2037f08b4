"""`/launch…`: where EHRs open us, where people come back from signing in, and the pages of their sessions.

Thin: cookies and parameters in, one use case, a page. Errors are pages too (problem.py): a sentence, and where it
helps what to do. Every page of a session is below `/launch/at/<session>`, and so is its cookie.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...domain.money import Money
from ...errors import FhirpayError, LaunchRefused, MessageInvalid
from ...smart.launch_store import Session
from ...usecases import launch_chart, launch_pay
from ...usecases.launch import SIGN_IN_LIVES, SignIn
from ..forms import once, read_form
from . import words
from .deps import PATH, Deps
from .pages import go, page, refused


def launch_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix=PATH, include_in_schema=False)

    @router.get("")
    async def launched(request: Request) -> Response:
        """An EHR opens us; without `iss` somebody comes by themselves."""
        asked = _parameters(request)
        if "iss" in asked or "launch" in asked:
            return _to_sign_in(await deps.launches.begin(iss=asked.get("iss", ""), launch=asked.get("launch", "")))
        return page("doors.html", home=deps.home, doors=deps.launches.doors)

    @router.get("/from/{connection}")
    async def alone(connection: str) -> Response:
        """A standalone launch: the patient is chosen at the EHR."""
        return _to_sign_in(await deps.launches.begin_alone(connection))

    def _to_sign_in(begun: SignIn) -> Response:
        response = go(begun.url)
        deps.keep_sign_in(response, begun, int(SIGN_IN_LIVES.total_seconds()))
        return response

    @router.get("/redirect")
    async def back(request: Request) -> Response:
        """Back from the EHR, with a code or with what went wrong."""
        answer = _parameters(request)
        state = answer.get("state", "")
        try:
            opened = await deps.launches.finish(answer, deps.sign_in_of(request, state))
        except FhirpayError as error:
            response = refused(error)
        else:
            response = go(deps.at(opened.session_id))
            deps.keep_session(response, opened)
        if state and deps.sign_in_of(request, state):
            deps.forget_sign_in(response, state)
        return response

    @router.get("/paid")
    async def paid() -> Response:
        """Where a payer ends whom staff gave a link."""
        return page("paid.html")

    # ── a session ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _session(request: Request, session_id: str) -> Session:
        return await deps.sessions.current(session_id, deps.session_of(request))

    def _given(request: Request, session: Session) -> dict[str, Any]:
        """What the pages of a session have in common."""
        return {
            "at": deps.at(session.session_id),
            "words": words,
            "form_token": deps.sessions.form_token(deps.session_of(request)),
            "may_pay": launch_pay.may_pay(session, deps.tenant),
            "form": deps.ids.secret(),
        }

    @router.get("/at/{session_id}")
    async def landing(session_id: str, request: Request) -> Response:
        session = await _session(request, session_id)
        if session.kind == "staff":
            chart = await deps.units.read(launch_chart.chart, session)
            return page("chart.html", chart=chart, **_given(request, session))
        own = await deps.units.read(launch_chart.own, session)
        return page("own.html", own=own, **_given(request, session))

    @router.get("/at/{session_id}/chain/{obligation_id}")
    async def chain(session_id: str, obligation_id: str, request: Request) -> Response:
        session = await _session(request, session_id)
        if session.kind != "staff":
            raise LaunchRefused("This page is for staff.", reason="not-for-you")
        found = await deps.units.read(launch_chart.chain, session, obligation_id)
        return page("chain.html", chain=found, **_given(request, session))

    @router.post("/at/{session_id}/payments")
    async def pay(session_id: str, request: Request) -> Response:
        session = await _session(request, session_id)
        sent = await _sent(request)
        wish = launch_pay.Wish(
            sent.get("account", ""),
            Money.of(sent.get("amount", ""), sent.get("currency", "")),
            sent.get("form", ""),
            deps.base_url + (f"{PATH}/paid" if session.kind == "staff" else f"{PATH}/at/{session_id}"),
        )
        payment_id = await deps.units.write(launch_pay.pay, session, wish, deps.tenant)

        await deps.patience.begun(payment_id)
        return go(f"{deps.at(session_id)}/payments/{payment_id}")

    @router.get("/at/{session_id}/payments/{payment_id}")
    async def payment(session_id: str, payment_id: str, request: Request) -> Response:
        session = await _session(request, session_id)
        found = await deps.units.read(launch_chart.payment, session, payment_id)
        return page("payment.html", paid=found, staff=session.kind == "staff", **_given(request, session))

    @router.post("/at/{session_id}/end")
    async def end(session_id: str, request: Request) -> Response:
        await _sent(request)
        await deps.sessions.end(session_id, deps.session_of(request))
        response = page("ended.html")
        deps.forget_session(response, session_id)
        return response

    async def _sent(request: Request) -> dict[str, str]:
        """A form of ours. Raises LaunchRefused for one that another site made."""
        sent = await read_form(request)
        if sent is None:
            raise MessageInvalid("a form is sent as one")
        deps.sessions.check_form(deps.session_of(request), sent.get("form_token", ""))
        return sent

    return router


def _parameters(request: Request) -> dict[str, str]:
    """Of the address. Raises LaunchRefused where one stands twice: which of the two counts is nobody's to guess."""
    found = once(parse_qsl(request.url.query, keep_blank_values=True))
    if found is None:
        raise LaunchRefused("The address of this page says something twice.", reason="twice")
    return found
