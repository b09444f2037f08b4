"""Authorize.Net's own SDK (npm `authorizenet`) drives the look-alike through every flow that the adapter uses.

A second witness of the server: which element comes where, what an answer is called and how it is nested stands in the
SDK's classes, which nobody here wrote. What goes in is given in another order than the schema's; the SDK puts it right.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from authorizenet_running import LOGIN, TOKENS, TRANSACTION_KEY, Running, running_authorizenet
from authorizenet_server.app import PATH
from node_running import Node, needs_npm, node

pytestmark = needs_npm
Doc = dict[str, Any]


@dataclass
class Sdk:
    running: Running
    node: Node

    async def ask(self, request: str, **body: Any) -> Doc:
        """What the SDK read. Each answer is an object of the SDK's class, as JSON."""
        auth = {"transactionKey": TRANSACTION_KEY, "name": LOGIN}
        line = json.dumps({"request": request, "body": {**body, "merchantAuthentication": auth}})
        return await asyncio.to_thread(self.node.tell, line)

    async def transaction(self, kind: str, **more: Any) -> Doc:
        asked = {**more, "transactionType": kind}
        return (await self.ask("CreateTransaction", transactionRequest=asked, refId="ref-1"))["transactionResponse"]

    async def pays(self, kind: str, does: str = "approve", amount: str = "80.00", invoice: str = "inv1") -> Doc:
        customer, _, method = TOKENS[does].partition("-")
        settings = [{"settingValue": "0", "settingName": "duplicateWindow"}]
        return await self.transaction(
            kind,
            transactionSettings=settings,
            order={"invoiceNumber": invoice},
            profile={"paymentProfile": {"paymentProfileId": method}, "customerProfileId": customer},
            amount=amount,
        )


@pytest.fixture
async def sdk() -> AsyncIterator[Sdk]:
    async with running_authorizenet() as running:
        with node("authorizenet.mjs", f"{running.base_url}{PATH}") as started:
            assert started.first == {"ready": True}
            yield Sdk(running, started)


async def test_hold_capture_void_and_the_lists(sdk: Sdk) -> None:
    held = await sdk.pays("authOnlyTransaction")
    assert (held["responseCode"], held["accountNumber"], held["accountType"]) == ("1", "XXXX1111", "Visa")
    details = (await sdk.ask("GetTransactionDetails", transId=held["transId"]))["transaction"]
    assert (details["transactionStatus"], details["order"]["invoiceNumber"]) == ("authorizedPendingCapture", "inv1")
    took = await sdk.transaction("priorAuthCaptureTransaction", refTransId=held["transId"], amount="50.00")
    assert (took["responseCode"], took["transId"], took["refTransID"]) == ("1", held["transId"], held["transId"])
    again = await sdk.transaction("priorAuthCaptureTransaction", refTransId=held["transId"])
    assert (again["responseCode"], again["errors"]["error"][0]["errorCode"]) == ("3", "311")
    paging = {"offset": "1", "limit": "100"}
    sorting = {"orderDescending": True, "orderBy": "id"}
    listed = await sdk.ask("GetUnsettledTransactionList", paging=paging, sorting=sorting)
    [mine] = listed["transactions"]["transaction"]
    assert (mine["invoiceNumber"], mine["settleAmount"]) == ("inv1", 50)
    void = await sdk.transaction("voidTransaction", refTransId=held["transId"])
    assert void["responseCode"] == "1"
    assert await sdk.running.taken("inv1") == 0


async def test_refund_only_after_settlement_and_never_more(sdk: Sdk) -> None:
    paid = await sdk.pays("authCaptureTransaction")
    card = {"creditCard": {"expirationDate": "XXXX", "cardNumber": "1111"}}
    asked = {"payment": card, "refTransId": paid["transId"], "amount": "30.00"}
    early = await sdk.transaction("refundTransaction", **asked)
    assert (early["responseCode"], early["errors"]["error"][0]["errorCode"]) == ("3", "54")
    await sdk.running.settle()
    batches = await sdk.ask("GetSettledBatchList", includeStatistics=True)
    [batch] = batches["batchList"]["batch"]
    assert batch["statistics"]["statistic"][0]["chargeCount"] == 1
    inside = await sdk.ask("GetTransactionList", batchId=batch["batchId"])
    assert [one["transId"] for one in inside["transactions"]["transaction"]] == [paid["transId"]]
    back = await sdk.transaction("refundTransaction", **asked)
    assert (back["responseCode"], back["refTransID"]) == ("1", paid["transId"])
    more = await sdk.transaction("refundTransaction", **{**asked, "amount": "50.01"})
    assert more["errors"]["error"][0]["errorCode"] == "55"
    movements = (await sdk.running.books())["movements"]
    assert [one["amount"] for one in movements] == [80_00, -30_00]


