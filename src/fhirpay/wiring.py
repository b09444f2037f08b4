"""The only place that builds things: clock, ids, database, network, processors, EHR clients → use cases → roles.

`build(settings)` gives a `System`, started and stopped by `app`. A simulation or a test hands in another clock, other
ids or another network, and gets the same wiring. To add a handler or a route: a line here; MLLP ends: wiring_mllp.py.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from fastapi import APIRouter, FastAPI

from .config import Connection, Settings, Tenant
from .conformance.checker import Checker
from .db.unit import Database, Units, open_database
from .domain.clock import Clock, SystemClock
from .domain.ids import Ids, RandomIds
from .errors import ConfigInvalid
from .fhir.bulk import BulkClient
from .fhir.client import FhirClient
from .flow.worker import Handler, Worker
from .hl7.mllp import MllpClient
from .hl7.mllp_server import MllpServer
from .inbox.gate import check_agreed
from .mapping.release import Released
from .net.http import Transport
from .net.pace import Pace
from .payments import registry
from .payments.registry import Registry
from .security.pan import screen_json
from .smart import front_door
from .smart.front_door import FrontDoor
from .smart.keys import KeyRing
from .smart.launch import LaunchClient
from .subscriptions import events
from .usecases import (
    bank_codes,
    collect,
    go_live,
    match_bank,
    match_postings,
    postings,
    pull_settlements,
    read_back,
    receive_notification,
    refund,
    reverse,
    send_ack,
    stale_pages,
    start_payment,
    sweep,
    take_settlement_report,
    webhook,
)
from .usecases.apply_message import ApplyMessage
from .usecases.autopay import Autopay
from .usecases.check_traffic import TrafficWatch
from .usecases.close_page import ClosePage
from .usecases.daily_check import DailyCheck
from .usecases.follow_up import FollowUp
from .usecases.look_at_dispute import LookAtDispute
from .usecases.lookup import LookUp
from .usecases.make_files import FileMaker, place_kind_of
from .usecases.notify import Notify
from .usecases.parked import note_parked_call
from .usecases.pick_up import PickUp
from .usecases.poll_ehr import EhrPoll
from .usecases.post_back import PostBack
from .usecases.post_dft import PostDft
from .usecases.post_file import PostFile
from .usecases.post_invoice import PostInvoice
from .usecases.pull_settlements import PullSettlements
from .usecases.receive_fhir import FhirIntake
from .usecases.receive_hl7 import Hl7Intake
from .usecases.receive_notification import Notifications
from .usecases.reconcile import Reconcile
from .usecases.replay_mended import ReplayMended
from .usecases.send_ack import SendAck
from .usecases.send_webhook import SendWebhook, note_parked_webhook
from .usecases.silence import SilenceWatch
from .usecases.standing_warnings import StandingWarnings
from .usecases.subscribe import Subscriptions
from .usecases.take_bank_file import TakeBankFile
from .usecases.take_export import EhrExport
from .usecases.take_files import FileFeed
from .usecases.take_payment import TakePayment
from .usecases.take_report import TakeReport
from .usecases.take_settlement_report import TakeSettlementReport
from .web import hl7v2, oauth, problem
from .web.admin import AdminSocket, Commands
from .web.api import deps as api_deps
from .web.api import document
from .web.api.router import api_router
from .web.fhir_notify import PATH as NOTIFY
from .web.fhir_notify import fhir_notify_router
from .web.fhir_server import access
from .web.fhir_server import deps as fhir_deps
from .web.fhir_server.pay_operations import pay_operations
from .web.fhir_server.router import fhir_router
from .web.fhir_server.spoken import R4, R5
from .web.health import health_router
from .web.jwks import jwks_router
from .web.launch.deps import Deps as LaunchDeps
from .web.launch.router import launch_router
from .web.patience import Patience
from .webhooks import events as happenings
from .wiring_ehr import bulk_client, ehr_access, ehr_client, launch_clients, launch_deps
from .wiring_files import file_feeds, out_folder
from .wiring_mllp import ack_client, engine, listener
from .writeback import layout

HASH_KEY_MIN = 32
API_BODY_MAX = 1_000_000


@dataclass(frozen=True)
class House:
    """One tenant's use cases, ready to be called."""

    tenant: Tenant
    units: Units
    processors: Registry
    keys: KeyRing
    ehrs: Mapping[str, FhirClient]
    launched: Mapping[str, LaunchClient]
    bulks: Mapping[str, BulkClient]
    engines: Mapping[str, MllpClient]
    intakes: Mapping[str, Hl7Intake]
    ack_clients: Mapping[str, MllpClient]
    door: FrontDoor
    inbox: Mapping[str, Handler]
    outbox: Mapping[str, Handler]
    writeback: Mapping[str, Handler]
    webhooks: Mapping[str, Handler]
    destinations: Mapping[str, Handler]
    sweep: sweep.Sweep
    messages: ApplyMessage
    notifications: Notifications
    mended: ReplayMended
    subscriptions: Subscriptions
    daily: DailyCheck
    reconcile: Reconcile
    silence: SilenceWatch
    traffic: TrafficWatch
    files: Sequence[FileFeed]
    makers: Sequence[FileMaker]
    pulls: PullSettlements
    settlement_reports: TakeSettlementReport
    bank: TakeBankFile
    back: read_back.ReadBack
    reports: TakeReport


