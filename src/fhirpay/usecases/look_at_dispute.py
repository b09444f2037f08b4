"""Reading a dispute anew after our own call about it: the outbox handler of kind `dispute.look`; `work.ref` is ours.

Its money moves in lines that the answer to our call need not have had yet. Events tell of later ones.
"""

from __future__ import annotations

from ..config import Tenant
from ..db.unit import Tx, Units
from ..flow.lane import Work, complete, retry
from ..payments import disputes
from ..payments.port import DisputeSeen, Reference, Unknown
from ..payments.registry import Registry
from . import dispute


class LookAtDispute:
    def __init__(self, units: Units, tenant: Tenant, registry: Registry) -> None:
        self._units = units
        self._tenant = tenant
        self._registry = registry

    async def run(self, work: Work) -> None:
        known = await self._units.read(disputes.get, work.ref)
        seen = await self._registry.disputes(known.merchant).read_dispute(Reference(known.processor_ref))
        await self._units.write(self._finish, work, seen)

    def _finish(self, tx: Tx, work: Work, seen: DisputeSeen | Unknown) -> None:
        if isinstance(seen, Unknown):
            return retry(tx, work, after=None, error=seen.why)
        payment_id = disputes.get(tx, work.ref).payment_id
        dispute.settle(tx, self._tenant, payment_id, seen, source=f"look:{work.work_id}")
        complete(tx, work)
