"""However many lines and payments there are, a page of them is found in its place: no table is gone through."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.dialects import sqlite

from fhirpay.config import AgreedFees, FeeRate, Merchant
from fhirpay.reconciliation import agreed_fees, differences, line_matches
from fhirpay.reconciliation.fee_terms import terms_of

PLACE = "INDEX ix_payout_line_tenant_id_merchant_payout_ref_line_ref (tenant_id=? AND merchant=? AND "
ALWAYS = ("", "9999-12-31")
FEES = AgreedFees(card=(FeeRate(percent="2.9"),))
TERMS = terms_of([Merchant(name="main", processor="simulated", secret_key="k", fees=(FEES,))])
# What each looks for, and the index of which a line's own row is read: lines of a payout lie together, in any order of
# their ids.
ASKED: dict[str, tuple[Callable[[Any], Any], list[str]]] = {
    "lines that are open": (
        lambda tx: line_matches.open_page(tx, "main", ("", "")),
        [
            f"{PLACE}(payout_ref,line_ref)>(?,?))",
            "line_match USING PRIMARY KEY (tenant_id=? AND merchant=? AND payout_ref=? AND line_ref=?)",
            "(tenant_id=? AND merchant=? AND processor_ref=?)",
        ],
    ),
    "what rules have found": (
        lambda tx: line_matches.ruled(tx, "main"),
        ["line_match USING COVERING INDEX ix_line_match_by_rule", f"{PLACE}payout_ref=? AND line_ref=?)"],
    ),
    "payments": (
        lambda tx: differences.payments(tx, "a", "b", ["main"], ALWAYS, ruled=False),
        [
            "ix_ledger_posting_tenant_id_payment_id (tenant_id=? AND payment_id>? AND payment_id<?)",
            "ix_line_match_tenant_id_payment_id (tenant_id=? AND payment_id>? AND payment_id<?)",
            f"{PLACE}payout_ref=? AND line_ref=?)",
        ],
    ),
    "agreed fees": (
        lambda tx: agreed_fees.not_as_agreed(tx, TERMS, "a", "b", ALWAYS),
        [
            "ix_line_match_tenant_id_payment_id (tenant_id=? AND payment_id>? AND payment_id<?)",
            f"{PLACE}payout_ref=? AND line_ref=?)",
            "SEARCH payment USING INDEX sqlite_autoindex_payment_1 (tenant_id=? AND payment_id=?)",
        ],
    ),
    "refunds": (
        lambda tx: list(differences.refunds(tx, ["main"], ALWAYS)),
        ["line_match USING COVERING INDEX ix_line_match_of_refund", f"{PLACE}payout_ref=? AND line_ref=?)"],
    ),
}


class Asking:
    """A transaction that finds nothing, and keeps the engine's plans."""

    tenant = "main"

    def __init__(self, path: str) -> None:
        self.plan = ""
        self._path = path

    def all(self, statement: Any = None, **given: Any) -> list[Any]:
        if statement is not None:
            # With its values apart, as the program sends them: what is bound says nothing to a partial index.
            asked = statement.params(tenant=self.tenant, **given)
            compiled = asked.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
            with sqlite3.connect(self._path) as look:
                found = look.execute(f"EXPLAIN QUERY PLAN {compiled}", ["x"] * len(compiled.positiontup)).fetchall()
            self.plan += "".join(f"{row[3]}\n" for row in found)
        return []

    def execute(self, statement: Any, given: dict[str, Any]) -> Asking:
        self.all(statement, **{name: value for name, value in given.items() if name != "tenant"})
        return self

    def scalar(self, statement: Any) -> int:
        return len(self.all(statement))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_reconciling_asks_is_found_in_its_place(database_url: str) -> None:
    for what, (ask, wanted) in ASKED.items():
        tx = Asking(database_url.removeprefix("sqlite:///"))
        ask(tx)
        assert [one for one in wanted if one not in tx.plan] == [], f"{what}:\n{tx.plan}"
        gone_through = [one for one in tx.plan.splitlines() if one.startswith("SCAN") and "anon" not in one]
        assert gone_through == [], f"{what}:\n{tx.plan}"
