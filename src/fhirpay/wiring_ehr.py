"""The clients of EHRs, from what their connections say: who we are to them, how often we call; and what the app
that they launch needs. Part of `wiring`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from .config import Connection, Tenant
from .config_connection import RELATED
from .db.unit import Units
from .domain.clock import Clock
from .domain.ids import Ids
from .fhir.access import Access, FixedToken
from .fhir.bulk import BulkClient
from .fhir.client import FhirClient
from .fhir.statement import FhirVersion
from .net.http import HttpClient, Transport, client
from .net.pace import Pace
from .smart.backend import BackendServices
from .smart.keys import KeyRing
from .smart.launch import LaunchClient
from .usecases.launch import Launches
from .usecases.launch_session import Sessions
from .web.launch.deps import REDIRECT, Deps
from .web.patience import Patience


def ehr_access(
    connection: Connection, keys: KeyRing, clock: Clock, ids: Ids, transport: Transport | None = None
) -> Access:
    """Who we are to an EHR. Raises ConfigInvalid for scopes that can't be asked for."""
    if connection.auth == "token":
        return FixedToken(connection.token)
    return BackendServices(
        connection.name,
        connection.base_url,
        client_id=connection.client_id,
        token_url=connection.token_endpoint,
        scopes=connection.scopes,
        writes=(*connection.posted, *(("Subscription",) if connection.subscribe else ())),
        reads=tuple(dict.fromkeys((*connection.poll, *RELATED))) if connection.poll else (),
        keys=keys,
        clock=clock,
        ids=ids,
        open_client=lambda url: ehr_http(connection, url, transport),
        private=connection.private_network,
    )


def launch_clients(
    connections: Iterable[Connection], keys: KeyRing, clock: Clock, ids: Ids, transport: Transport | None = None
) -> dict[str, LaunchClient]:
    """We as the app that EHRs launch, at each that may. Raises ConfigInvalid for scopes that can't be asked for."""
    return {
        one.name: LaunchClient(
            one, keys=keys, clock=clock, ids=ids, open_client=partial(ehr_http, one, transport=transport)
        )
        for one in connections
        if one.launch_client_id
    }


def launch_deps(
    units: Units,
    tenant: Tenant,
    clients: Mapping[str, LaunchClient],
    patience: Patience,
    *,
    ids: Ids,
    hash_key: bytes,
    base_url: str,
) -> Deps:
    """What the pages of a tenant's launches need."""
    launches = Launches(units, clients, ids=ids, hash_key=hash_key, redirect_uri=base_url + REDIRECT)
    sessions = Sessions(units, clients, hash_key=hash_key)
    return Deps(launches, sessions, units, tenant, patience, ids, base_url)


def ehr_client(
    connection: Connection, access: Access, transport: Transport | None = None, pace: Pace | None = None
) -> FhirClient:
    """The client of an EHR, which closes its access. Raises ConfigInvalid."""
    return FhirClient(
        connection.name,
        ehr_http(connection, connection.base_url, transport, pace=pace),
        access,
        version=FhirVersion(connection.fhir_version) if connection.fhir_version else None,
    )


def bulk_client(
    connection: Connection, access: Access, transport: Transport | None = None, pace: Pace | None = None
) -> BulkClient:
    """The client of an EHR's bulk export, with the access of its other one. Raises ConfigInvalid."""
    return BulkClient(
        connection.name,
        connection.base_url,
        access,
        lambda url: ehr_http(connection, url, transport, pace=pace),
        private=connection.private_network,
    )


def ehr_http(
    connection: Connection, url: str, transport: Transport | None = None, *, pace: Pace | None = None
) -> HttpClient:
    """Calls to an address of an EHR, or of its authorization server. The agreed rate is of the EHR's own."""
    return client(
        url,
        timeout_s=connection.timeout_s,
        pace=pace,
        allow_private=connection.private_network,
        transport=transport,
    )
