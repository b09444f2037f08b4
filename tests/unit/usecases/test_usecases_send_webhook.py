"""A vendor's system is told of each event, signed, in order by account, whatever becomes of a call."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from desk_world import TENANT, cash, sound, usd
from fhirpay.billing.worklist import list_open
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.dispute import DisputeState
from fhirpay.domain.ids import CountedIds
from fhirpay.domain.payment import PaymentState
from fhirpay.domain.refund import RefundState
from fhirpay.errors import StorageUnavailable
from fhirpay.flow.lane import pending_count
from fhirpay.usecases import desk
from fhirpay.usecases import send_webhook as sending
from fhirpay.usecases import webhook_endpoints as hooks
from fhirpay.webhooks import store
from fhirpay.webhooks.kinds import KINDS
from hooks_world import API, HOOK, Answer, Hooks, hooked, lost, status, unreachable

pytestmark = pytest.mark.warns("webhook.put_off", "webhook.parked", "webhook.disabled")
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
async def world(database: Database, clock: FrozenClock, ids: CountedIds) -> AsyncIterator[Hooks]:
    async with hooked(database, clock, ids) as made:
        yield made


async def worklist(world: Hooks) -> list[str]:
    return [one.kind for one in await world.units.read(list_open) if one.kind.startswith("webhook")]


async def test_events_are_told_signed_thin_and_in_order(world: Hooks) -> None:
    id = await world.endpoint()
    (first, second), (third,) = await world.pays("ana", 50_00, 30_00), await world.pays("bea", 10_00)
    await world.work()
    for payment in (first, second, third):
        assert world.of(payment) == ["payment.created", "payment.captured"]
    told = next(one for one in world.calls if one.type == "payment.captured")
    assert told.url == HOOK
    data = told.body["data"]
    assert data | {"amount": str(data["amount"])} == {
        "id": first,
        "payment": first,
        "state": "captured",
        "amount": "50.0",
        "currency": "USD",
        "url": f"{API}/payments/{first}",
    }
    assert told.body["timestamp"] == "2026-11-20T15:00:00.000000Z"
    shown = await world.api("GET", data["url"].removeprefix(API))
    assert (shown.status_code, shown.json()["state"]) == (200, "captured")
    assert (await world.the(id))["deliveries"] == {"waiting": 0, "delivered": 6, "parked": 0, "skipped": 0}
    await sound(world.units)


@on_sqlite
async def test_a_stranger_verifies_what_we_send(world: Hooks) -> None:
    world.clock.advance(datetime.now(UTC) - world.clock.now())  # the library looks at the real time
    heard: list[dict[str, str]] = []

    def verified(request: object) -> object:
        said = {name: value for name, value in request.headers.items() if name.startswith("webhook-")}  # type: ignore[attr-defined]
        Webhook(world.secrets[0]).verify(request.content, said)  # type: ignore[attr-defined]
        heard.append(said)
        return status(200)(request)  # type: ignore[arg-type]

    world.answer = verified  # type: ignore[assignment]
    await world.endpoint()
    await world.pays("ana", 50_00)
    await world.work()
    assert len(heard) == 2


@on_sqlite
async def test_an_endpoint_is_told_what_it_asked_for_and_what_happened_before_it_is_nobodys(world: Hooks) -> None:
    await world.pays("cat", 5_00)
    await world.endpoint("payment.captured")
    await world.endpoint("refund.succeeded", "payment.voided", url=f"{HOOK}/2")
    (payment,) = await world.pays("ana", 50_00)
    await world.units.write(
        lambda tx: desk.void(tx, payment, till="front", by="ann", reason="typed wrong", tenant=TENANT)
    )
    await world.work()
    assert [(one.url, one.type) for one in world.calls] == [
        (HOOK, "payment.captured"),
        (f"{HOOK}/2", "payment.voided"),
    ]
    assert len(await world.units.read(store.since, None, None, 99)) == 3
    await sound(world.units)


@on_sqlite
async def test_deposits_and_credit_are_told_with_what_they_pay(world: Hooks) -> None:
    await world.endpoint()
    ref = await world.owes("ana")
    wish = desk.NewDeposit(ref, cash(), usd(40_00), "surgery")
    payment = await world.units.write(desk.deposit, wish, TENANT)
    await world.owes("ana", 25_00)
    await world.work()
    assert world.of(payment) == ["payment.created", "payment.captured", "deposit.taken", "credit.applied"]
    assert [one.body["data"]["amount"] for one in world.calls[2:]] == [40, 25]
    await sound(world.units)


# ── what becomes of a call ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(unreachable, id="never sent"),
        pytest.param(lost, id="lost answer"),
        pytest.param(status(400), id="400"),
        pytest.param(status(503), id="503"),
        pytest.param(status(307, location="https://elsewhere.example/"), id="redirect"),
    ],
)
async def test_trouble_holds_the_account_and_no_other_and_is_told_again_under_its_id(
    world: Hooks, answer: Answer
) -> None:
    await world.endpoint()
    (bad,) = await world.pays("ana", 50_00)
    (good,) = await world.pays("bea", 10_00)
    poison = bad.encode()
    world.answer = lambda request: answer(request) if poison in request.content else status(200)(request)
    await world.work()
    await world.work(timedelta(seconds=10))  # an endpoint that didn't answer rests for all
    assert world.of(bad) == []
    assert world.of(good) == ["payment.created", "payment.captured"]
    assert {one.url for one in world.calls} == {HOOK}  # nobody is followed elsewhere
    assert {one.type for one in world.calls if one.body["data"]["id"] == bad} == {"payment.created"}
    world.answer = status(200)
    await world.work(timedelta(hours=2))
    assert world.of(bad) == ["payment.created", "payment.captured"]
    tries = [one for one in world.calls if one.body["data"]["id"] == bad and one.type == "payment.created"]
    assert len(tries) > 1
    assert len({one.id for one in tries}) == 1
    assert await world.units.read(pending_count, "outbox") == 2 * len(TENANT.connections + TENANT.destinations)
    await sound(world.units)


async def test_at_last_it_is_parked_and_holds_its_account_until_it_is_replayed(world: Hooks) -> None:
    id = await world.endpoint()
    (bad,) = await world.pays("ana", 50_00)
    (good,) = await world.pays("bea", 10_00)
    poison = bad.encode()
    world.answer = lambda request: status(422 if poison in request.content else 200)(request)
    await world.give_up()
    (parked,) = await world.units.read(store.parked, id)
    assert (parked.tries, parked.says) == (sending.TRIES_MAX, "ehr.example answered 422")
    assert len([one for one in world.calls if one.body["data"]["id"] == bad]) == sending.TRIES_MAX
    assert world.of(good) == ["payment.created", "payment.captured"]
    assert await worklist(world) == ["webhook_failed"]
    world.answer = status(200)
    await world.give_up()
    assert world.of(bad) == []  # nobody has said so
    done = await world.api("POST", f"/webhook-endpoints/{id}/replay", {"event": parked.event_id})
    assert done.json() == {"queued": [parked.event_id], "next_cursor": None}
    await world.work()
    assert world.of(bad) == ["payment.created", "payment.captured"]
    assert await worklist(world) == []
    await sound(world.units)


@on_sqlite
async def test_what_can_never_be_taken_is_skipped_and_the_rest_goes_on(world: Hooks) -> None:
    id = await world.endpoint()
    (bad,) = await world.pays("ana", 50_00)
    world.answer = lambda request: status(422 if b"payment.created" in request.content else 200)(request)
    await world.give_up()
    (parked,) = await world.units.read(store.parked, id)
    assert (await world.api("POST", f"/webhook-endpoints/{id}/events/{parked.event_id}/skip", {})).status_code == 200
    await world.work()
    assert world.of(bad) == ["payment.captured"]
    assert await worklist(world) == []
    event = (await world.api("GET", f"/events/{parked.event_id}")).json()
    assert [(one["state"], one["tries"]) for one in event["deliveries"]] == [("skipped", sending.TRIES_MAX)]


@on_sqlite
async def test_410_disables_and_once_active_again_all_is_replayed(world: Hooks) -> None:
    id = await world.endpoint()
    since = world.clock.now()
    (first,) = await world.pays("ana", 50_00)
    world.answer = status(410)
    await world.work()
    assert [one.type for one in world.calls] == ["payment.created"]
    assert ((await world.the(id))["state"], await worklist(world)) == ("disabled", ["webhook_disabled"])
    (second,) = await world.pays("bea", 10_00)
    await world.give_up()
    assert len(world.calls) == 1
    world.answer = status(200)
    refused = await world.api("POST", f"/webhook-endpoints/{id}/replay", {"since": since.isoformat()}, key="early")
    assert (refused.status_code, refused.json()["code"]) == (422, "rule-broken")
    body = {"url": HOOK, "events": [], "state": "active"}
    assert (await world.api("PUT", f"/webhook-endpoints/{id}", body)).json()["state"] == "active"
    done = await world.api("POST", f"/webhook-endpoints/{id}/replay", {"since": since.isoformat()}, key="late")
    assert len(done.json()["queued"]) == 4
    await world.work()
    assert (world.of(first), world.of(second)) == (["payment.created", "payment.captured"],) * 2
    assert await worklist(world) == []


@on_sqlite
async def test_whoever_has_taken_it_is_told_again_only_when_asked_and_the_same(world: Hooks) -> None:
    id = await world.endpoint()
    await world.pays("ana", 50_00)
    await world.work()
    for key in ("one", "two"):  # the second before the first is out
        since = {"since": "2026-01-01T00:00:00Z"}
        again = await world.api("POST", f"/webhook-endpoints/{id}/replay", since, key=key)
        assert len(again.json()["queued"]) == (2 if key == "one" else 0)
    await world.work()
    await world.give_up()
    assert [one.id for one in world.calls[2:]] == [one.id for one in world.calls[:2]]
    assert world.types == ["payment.created", "payment.captured"] * 2


@on_sqlite
async def test_replay_goes_page_by_page(world: Hooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "REPLAY_MAX", 3)
    id = await world.endpoint()
    await world.pays("ana", 50_00, 10_00, 5_00, 1_00)
    await world.work()
    cursor, queued = "", list[str]()
    for number in range(9):
        body = {"since": "2026-01-01T00:00:00Z", "cursor": cursor}
        page = (await world.api("POST", f"/webhook-endpoints/{id}/replay", body, key=f"r{number}")).json()
        queued += page["queued"]
        if (cursor := page["next_cursor"]) is None:
            break
    assert queued == [one.event_id for one in await world.units.read(store.since, None, None, 99)]
    assert len(queued) == 8
    bad = {"since": "2026-01-02T00:00:00Z", "cursor": "x" * 60}
    assert (await world.api("POST", f"/webhook-endpoints/{id}/replay", bad, key="bad")).status_code == 400


@on_sqlite
async def test_one_that_hangs_rests_and_costs_the_others_nothing(world: Hooks) -> None:
    await world.endpoint()
    await world.endpoint(url="https://hangs.example/")
    world.answer = lambda request: lost(request) if request.url.host == "hangs.example" else status(200)(request)
    for name in "abcdefgh":
        await world.pays(f"x{name}", 5_00)
    await world.work()
    hung = [one for one in world.calls if "hangs" in one.url]
    assert (len(hung), len(world.taken)) == (1, 16)  # of eight accounts, one call


@on_sqlite
@pytest.mark.warns("work.retry")
async def test_a_worker_that_dies_after_the_call_leaves_a_duplicate_and_nothing_worse(world: Hooks) -> None:
    await world.endpoint()
    await world.pays("ana", 50_00)
    real, units = world.system.house("main").webhooks["webhook.send"], world.units

    class Dying:
        """Its last unit is never stored."""

        def __getattr__(self, name: str) -> object:
            return getattr(units, name)

        async def write(self, fn: object, *given: object) -> object:
            raise StorageUnavailable("the database is gone")

    handler = real.__self__  # type: ignore[attr-defined]
    object.__setattr__(handler, "units", Dying())
    await world.work()
    object.__setattr__(handler, "units", units)
    assert world.types == ["payment.created"]
    await world.work(timedelta(hours=2))
    assert world.types == ["payment.created", "payment.created", "payment.captured"]
    assert world.calls[0].id == world.calls[1].id
    assert len(world.taken) == 2


@on_sqlite
async def test_what_was_rolled_back_is_told_to_nobody(world: Hooks) -> None:
    await world.endpoint()
    ref = await world.owes("ana", 50_00)

    def fails(tx: Tx) -> None:
        desk.take(tx, desk.DeskPayment(ref, cash()), TENANT)
        raise StorageUnavailable("the disk is full")

    with pytest.raises(StorageUnavailable):
        await world.units.write(fails)
    await world.work()
    assert world.calls == []
    assert await world.units.read(store.since, None, None, 9) == []


# ── secrets and addresses ─────────────────────────────────────────────────────────────────────────────────────────


@on_sqlite
async def test_both_secrets_sign_while_one_takes_over_from_the_other(world: Hooks) -> None:
    id = await world.endpoint()
    (old,) = await world.learn(id)
    assert (await world.api("POST", f"/webhook-endpoints/{id}/rotate", {"overlap_h": 2})).status_code == 200
    new, still = await world.learn(id)
    assert (still, old != new) == (old, True)
    await world.pays("ana", 50_00)
    await world.work()
    assert [len(one.signatures) for one in world.calls] == [2, 2]
    for secret in (old, new):
        world.secrets = [secret]
        await world.pays(f"a{secret[-9]}x", 5_00)
        await world.work()
    world.clock.advance(timedelta(hours=2))
    assert await world.learn(id) == [new]
    world.secrets = [new]
    await world.pays("zoe", 50_00)
    await world.work()
    assert len(world.calls[-1].signatures) == 1
    await world.api("POST", f"/webhook-endpoints/{id}/rotate", {"overlap_h": 0}, key="leaked")
    (newest,) = await world.learn(id)
    assert newest != new


@on_sqlite
@pytest.mark.parametrize(
    ("client", "url", "fine"),
    [
        ("ehr", "http://ehr.example/", False),
        ("ehr", "https://127.0.0.1/", False),
        ("ehr", "https://10.0.0.1/", False),
        ("ehr", "https://169.254.169.254/", False),
        ("ehr", "https://user:pass@ehr.example/", False),
        ("ehr", "ftp://ehr.example/", False),
        ("ehr", "https://ehr.example/#x", False),
        ("ehr", "https://[::1", False),
        ("inside", "http://10.0.0.1/", False),
        ("inside", "https://10.0.0.1/", True),
        ("inside", "http://127.0.0.1:8080/", True),
        ("inside", "http://169.254.169.254/", False),
        ("desk", HOOK, None),
    ],
)
async def test_addresses_are_https_and_public_but_for_who_may(
    world: Hooks, client: str, url: str, fine: bool | None
) -> None:
    answer = await world.api("POST", "/webhook-endpoints", {"url": url}, client=client)
    assert answer.status_code == {True: 201, False: 400, None: 403}[fine], answer.text
    if fine is False:
        assert answer.json()["location"] == "url"


@on_sqlite
async def test_a_client_sees_its_own_endpoints_and_no_secret_stays_behind(world: Hooks) -> None:
    id = await world.endpoint()
    (secret,) = await world.learn(id)
    for method, path in (("GET", ""), ("GET", "/secrets"), ("DELETE", "")):
        answer = await world.api(method, f"/webhook-endpoints/{id}{path}", client="other")
        assert answer.status_code == 404
    assert (await world.api("GET", "/webhook-endpoints", client="other")).json()["webhook_endpoints"] == []

    def kept(tx: Tx) -> str:
        rows = [store.endpoints, store.deliveries, store.events]
        from fhirpay.db.metadata import table
        from fhirpay.payments.tables import IdempotencyKeyRow

        rows.append(table(IdempotencyKeyRow))
        return json.dumps([list(map(str, row.values())) for of in rows for row in tx.all(of.select())])

    await world.pays("ana", 50_00)
    assert secret.removeprefix("whsec_") not in await world.units.read(kept)
    assert (await world.api("DELETE", f"/webhook-endpoints/{id}")).status_code == 204
    await world.work()
    assert world.calls == []


@on_sqlite
async def test_a_client_that_may_no_more_is_told_no_more(world: Hooks) -> None:
    id = await world.endpoint()
    await world.pays("ana", 50_00)
    handler = world.system.house("main").webhooks["webhook.send"].__self__  # type: ignore[attr-defined]
    object.__setattr__(handler, "registered", lambda name: None)
    await world.work()
    assert world.calls == []
    assert "scope 'webhooks'" in (await world.the(id))["says"]


def test_every_state_has_its_event() -> None:
    states = {"payment": PaymentState, "refund": RefundState, "dispute": DisputeState}
    named = {f"{what}.{state}" for what, all_of in states.items() for state in all_of}
    others = {one for one in KINDS if one not in named}
    assert named <= set(KINDS)
    assert len(others) == 8
