"""`fhirpay processor …`: what was done at a processor, and what nobody knows of it."""

from __future__ import annotations

from typing import Annotated

import typer

from .admin import decided
from .context import ConfigOption, TenantOption, out

processor = typer.Typer(help="Processors: sweep for events that never came.", no_args_is_help=True)


@processor.command("sweep")
def sweep_events(
    merchant: Annotated[str, typer.Argument(help="The merchant, as in the configuration.")] = "main",
    tenant: TenantOption = "",
    config: ConfigOption = None,
) -> None:
    """Read the processor's own list of events, and take in those that were never delivered. Done daily by itself."""
    found = decided(config, tenant, lambda server: server.sweep(merchant=merchant))
    out(f"{found} events of '{merchant}' had not come")
