"""`fhirpay webhooks`: where clients' own systems are told of events, and telling them again."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from ..config import Tenant
from ..db.unit import Tx
from ..webhooks import store
from .admin import decided
from .context import ConfigOption, JsonOption, TenantOption, out, reading, run, settings, tenant_name
from .selection import SinceOption, UntilOption, moment

webhooks = typer.Typer(help="Clients' systems that are told of events: list; replay, skip.", no_args_is_help=True)
Endpoint = Annotated[str, typer.Argument(help="The endpoint's id (whe…), as `list` shows it.")]


@webhooks.command("list")
def list_endpoints(tenant: TenantOption = "", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Each endpoint with its state, how many events are in which state, and what is parked there."""

    def found(tx: Tx) -> list[dict[str, Any]]:
        return [
            {
                "id": one.endpoint_id,
                "client": one.client,
                "url": one.url,
                "state": one.state,
                "says": one.says,
                "deliveries": store.counts(tx, one.endpoint_id),
                "parked": [{"event": each.event_id, "says": each.says} for each in store.parked(tx, one.endpoint_id)],
            }
            for one in store.all_endpoints(tx)
        ]

    async def main() -> list[dict[str, Any]]:
        async with reading(config, tenant) as units:
            return await units.read(found)

    for one in run(main):
        out(json.dumps(one) if as_json else _text(one))


def _text(one: dict[str, Any]) -> str:
    counts = ", ".join(f"{many} {state}" for state, many in sorted(one["deliveries"].items())) or "told of nothing yet"
    lines = [f"{one['id']}  {one['state']}  {one['client']}  {one['url']}  {counts}  {one['says']}".rstrip()]
    return "\n".join([*lines, *(f"   {each['event']} is parked: {each['says']}" for each in one["parked"])])


@webhooks.command("replay")
def replay_events(
    endpoint: Endpoint,
    event: Annotated[str, typer.Option("--event", help="This event alone (evt…).")] = "",
    since: SinceOption = "",
    until: UntilOption = "",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Tell an event again, or all of a time, under the ids that they have: a receiver that dedupes takes each once."""
    owner = _owner(config, tenant)
    times = [moment(one, owner) for one in (since, until)]
    if bool(event) == bool(since):
        raise typer.BadParameter("say which events: --event, or --since")
    said = [one.isoformat() if one else "" for one in times]
    queued = decided(
        config, tenant, lambda to: to.tell_again(endpoint=endpoint, event=event, since=said[0], until=said[1])
    )
    for one in queued:
        out(one)
    out(f"{len(queued)} queued again")


@webhooks.command("skip")
def skip_event(
    endpoint: Endpoint,
    event: Annotated[str, typer.Argument(help="The parked event (evt…).")],
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """A parked event is never to be told there; later ones of its account, which wait behind it, go on."""
    out(f"{decided(config, tenant, lambda to: to.skip_event(endpoint=endpoint, event=event))} is skipped")


def _owner(config: Any, tenant: str) -> Tenant:
    async def main() -> Tenant:
        loaded = settings(config)
        return loaded.tenant(tenant_name(loaded, tenant))

    return run(main)
