"""`$collect`: a charge or an invoice → the payment that asks for it. `$explain`: the chain that a resource stands in.

Built by `wiring` for the FHIR routes. SMART has no scopes for operations: each needs `r` of the resource, and the
scope `payments`, which shows and asks for the same on the payments API. Resources in a chain that the caller may not
read are named, no more. What is answered is said in conformance/OperationDefinition-*.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...config import Tenant
from ...db.unit import Tx, Units
from ...fhir import store as fhir
from ...usecases import request_payment
from ...usecases.explain import Chain, explain_resource
from ...usecases.explain_text import Node
from ...usecases.request_payment import Request
from ..api.bodies import checked_url
from ..patience import Patience
from .access import Access
from .chain_parameters import money_part, parameters, text_part
from .operations import Call, Operation

SCOPE = "payments"


def pay_operations(units: Units, tenant: Tenant, patience: Patience) -> dict[str, Operation]:
    return {"collect": Collect(units, tenant, patience), "explain": Explain(units)}


@dataclass(frozen=True, slots=True)
class Collect:
    """The payer pays on the processor's page. The same again, while that is open, is answered by the same payment."""

    units: Units
    tenant: Tenant
    patience: Patience
    types: tuple[str, ...] = ("ChargeItem", "Invoice")
    affects_state: bool = True
    inputs: Mapping[str, str] = field(default_factory=lambda: {"returnUrl": "url"})

    async def run(self, call: Call) -> dict[str, Any]:
        """Raises RuleBroken, with the reason, when nothing of it may be asked for now."""
        call.access.endpoint(SCOPE)
        back = checked_url(call.inputs.get("returnUrl", ""), call.at.get("returnUrl", ""))
        by = f"client:{call.access.client.name}"
        reference = call.about.reference
        begun = await self.units.write(self._ask, reference, by, back)
        for payment_id in begun:
            await self.patience.begun(payment_id)
        now = await self.units.read(request_payment.requests, reference, begun)
        return {"resourceType": "Parameters", "parameter": list(map(_request, now))}

    def _ask(self, tx: Tx, reference: str, by: str, back: str) -> list[str]:
        return request_payment.request(tx, reference, requested_by=by, return_url=back, tenant=self.tenant)


def _request(one: Request) -> dict[str, Any]:
    payment = one.payment
    parts = [
        text_part("payment", payment.payment_id),
        text_part("status", str(payment.state), "valueCode"),
        money_part("amount", payment.amount),
        money_part("share", one.share),
    ]
    if payment.hosted_url:
        parts.append(text_part("url", payment.hosted_url, "valueUrl"))
    if payment.hosted_until is not None:
        until = payment.hosted_until.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        parts.append(text_part("until", until, "valueInstant"))
    if payment.failure_says:
        parts.append(text_part("says", payment.failure_says))
    return {"name": "request", "part": parts}


@dataclass(frozen=True, slots=True)
class Explain:
    units: Units
    types: tuple[str, ...] = ("ChargeItem", "Invoice", "Account", "PaymentReconciliation")
    affects_state: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])

    async def run(self, call: Call) -> dict[str, Any]:
        call.access.endpoint(SCOPE)
        chain, hidden = await self.units.read(self._chain, call.about.reference, call.access)
        return parameters(chain, hidden)

    def _chain(self, tx: Tx, reference: str, access: Access) -> tuple[Chain, frozenset[str]]:
        """And those of its resources that the caller may not read."""
        chain = explain_resource(tx, reference)
        hidden: set[str] = set()
        for ref in {str(node.facts["reference"]) for node in _every(chain.roots) if "reference" in node.facts}:
            kind, _, id = ref.partition("/")
            one = fhir.get(tx, kind, id)
            if one is None or not access.shows(one):
                hidden.add(ref)
        return chain, frozenset(hidden)


def _every(nodes: tuple[Node, ...]) -> list[Node]:
    return [one for node in nodes for one in (node, *_every(node.children))]