@dataclass
class System:
    """Everything of one process. `houses` are by tenant."""

    settings: Settings
    clock: Clock
    ids: Ids
    database: Database
    hash_key: bytes
    houses: Mapping[str, House]
    commands: Commands
    checker: Checker
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def house(self, tenant: str) -> House:
        found = self.houses.get(tenant)
        if found is None:
            raise ConfigInvalid(f"there is no tenant '{tenant}'; defined: {', '.join(self.houses) or 'none'}")
        return found

    @cached_property
    def web(self) -> FastAPI:
        """The web role. One tenant is served at the root, several each under `/tenants/<name>`."""
        app = FastAPI(title="fhirpay", version=version("fhirpay"), openapi_url="/openapi.json")
        problem.install(app)
        warnings = StandingWarnings({name: house.units for name, house in self.houses.items()}, self.clock)
        app.include_router(health_router(self.ready.is_set, warnings.read))
        for name, house in self.houses.items():
            prefix = self.settings.path_of(name)
            for router in self._routers(house, self.settings.base_url + prefix):
                app.include_router(router, prefix=prefix)
        made = app.openapi
        app.openapi = lambda: app.openapi_schema or document.complete(made())
        return app

    def _routers(self, house: House, base_url: str) -> list[APIRouter]:
        settings = self.settings
        patience = Patience(house.units, self.database.wakeups)
        api = api_deps.Deps(
            units=house.units,
            tenant=house.tenant,
            registry=house.processors,
            require=house.door.callers.require,
            clock=self.clock,
            patience=patience,
            hash_key=self.hash_key,
            public_url=base_url,
            messages=house.messages,
            body_max_bytes=min(settings.body_max_bytes, API_BODY_MAX),
            keys=house.keys,
        )
        fhir = fhir_deps.Deps(
            units=house.units,
            caller=house.door.callers.caller,
            accepted=FhirIntake(self.hash_key, house.tenant),
            screen=screen_json,
            base_url=base_url + R4.prefix,
            own_urls=tuple(base_url + one.prefix for one in (R4, R5)),
            endpoints=front_door.endpoints(base_url),
            body_max_bytes=settings.body_max_bytes,
            subscriptions=house.subscriptions,
            operations=pay_operations(house.units, house.tenant, patience),
        )
        hl7 = hl7v2.Deps(house.door.callers.require, house.intakes, settings.body_max_bytes)
        return [
            fhir_router(fhir),
            fhir_router(replace(fhir, base_url=base_url + R5.prefix, spoken=R5, subscriptions=None)),
            oauth.oauth_router(house.door.server),
            hl7v2.hl7v2_router(hl7),
            api_router(api),
            jwks_router(house.keys),
            fhir_notify_router(house.notifications.receive, settings.body_max_bytes),
            launch_router(self._launched(house, base_url, patience)),
        ]

    def _launched(self, house: House, base_url: str, patience: Patience) -> LaunchDeps:
        given = house.units, house.tenant, house.launched
        return launch_deps(*given, patience, ids=self.ids, hash_key=self.hash_key, base_url=base_url)

    def listeners(self) -> list[MllpServer]:
        """The MLLP role: one listener for each interface that has a port."""
        return [
            listener(house.intakes[interface.name], interface)
            for house in self.houses.values()
            for interface in house.tenant.interfaces
            if interface.mllp_port is not None
        ]

    def folders(self) -> list[FileFeed]:
        """Beside the listeners: the folders whose files are taken in."""
        return [feed for house in self.houses.values() for feed in house.files]

    def workers(self, owner: str = "") -> list[Worker]:
        """The worker role: inbox, outbox, write-back of each tenant. `owner` holds the leases: else this process."""
        owner = owner or _this_process()
        settings = self.settings
        return [
            Worker(
                self.database,
                house.units,
                queue=queue,
                handlers=handlers,
                lease_s=settings.lease_s,
                poll_s=settings.poll_s,
                concurrency=concurrency,
                owner=owner,
                on_parked=on_parked,
            )
            for house in self.houses.values()
            for queue, handlers, on_parked, concurrency in (
                ("inbox", house.inbox, house.messages.on_parked, settings.workers),
                ("outbox", house.outbox, note_parked_call, settings.workers),
                # Its own hands: an EHR that hangs delays no payment. A destination has one message in flight.
                ("outbox", house.writeback, note_parked_call, settings.workers),
                # Its own too: whoever is told by webhook may hang, and delays no EHR.
                ("outbox", house.webhooks, note_parked_webhook, settings.workers),
                *(("outbox", {kind: run}, note_parked_call, 1) for kind, run in house.destinations.items()),
            )
        ]

    def polls(self, owner: str = "") -> list[EhrPoll]:
        """Beside the workers: the EHRs that are asked for changes. `owner` as there."""
        return [
            EhrPoll(
                self._pick_up(house, connection),
                self.clock,
                self.database.wakeups,
                owner or _this_process(),
                f"{self.settings.base_url}{self.settings.path_of(house.tenant.name)}{NOTIFY}/{connection.name}",
            )
            for house in self.houses.values()
            for connection in house.tenant.connections
            if connection.poll
        ]

    def exports(self, owner: str = "") -> list[EhrExport]:
        """Beside the workers: the EHRs whose bulk export is taken in. `owner` as there."""
        return [
            EhrExport(
                replace(self._pick_up(house, connection), lease_of=f"{connection.name}/$export"),
                house.bulks[connection.name],
                self.clock,
                self.database.wakeups,
                owner or _this_process(),
            )
            for house in self.houses.values()
            for connection in house.tenant.connections
            if connection.bulk
        ]

    def _pick_up(self, house: House, connection: Connection) -> PickUp:
        intake = FhirIntake(self.hash_key, house.tenant)
        return PickUp(house.units, connection, house.ehrs[connection.name], intake, self.settings.lease_s)

    def admin_socket(self) -> AdminSocket | None:
        path = admin_socket_of(self.settings)
        return None if path is None else AdminSocket(path, self.commands)

    async def close(self) -> None:
        """Give back connections to the outside. The database is the caller's."""
        await self.checker.close()
        for house in self.houses.values():
            await house.processors.aclose()
            await house.door.aclose()
            for bulk in house.bulks.values():
                await bulk.aclose()
            for ehr in (*house.ehrs.values(), *house.launched.values()):
                await ehr.aclose()
            for sender in house.engines.values():
                await sender.close()
            for told in house.ack_clients.values():
                await told.close()


