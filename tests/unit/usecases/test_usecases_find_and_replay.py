"""Messages are found by whom and what they are about, and worked on again as selected, once seen what for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fhirpay.db.metadata import metadata
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import Ids
from fhirpay.errors import MessageInvalid
from fhirpay.inbox.search import Selector, search
from fhirpay.inbox.store import find_by_control_id
from intake_world import FEED, ft1, message, world

KEY = b"k" * 32
CHARGE = ft1(1, "CG", "100.00&USD")
BEFORE = FEED.model_copy(update={"co_means": "park"})


def found(tx: Tx, key: bytes = KEY, **wanted: object) -> list[str]:
    return [one.control_id for one in search(tx, Selector(**wanted), key)]  # type: ignore[arg-type]


async def test_messages_are_found_by_patient_account_control_id_type_time_and_state(
    database: Database, clock: FrozenClock, ids: Ids
) -> None:
    async with world(database, clock, ids) as here:
        await here.send(message("M1", CHARGE))
        clock.advance(timedelta(hours=1))
        other = {3: "MRN2^^^CLINIC^MR~X-9^^^OLD", 5: "O'Brien^Zoë"}
        await here.send(message("M2", label="ADT^A04", account="A200", pid=other))
        await here.work()
        await here.send(message("M3", CHARGE, account="A300"))
        read = here.house.units.read
        for wanted, expected in (
            ({"patient": "MRN1"}, ["M1"]),
            ({"patient": "x-9"}, []),  # an identifier is taken as it is
            ({"patient": "X-9"}, ["M2"]),
            ({"patient": "zoe obrien"}, ["M2"]),
            ({"patient": "Doe"}, ["M1"]),
            ({"account": "A200"}, ["M2"]),
            ({"account": "A300"}, []),  # not worked on yet
            ({"control_id": "M3"}, ["M3"]),
            ({"type": "DFT"}, ["M3", "M1"]),
            ({"type": "ADT^A04"}, ["M2"]),
            ({"type": "D_T"}, []),
            ({"state": "received"}, ["M3"]),
            ({"since": clock.now()}, ["M3", "M2"]),
            ({"until": clock.now(), "interface": "clinic"}, ["M1"]),
            ({"interface": "lab"}, []),
            ({}, ["M3", "M2", "M1"]),
        ):
            assert await read(found, **wanted) == expected, wanted
        assert await read(found, b"another key", patient="MRN1") == []
        kept = await read(lambda tx: tx.all(metadata.tables["inbox_index"].select()))
        assert kept
        assert not any(word in str(dict(row)) for row in kept for word in ("MRN1", "Doe", "A100", "doe"))
        await here.work()


@pytest.mark.warns("message.parked")
async def test_a_replay_is_seen_before_it_is_done_and_done_once(
    database: Database, clock: FrozenClock, ids: Ids
) -> None:
    async with world(database, clock, ids, feed=BEFORE) as here:
        await here.send(message("M1", CHARGE, ft1(2, "CO", "25.00&USD")))
        await here.work()
    async with world(database, clock, ids) as here:  # the profile says by now what CO means
        commands, parked = here.system.commands, Selector(state="parked")
        before = await _state(here.house.units.read)
        seen = await commands.replay_selected("main", parked, 10, True, "ann", "")
        assert seen[0].endswith("M1: applied")
        assert "   account A100, charge T1: 100.00 USD on hold → 75.00 USD may be asked for" in seen
        assert any("copay" in line and line.endswith("(nothing) → 25.00 USD may be asked for") for line in seen)
        assert await _state(here.house.units.read) == before  # nothing of the look is kept
        (done,) = await commands.replay_selected("main", parked, 10, False, "ann", "CO is due")
        (queued,) = await here.house.units.read(find_by_control_id, "M1")
        assert (queued.message_id, queued.detail) == (done, "replayed by ann: CO is due")
        assert await commands.replay_selected("main", Selector(account="A100"), 10, False, "ann", "") == []
        await here.work()
        assert await commands.replay_selected("main", parked, 10, False, "ann", "") == []
        again = await commands.replay_selected("main", Selector(patient="MRN1"), 10, True, "ann", "")
        assert again[1:] == ["   changes nothing"]


async def _state(read: Any) -> list[str]:
    def look(tx: Tx) -> list[str]:
        tables = ("resource", "obligation", "ledger_entry", "inbox_message", "work")
        return [str(sorted(map(str, tx.all(metadata.tables[name].select())))) for name in tables]

    return await read(look)


def test_a_selection_goes_to_another_process_and_back() -> None:
    wanted = Selector(patient="Doe", since=datetime(2026, 11, 20, tzinfo=UTC))
    assert Selector.from_json(wanted.as_json()) == wanted
    for wrong in ({"nobody": "x"}, {"since": "yesterday"}):
        with pytest.raises(MessageInvalid):
            Selector.from_json(wrong)


@pytest.mark.warns("message.parked")
async def test_the_parked_ones_are_replayed_up_to_a_number_with_who_wanted_it_and_why(
    database: Database, clock: FrozenClock, ids: Ids
) -> None:
    async with world(database, clock, ids) as here:
        for number in range(3):
            await here.send(message(f"M{number}", ft1(1, "PY", "5.00&USD"), account=f"A{number}"))
        await here.work()
        commands = here.system.commands
        assert len(await commands.replay("main", "", "clinic", 2, "ann", "asked the sender")) == 2
        assert await commands.replay("main", "", "lab", 2, "ann", "") == []
        seen = [(one.state, one.detail) for number in range(3) for one in await here.received(f"M{number}")]
        assert seen[:2] == [("received", "replayed by ann: asked the sender")] * 2
        assert seen[2][0] == "parked"
        assert len(await commands.replay("main", "M2", "", 1, "bob", "")) == 1
        (last,) = await here.received("M2")
        assert (last.state, last.detail) == ("received", "replayed by bob")
