"""`fhirpay explain ID`: the whole chain behind any identifier, from message to posting."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from ..usecases.explain import explain as explain_chain
from ..usecases.explain_text import Chain
from .context import ConfigOption, JsonOption, TenantOption, out, reading, run


def explain(
    id: Annotated[
        str,
        typer.Argument(
            help="MSH-10, a ChargeItem, an obligation, a payment, refund, payout, bank line, bag, a processor's id …"
        ),
    ],
    tenant: TenantOption = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the chain: message, charge, what is owed and why, payment, ledger entries, PaymentReconciliation."""

    async def main() -> Chain:
        async with reading(config, tenant) as units:
            return await units.read(explain_chain, id)

    chain = run(main)
    out(json.dumps(chain.as_json(), default=str) if as_json else chain.as_text())