def build(
    settings: Settings,
    *,
    clock: Clock | None = None,
    ids: Ids | None = None,
    transport: Transport | None = None,
    database: Database | None = None,
) -> System:
    """A System, not yet started. Raises ConfigInvalid, with what to write."""
    clock = clock or SystemClock()
    ids = ids or RandomIds(clock)
    if len(settings.hash_key) < HASH_KEY_MIN:
        raise ConfigInvalid(f"set hash_key (FHIRPAY_HASH_KEY) to {HASH_KEY_MIN} characters or more, and keep it")
    hash_key = settings.hash_key.encode()
    database = database or open_database(settings.database, clock=clock, ids=ids)
    checker = Checker()
    houses = {
        tenant.name: _house(settings, tenant, database, clock, ids, hash_key, transport, checker)
        for tenant in settings.tenants
    }
    commands = Commands(
        database,
        settings.tenant,
        lambda tenant: houses[tenant].intakes if tenant in houses else {},
        lambda tenant: houses[tenant].ehrs if tenant in houses else {},
        lambda tenant: houses[tenant].messages,
        lambda tenant: houses[tenant].mended,
        lambda tenant: houses[tenant].sweep,
        lambda tenant: houses[tenant].pulls,
        lambda tenant: houses[tenant].settlement_reports,
        lambda tenant: houses[tenant].processors,
        lambda tenant: houses[tenant].bank,
        lambda tenant: houses[tenant].reports,
        lambda tenant: houses[tenant].back,
    )
    return System(settings, clock, ids, database, hash_key, houses, commands, checker)


