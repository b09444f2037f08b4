"""What an operator says of a bank line that is of no payout. The part of `Commands` (admin.py) of that room.

`cli/bank_whose.py` says it, as texts by name; the same words come over the socket of a running server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..config import Tenant
from ..db.unit import Database, Tx
from ..errors import MessageInvalid
from ..usecases import decide_bank, receipts
from ..usecases.receipts import NewCredit
from .api.payments import account_ref


class BankSaid:
    """What a person says of bank lines at the command line, beside a running server."""

    def __init__(self, database: Database, tenant: Callable[[str], Tenant]) -> None:
        self._database = database
        self._tenant = tenant

    async def answer(self, tenant: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The id of what came of it. Raises as the use case does, MessageInvalid for anything else."""
        units, owner = self._database.units(tenant), self._tenant(tenant)
        match asked:
            case {
                "action": "credit",
                "line": str(line),
                "account": str(account),
                "amount": str(amount),
                "facility": str(facility),
                "by": str(by),
                "reason": str(why),
            }:

                def credit(tx: Tx) -> str:
                    ref = account_ref(tx, account)
                    return receipts.credit(tx, NewCredit(line, ref, by, why, amount, facility), owner)

                return {"payment": await units.write(credit)}
            case {"action": "uncredit", "payment": str(payment), "by": str(by), "reason": str(why)}:
                return {"line": await units.write(receipts.uncredit, payment, owner, by=by, why=why)}
            case {"action": "fee", "line": str(line), "merchant": str(merchant), "by": str(by), "reason": str(why)}:

                def fee(tx: Tx) -> str:
                    return decide_bank.book_fee(tx, owner, line, merchant=merchant, by=by, why=why)

                return {"match": await units.write(fee)}
            case _:
                raise MessageInvalid("there is no such command about the bank")