async def test_declined_held_and_said_twice(sdk: Sdk) -> None:
    declined = await sdk.pays("authCaptureTransaction", "decline")
    assert (declined["responseCode"], declined["errors"]["error"][0]["errorCode"]) == ("2", "2")
    held = await sdk.pays("authCaptureTransaction", "hold")
    assert held["responseCode"] == "4"
    decided = await sdk.ask(
        "UpdateHeldTransaction", heldTransactionRequest={"refTransId": held["transId"], "action": "approve"}
    )
    assert decided["transactionResponse"]["responseCode"] == "1"
    asked = {"amount": "1.00", "order": {"invoiceNumber": "twice"}}
    customer, _, method = TOKENS["approve"].partition("-")
    asked["profile"] = {"paymentProfile": {"paymentProfileId": method}, "customerProfileId": customer}
    assert (await sdk.transaction("authCaptureTransaction", **asked))["responseCode"] == "1"
    twice = await sdk.transaction("authCaptureTransaction", **asked)
    assert (twice["responseCode"], twice["errors"]["error"][0]["errorCode"]) == ("3", "11")


async def test_profiles_and_pages(sdk: Sdk) -> None:
    made = await sdk.ask("CreateCustomerProfile", profile={"merchantCustomerId": "payer-1"})
    customer = made["customerProfileId"]
    again = await sdk.ask("CreateCustomerProfile", profile={"merchantCustomerId": "payer-1"})
    assert again["messages"]["message"][0]["code"] == "E00039"
    assert customer in again["messages"]["message"][0]["text"]
    settings = [{"settingValue": "showPayment", "settingName": "hostedProfileManageOptions"}]
    page = await sdk.ask("GetHostedProfilePage", hostedProfileSettings=settings, customerProfileId=customer)
    await sdk.running.pay_page(f"{sdk.running.base_url}/customer/addPayment#{page['token']}")
    profile = (await sdk.ask("GetCustomerProfile", customerProfileId=customer))["profile"]
    [kept] = profile["paymentProfiles"]
    assert kept["payment"]["creditCard"]["cardNumber"] == "XXXX1111"
    asked = {"customerPaymentProfileId": kept["customerPaymentProfileId"], "customerProfileId": customer}
    one = await sdk.ask("GetCustomerPaymentProfile", unmaskExpirationDate=True, **asked)
    assert one["paymentProfile"]["payment"]["creditCard"]["expirationDate"] == "2031-12"
    options = [{"settingValue": '{"show": false}', "settingName": "hostedPaymentOrderOptions"}]
    wish = {"amount": "5.00", "transactionType": "authCaptureTransaction"}
    paying = await sdk.ask("GetHostedPaymentPage", hostedPaymentSettings=options, transactionRequest=wish)
    await sdk.running.pay_page(f"{sdk.running.base_url}/payment/payment#{paying['token']}")
    assert [one["amount"] for one in (await sdk.running.books())["movements"]] == [5_00]


async def test_a_wrong_key_and_a_child_out_of_order_are_refused(sdk: Sdk) -> None:
    """The second by hand: the SDK's classes can't be brought to it."""
    wrong = await asyncio.to_thread(
        sdk.node.tell,
        json.dumps(
            {"request": "AuthenticateTest", "body": {"merchantAuthentication": {"name": LOGIN, "transactionKey": "x"}}}
        ),
    )
    assert wrong["messages"]["message"][0]["code"] == "E00007"
    right = await sdk.ask("AuthenticateTest")
    assert right["messages"]["resultCode"] == "Ok"
    turned = {"amount": "5.00", "transactionType": "authCaptureTransaction"}
    refused = await sdk.running.asked("createTransactionRequest", transactionRequest=turned)
    assert refused["messages"]["message"][0]["code"] == "E00003"
    long = await sdk.running.asked("createTransactionRequest", refId="x" * 21, transactionRequest=turned)
    text = long["messages"]["message"][0]["text"]
    assert "refId" in text
    assert "MaxLength" in text