def _house(
    settings: Settings,
    tenant: Tenant,
    database: Database,
    clock: Clock,
    ids: Ids,
    hash_key: bytes,
    transport: Transport | None,
    checker: Checker,
) -> House:
    units = database.units(tenant.name)
    public_url = settings.base_url + settings.path_of(tenant.name)
    processors = registry.build(tenant, transport=transport)
    keys = KeyRing(tenant.keys)
    accesses = {one.name: ehr_access(one, keys, clock, ids, transport) for one in tenant.connections}
    paces = {one.name: Pace(one.calls_per_min) for one in tenant.connections}
    ehrs = {one.name: ehr_client(one, accesses[one.name], transport, paces[one.name]) for one in tenant.connections}
    bulks = {
        one.name: bulk_client(one, accesses[one.name], transport, paces[one.name])
        for one in tenant.connections
        if one.bulk
    }
    launched = launch_clients(tenant.connections, keys, clock, ids, transport)
    engines = {destination.name: engine(destination) for destination in tenant.destinations}
    for interface in tenant.interfaces:
        check_agreed(interface)
    ack_clients = {one.name: ack_client(one) for one in tenant.interfaces if one.ack_address}
    intakes = {one.name: Hl7Intake(units, one, hash_key, clock, ids, database.wakeups) for one in tenant.interfaces}
    released = Released(settings.mappings_folder, tenant.interfaces)
    layouts = {one.name: layout.load(one.layout) for one in tenant.posting_files}
    to_files = {
        one.name: PostFile(units, tenant, one, layouts[one.name], out_folder(one)) for one in tenant.posting_files
    }
    messages = ApplyMessage(units, tenant, released.of, hash_key)
    notifications = Notifications(units, tenant, FhirIntake(hash_key, tenant))
    lookups = LookUp(units, tenant, processors, public_url=public_url)
    follow_ups = FollowUp(units, tenant, processors)
    events_found = sweep.Sweep(units, tenant, processors, hash_key)
    pulls = PullSettlements(units, tenant, processors, now=clock.now)
    settlement_reports = TakeSettlementReport(units, tenant, processors, pulls, hash_key)
    door = front_door.build(
        tenant,
        units,
        base_url=public_url,
        fhir_url=public_url + R4.prefix,
        understood=access.understood,
        now=clock.now,
        transport=transport,
    )
    subscriptions = Subscriptions(units, hash_key, public_url + R4.prefix)
    back = read_back.ReadBack(units, tenant, ehrs, now=clock.now)
    notify = Notify(units, subscriptions, door.callers.registered, transport)
    return House(
        tenant=tenant,
        units=units,
        processors=processors,
        keys=keys,
        ehrs=ehrs,
        launched=launched,
        bulks=bulks,
        engines=engines,
        intakes=intakes,
        ack_clients=ack_clients,
        door=door,
        inbox={
            "hl7": messages.hl7,
            "fhir": messages.fhir,
            webhook.KIND: webhook.Webhooks(units, tenant, processors).run,
            receive_notification.KIND: notifications.run,
        },
        outbox={
            start_payment.KIND: TakePayment(units, tenant, processors, public_url=public_url).run,
            stale_pages.CLOSE: ClosePage(units, tenant, processors).run,
            refund.KIND: refund.Refunds(units, tenant, processors).run,
            "payment.capture": follow_ups.run,
            "payment.void": follow_ups.run,
            "dispute.accept": follow_ups.run,
            "dispute.look": LookAtDispute(units, tenant, processors).run,
            reverse.KIND: reverse.Reverse(units, tenant).run,
            sweep.KIND: events_found.run,
            "payment.lookup": lookups.run,
            "refund.lookup": lookups.run,
            collect.KIND: Autopay(units, tenant).run,
            bank_codes.KIND: bank_codes.Represent(units, tenant).run,
            collect.AGAIN: collect.Reassess(units, tenant).run,
            pull_settlements.KIND: pulls.run,
            take_settlement_report.KIND: settlement_reports.run,
            match_bank.KIND: match_bank.MatchBank(units, tenant, hash_key).run,
            match_postings.KIND: match_postings.MatchPostings(units, tenant).run,
            go_live.KIND: go_live.GoLive(units, tenant).run,
        },
        writeback={
            postings.KIND: PostBack(units, tenant, ehrs).run,
            postings.INVOICE_KIND: PostInvoice(units, tenant, ehrs).run,
            read_back.KIND: back.run,
            send_ack.KIND: SendAck(units, tenant, ack_clients, clock).run,
            events.KIND: notify.run,
            events.HEARTBEAT: notify.heartbeat,
        },
        webhooks={happenings.KIND: SendWebhook(units, hash_key, public_url, door.callers.registered, transport).run},
        destinations={
            postings.kind_of(one.name): PostDft(units, tenant, one, engines[one.name]).run
            for one in tenant.destinations
        }
        | {postings.file_kind_of(name): one.admit for name, one in to_files.items()}
        | {place_kind_of(name): one.place for name, one in to_files.items()},
        sweep=events_found,
        messages=messages,
        notifications=notifications,
        mended=ReplayMended(units, tenant, released.of, lambda: released.in_force),
        subscriptions=subscriptions,
        daily=DailyCheck(units),
        reconcile=Reconcile(units, tenant),
        silence=SilenceWatch(units, tenant, clock),
        traffic=TrafficWatch(units, tenant, clock, checker.check, lambda: released.root),
        pulls=pulls,
        settlement_reports=settlement_reports,
        bank=TakeBankFile(units, tenant, hash_key),
        back=back,
        reports=TakeReport(units, tenant, hash_key),
        makers=[FileMaker(units, tenant, one, layouts[one.name], clock) for one in tenant.posting_files],
        files=[feed for one in tenant.interfaces for feed in file_feeds(intakes[one.name], one)],
    )


def _this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def admin_socket_of(settings: Settings) -> Path | None:
    """Where commands reach a running `serve`: beside the SQLite file; PostgreSQL needs none."""
    if not settings.database.startswith("sqlite:///"):
        return None
    return Path(settings.database.removeprefix("sqlite:///") + ".sock")
