"""Served whole, over sockets: a change at the EHR comes by its Subscription, long before it would be asked for."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ehr_running import TOKEN, Running, running_ehr
from fhirpay import wiring
from fhirpay.app import serving
from fhirpay.billing.store import obligations_of
from fhirpay.config import Connection, Settings
from fhirpay.domain.money import Money
from fhirpay.polling import subscribed
from fhirpay.simulators.ehr_capabilities import TOPICS, Switches
from fhirpay.simulators.ehr_json import write
from intake_world import tenant
from polling_world import ACCOUNT, PATIENT, charge

SECRET = "s" * 40
DAY_S = 86_400


async def until(so: Any) -> None:
    async with asyncio.timeout(20):
        while not await so():  # noqa: ASYNC110 (what is waited for is in a database)
            await asyncio.sleep(0.05)


async def charted(ehr: Running, resource: dict[str, Any]) -> None:
    """At the EHR's own screens."""
    url = f"{ehr.base_url.removesuffix('/fhir')}/control/chart"
    assert (await ehr.http.post(url, content=write(resource))).status_code == 200


@pytest.mark.warns(
    "work.retry"
)  # the processor of its configuration is nobody: its list of events is asked for in vain
@pytest.mark.parametrize("by", ["criteria", "topics"])
async def test_a_change_at_the_ehr_is_owed_though_polling_would_look_tomorrow(database_url: str, by: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    topics = {kind: url for url, kind in TOPICS.items() if kind == "ChargeItem"} if by == "topics" else {}
    async with running_ehr(switches=Switches(subscriptions=by)) as ehr:
        for one in (PATIENT, ACCOUNT, charge()):
            ehr.ehr.seed(one)
        connection = Connection(
            name="ehr",
            base_url=ehr.base_url,
            token=TOKEN,
            private_network=True,
            writes=(),
            poll=("ChargeItem",),
            poll_since=datetime.now(UTC) - timedelta(days=1),
            poll_every_s=DAY_S,
            subscribe=("ChargeItem",),
            subscribe_topics=topics,
            subscribe_secrets=(SECRET,),
        )
        served = tenant().model_copy(update={"connections": (connection,)})
        settings = Settings(hash_key="k" * 32, database=database_url, http_port=port, poll_s=0.1, tenants=(served,))
        system = wiring.build(settings)
        units = system.house("main").units

        async def owes(*amounts: int) -> bool:
            found = await units.read(obligations_of, "Account/a1")
            return [one.patient for one in found if one.state == "collectable"] == [
                Money(one, "USD") for one in amounts
            ]

        async def subscribed_to() -> bool:
            return [one.resource["status"] for one in ehr.ehr.subscriptions.live] == ["active"]

        async with serving(system):
            await until(subscribed_to)
            await until(lambda: owes(10000))
            await charted(ehr, charge(amount="80.00"))
            await until(lambda: owes(8000))
            await charted(ehr, charge("c2", amount="5.00"))
            await until(lambda: owes(8000, 500))
            (row,) = await units.read(subscribed.of, "ehr")
            assert row.heard_at is not None
            assert row.by_topic == (by == "topics")
