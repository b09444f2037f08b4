"""The server: one address, and which request it is stands in the body (API reference, "API Endpoints").

Order: JSON → the request's name → its schema → authentication → the deed. Answers are JSON behind a byte order mark.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from email.utils import formatdate
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from stripe_server.faults import BrokenAnswer, Fault, Faults

from . import pages, profiles, reporting, schema, transactions
from .books import Books
from .control import control
from .errors import OK, Doc, NotDone, Refused

PATH = "/xml/v1/request.api"
_BOM = b"\xef\xbb\xbf"
Deed = Callable[[Books, Doc], Doc]
# request → (its name for faults, the deed)
DEEDS: Mapping[str, tuple[str, Deed]] = {
    "authenticateTestRequest": ("test", lambda books, request: {"messages": OK}),
    "createTransactionRequest": ("", transactions.create),
    "updateHeldTransactionRequest": ("held", transactions.held),
    "getTransactionDetailsRequest": ("get", reporting.details),
    "getUnsettledTransactionListRequest": ("list", reporting.unsettled),
    "getSettledBatchListRequest": ("batches", reporting.batches),
    "getMerchantDetailsRequest": ("merchant", reporting.merchant),
    "getTransactionListRequest": ("batch", reporting.of_batch),
    "getHostedPaymentPageRequest": ("checkout", pages.payment_page),
    "getHostedProfilePageRequest": ("checkout", pages.profile_page),
    "createCustomerProfileRequest": ("customer", profiles.create),
    "getCustomerProfileRequest": ("method", profiles.get),
    "getCustomerPaymentProfileRequest": ("method", profiles.get_method),
    "deleteCustomerPaymentProfileRequest": ("method", profiles.delete_method),
}
_BY_TYPE = {
    "authCaptureTransaction": "confirm",
    "authOnlyTransaction": "confirm",
    "priorAuthCaptureTransaction": "capture",
    "voidTransaction": "void",
    "refundTransaction": "refund",
}


class Server:
    """One merchant's account in the sandbox: books, faults, keys."""

    def __init__(self, *, login: str, transaction_key: str, clock: Callable[[], float] = time.time) -> None:
        self.books = Books(clock)
        self.faults = Faults()
        self.login = login
        self.transaction_key = transaction_key
        self.late: list[tuple[float, Callable[[], object]]] = []

    def tick(self) -> None:
        """What time alone brings about."""
        due = [one for one in self.late if one[0] <= self.books.now()]
        self.late = [one for one in self.late if one not in due]
        for _, perform in due:
            perform()
        self.books.tick()

    async def answer(self, request: Request) -> Response:
        self.tick()
        try:
            name, asked = _read(await request.body(), request.headers.get("content-type", ""))
            operation = DEEDS[name][0] or _BY_TYPE.get(_type_of(asked), "other")
        except Refused as no:
            return self._json(no.body)
        fault = self.faults.take(operation)
        if early := self._early(fault):
            return early

        def perform() -> Doc:
            return self._perform(name, asked)

        what, seconds = (fault.fault, fault.seconds) if fault else ("", 0)
        if what == "late":
            self.late.append((self.books.now() + seconds, perform))
            return BrokenAnswer()
        if what == "slow":
            await asyncio.sleep(seconds)
        body = perform()
        if what == "hang":
            await asyncio.sleep(seconds)
        if what == "after":
            return Response(status_code=500)
        if what == "lost_answer":
            return BrokenAnswer()
        return self._json(_weird(body) if what == "weird" else body)

    def _perform(self, name: str, asked: Any) -> Doc:
        try:
            request = schema.checked(name, asked)
            self._authenticate(request["merchantAuthentication"])
            return DEEDS[name][1](self.books, request)
        except Refused as no:
            return no.body
        except NotDone as no:  # outside a createTransactionRequest
            return Refused("E00013", str(no)).body

    def _json(self, body: Doc) -> Response:
        told = {"date": formatdate(self.books.now(), usegmt=True)}
        return Response(_BOM + json.dumps(body).encode(), media_type="application/json; charset=utf-8", headers=told)

    def _authenticate(self, given: Doc) -> None:
        """merchantAuthenticationType: name and transactionKey in every request."""
        if not given.get("name"):
            raise Refused("E00006")
        ours = f"{self.login}:{self.transaction_key}"
        if not hmac.compare_digest(f"{given['name']}:{given['transactionKey']}".encode(), ours.encode()):
            raise Refused("E00007")

    def _early(self, fault: Fault | None) -> Response | None:
        name = fault.fault if fault else ""
        if name in ("rate_limited", "locked"):
            return Response(status_code=429)
        if name in ("before", "error500"):  # there are no keys to spoil
            return Response(status_code=500)
        return BrokenAnswer() if name == "lost_request" else None


def _read(raw: bytes, content_type: str) -> tuple[str, Any]:
    """The request's name and content. This look-alike speaks JSON only."""
    if not content_type.startswith("application/json"):
        raise Refused("E00002", "The content-type specified is not supported.")
    try:
        body = json.loads(raw.decode(), parse_float=Decimal)
    except ValueError:
        raise Refused("E00003", "An error occurred while parsing the XML request.") from None
    if not isinstance(body, dict) or len(body) != 1:
        raise Refused("E00003", "There is exactly one root element.")
    name = next(iter(body))
    if name not in DEEDS:
        raise Refused("E00004", "The name of the requested API method is invalid.")
    return name, body[name]


def _type_of(asked: Any) -> str:
    try:
        return str(asked["transactionRequest"]["transactionType"])
    except (KeyError, TypeError):
        return ""


def _weird(body: Doc) -> Doc:
    """What nobody has heard of, wherever a state is said."""
    if "transactionResponse" in body:
        return {**body, "transactionResponse": {**body["transactionResponse"], "responseCode": "9"}}
    if "transaction" in body:
        return {**body, "transaction": {**body["transaction"], "transactionStatus": "quantumSuperposition"}}
    if "transactions" in body:
        strange = [{**one, "transactionStatus": "quantumSuperposition"} for one in body["transactions"]]
        return {**body, "transactions": strange}
    return body


def create_app(server: Server) -> FastAPI:
    """The server as an ASGI app; `server` stays in the caller's hands."""
    app = FastAPI(title="Authorize.Net look-alike", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_api_route(PATH, server.answer, methods=["POST"])
    app.include_router(pages.pages(server))
    app.include_router(control(server))
    return app
