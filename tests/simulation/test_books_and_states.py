"""Every legal move of payments is reached, every illegal one refused: by data that the program's tables don't know of.

The data is books_and_states.toml; stories.py and stories_back.py lead through its pairs, payment_machine.py goes where
chance goes, and legal_moves.py looks after each move. Longer: `make explore`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from legal_moves import Audit, all_moves, moves_of
from payment_machine import Payments
from sim_till import Till
from sqlalchemy import update
from stories_back import STORIES as STORIES_BACK
from stories_banks import STORIES as STORIES_BANKS
from stories_payouts import STORIES as STORIES_PAYOUTS

from fhirpay.billing import rows
from fhirpay.db.metadata import table
from fhirpay.db.unit import Tx
from fhirpay.domain import dispute, mandate, obligation, operation, payment, payout, refund
from fhirpay.domain.money import Money
from fhirpay.domain.payment import UNDOES, FactKind, PaymentFact, fold
from fhirpay.domain.states import Moves
from fhirpay.errors import IllegalMove, RuleBroken
from fhirpay.payments import mandates, refunds, store
from fhirpay.payments.tables import MandateRow, OperationRow, RefundRow
from stories import STORIES, account, by_card
from strategies import NOON

pytestmark = pytest.mark.warns(
    *"work.retry work.parked operation.unknown operation.given_up".split(),
    *"payment.returned refund.failed refund.failed_late".split(),
)
TABLES: Mapping[str, Moves[Any]] = {
    "operation": operation.MOVES,
    "payment": payment.MOVES,
    "refund": refund.MOVES,
    "obligation": obligation.MOVES,
    "dispute": dispute.MOVES,
    "mandate": mandate.MOVES,
    "payout": payout.MOVES,
}
STATES: Mapping[str, type] = {
    "operation": operation.OperationState,
    "payment": payment.PaymentState,
    "refund": refund.RefundState,
    "obligation": obligation.ObligationState,
    "dispute": dispute.DisputeState,
    "mandate": mandate.MandateState,
    "payout": payout.PayoutState,
}


def test_every_legal_move_is_reached_and_nothing_else_happens(capsys: pytest.CaptureFixture[str]) -> None:
    audit = Audit()
    for story in [*STORIES, *STORIES_BACK, *STORIES_BANKS, *STORIES_PAYOUTS]:
        till = Till()
        try:
            for step, _ in enumerate(story(till)):
                audit.look(till, whole=step % 4 == 0)
            audit.look(till)
            audit.end(till)
        except BaseException as error:
            error.add_note(f"in the story '{story.__name__}'")
            raise
        finally:
            till.close()
    with capsys.disabled():
        print("\n" + audit.table())
    assert audit.missing() == []


def test_any_moves_in_any_order_stay_within_the_data() -> None:
    runs = int(os.environ.get("FHIRPAY_EXPLORE", "0"))
    run_state_machine_as_test(
        Payments,
        settings=settings(
            max_examples=runs or 25,
            stateful_step_count=60 if runs else 30,
            derandomize=not runs,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
    if runs:
        print(Payments.audit.table())


@pytest.mark.parametrize("thing", all_moves())
def test_the_programs_table_is_the_data(thing: str) -> None:
    moves, theirs = moves_of(thing), TABLES[thing]
    assert {(str(a), str(b)) for a in STATES[thing] for b in theirs.next(a)} == moves.legal
    assert {str(state) for state in STATES[thing]} == set(moves.states)


@pytest.mark.parametrize("thing", all_moves())
def test_every_illegal_move_is_refused_by_the_domain(thing: str) -> None:
    moves, states = moves_of(thing), STATES[thing]
    for old, new in [*moves.illegal, *((state, state) for state in moves.states)]:
        with pytest.raises(IllegalMove, match=f"from {old} to {new}"):
            TABLES[thing].move(states(old), states(new))
    for old, new in moves.legal:
        assert TABLES[thing].move(states(old), states(new)) == new


def test_every_illegal_move_is_refused_by_the_stores_and_leaves_the_row(request: pytest.FixtureRequest) -> None:
    till = Till()
    request.addfinalizer(till.close)
    account(till)
    paid = by_card(till)
    till.hand()
    given_back = str(till.do(till.refund(paid, 10_00)))
    ((taken,),) = till.rows("SELECT operation_id FROM operation")
    stored = str(till.do(till.method("Account/ana", "ba_ok", bank=True)))

    def at(tx: Tx, of: type, key: str, id_: str, state: str) -> None:
        found = table(of)
        tx.execute(update(found).where(found.c[key] == id_).values(state=state))

    def tried(tx: Tx, thing: str, old: str, new: str) -> str:
        """The state afterwards."""
        if thing == "operation":
            at(tx, OperationRow, "operation_id", taken, old)
            with pytest.raises(IllegalMove):
                store.move_operation(tx, store.operation(tx, taken), operation.OperationState(new))
            return store.operation(tx, taken).state
        if thing == "mandate":
            at(tx, MandateRow, "method_id", stored, old)
            with pytest.raises(IllegalMove):
                mandates.move(tx, stored, mandate.MandateState(new), code="R00", by="a test")
            found = mandates.find(tx, stored)
            return str(found.state) if found else ""
        at(tx, RefundRow, "refund_id", given_back, old)
        with pytest.raises(IllegalMove):
            refunds.move(tx, refunds.get(tx, given_back), refund.RefundState(new))
        return refunds.get(tx, given_back).state

    class Undone(RuleBroken):
        pass

    def all_of_them(tx: Tx) -> None:
        for thing in ("operation", "refund", "mandate"):
            for old, new in moves_of(thing).illegal:
                assert tried(tx, thing, old, new) == old
        raise Undone("the rows stay as they were")

    till.write(all_of_them)
    assert till.refused == ["rule-broken"]


def test_every_illegal_walk_of_an_obligation_is_refused() -> None:
    """What comes in together may be several steps: each of them legal, and none out of an end."""
    moves = moves_of("obligation")
    for old, new in itertools.permutations(moves.states, 2):
        was, wanted = obligation.ObligationState(old), obligation.ObligationState(new)
        if old in ("superseded", "void"):
            assert rows.moved(was, wanted) is was
        elif moves.leads(old, new):
            assert rows.moved(was, wanted) is wanted
        else:
            with pytest.raises(IllegalMove):
                rows.moved(was, wanted)


def test_no_facts_lead_a_payment_out_of_the_data() -> None:
    """All sets of up to four kinds of facts, matched and not: each step of each walk is legal."""
    moves = moves_of("payment")
    seen: set[tuple[str, str]] = set()
    for size in range(1, 5):
        for kinds in itertools.combinations(FactKind, size):
            for matched in (True, False):
                path = fold([_fact(kind, matched=matched) for kind in kinds], currency="USD").path
                seen |= {(str(a), str(b)) for a, b in itertools.pairwise(path)}
    assert seen == moves.legal  # and all of the data is walked by some


def _fact(kind: FactKind, *, matched: bool) -> PaymentFact:
    undoes = UNDOES.get(kind)
    of = (str(undoes) if matched else "another") if undoes else ""
    return PaymentFact(kind, NOON + timedelta(seconds=1), "event:1", Money(50_00, "USD"), str(kind), of)
