"""A stored method is charged once its notice has run. The outbox handler of kind `autopay`; collect.py queues its rows.

Everything is read again in the unit that starts the payment: what is owed, holds, the consent and its cap. What is no
longer so as it was queued ends here; what is so instead (more has become due meanwhile) is queued or asked for anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..billing import rows
from ..billing.policy import AutopayDue
from ..config import Tenant
from ..db.unit import Tx, Units
from ..fhir.replaced import survivor
from ..flow.lane import Work, complete, retry
from .collect import act, actions, charge, fact_of


@dataclass(frozen=True, slots=True)
class Autopay:
    """Starts the payments of one tenant of which notice was given."""

    units: Units
    tenant: Tenant

    async def run(self, work: Work) -> None:
        await self.units.write(self._run, work)

    def _run(self, tx: Tx, work: Work) -> None:
        account_ref, _, fact = work.ref.partition("|")
        rows.lock(tx, [account_ref])
        account_ref = survivor(tx, account_ref)  # queued before its account was merged into another one
        rows.lock(tx, [account_ref])
        decided = [one for one in actions(tx, account_ref, self.tenant) if isinstance(one, AutopayDue)]
        action = next((one for one in decided if fact_of(one) == fact), None)
        if action is not None and action.not_before > tx.now:  # the day from which it may be asked for was moved
            retry(tx, work, after=action.not_before - tx.now, error="not due yet")
            return
        if action is not None:
            charge(tx, account_ref, action, self.tenant)
        complete(tx, work)
        act(tx, account_ref, self.tenant)
