"""What a feed's sender may have agreed to beyond plain MLLP: commit blocks of release 2, and sequence numbers."""

from __future__ import annotations

import asyncio

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.hl7.reader import Message
from intake_world import FEED, World, ft1, message, verdict, world
from mllp_site import sited

pytestmark = pytest.mark.warns("hl7.refused", "mllp.too_large", "mllp.dropped")

CHARGE = ft1(1, "CG", "100.00&USD")
ACK, NAK = b"\x06", b"\x15"

# ── release 2 ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_commit_block_says_whether_it_is_stored(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    feed = FEED.model_copy(update={"mllp_release": 2, "max_bytes": 5_000})
    async with sited(database, clock, ids, feed=feed) as site:
        async with site.peer() as peer:
            for _ in range(2):  # the second time it is a duplicate: also stored
                await peer.send(message("M1", CHARGE))
                assert await peer.answer() == ACK
                assert await site.w.state("M1") == "received"
                assert verdict(await peer.answer()) == "AA"
                await peer.send(ACK)  # the sender's commit block for our answer: not answered
            await peer.send(message("M2", CHARGE, header={11: "T"}))
            assert await peer.answer() == NAK
            assert verdict(await peer.answer()) == "AR"
            await peer.send(message("M3", CHARGE, header={15: "NE", 16: "NE"}))
            assert await peer.answer() == ACK
            await peer.send(b"x" * 6_000)
            assert await peer.answer() == NAK
        async with site.peer("lab") as peer:
            await peer.send(message("M4", CHARGE))
            assert verdict(await peer.answer()) == "AA"  # nothing of it where it isn't agreed


async def test_what_can_not_be_stored_gets_a_nak(database: Database, clock: FrozenClock, ids: CountedIds) -> None:
    feed = FEED.model_copy(update={"mllp_release": 2})
    async with sited(database, clock, ids, feed=feed) as site, site.peer() as peer:
        await site.w.system.database.stop()
        await peer.send(message("M1", CHARGE))
        assert await peer.answer() == NAK
        await site.w.system.database.start()
        await peer.send(message("M1", CHARGE))
        assert await peer.answer() == ACK
        assert verdict(await peer.answer()) == "AA"


# ── sequence numbers ──────────────────────────────────────────────────────────────────────────────────────────────────

NUMBERED = FEED.model_copy(update={"sequence_numbers": True})


async def said(w: World, control_id: str, number: str, line: str = CHARGE) -> tuple[str, str]:
    """MSA-1 and the number expected, of a message with this MSH-13."""
    (answer,) = await w.send(message(control_id, line, header={13: number}))
    read = Message.parse(answer)
    return read.get("MSA-1"), read.get("MSA-4")


async def test_numbers_follow_each_other_and_survive_a_restart(database: Database, clock: FrozenClock) -> None:
    ids = CountedIds()
    async with world(database, clock, ids, feed=NUMBERED) as w:
        assert await said(w, "S0", "0") == ("AA", "-1")  # nothing is known of this link
        assert await said(w, "M1", "41") == ("AA", "41")
        assert await said(w, "M2", "42") == ("AA", "42")
        assert await said(w, "S1", "0") == ("AA", "43")
    async with world(database, clock, ids, feed=NUMBERED) as w:
        assert await said(w, "M2", "42") == ("AA", "42")  # the same again: the same answer again
        assert await said(w, "M4", "44") == ("AR", "43")
        assert await w.state("M4") == ""
        assert await said(w, "M3", "42") == ("AR", "43")  # another message under a number that is taken
        assert await said(w, "M3", "43") == ("AA", "43")
        assert await said(w, "M4", "44") == ("AA", "44")
        assert await w.received("S0") == []


async def test_minus_one_begins_anew(database: Database, clock: FrozenClock) -> None:
    async with world(database, clock, CountedIds(), feed=NUMBERED) as w:
        assert await said(w, "M1", "7") == ("AA", "7")
        assert await said(w, "S1", "-1") == ("AA", "-1")
        assert await said(w, "M2", "1") == ("AA", "1")
        assert await said(w, "M3", "2") == ("AA", "2")
        start = b"MSH|^~\\&|BILLING|CLINIC|FHIRPAY|MAIN|20261120||DFT^P03|S2|P|2.5.1|0\r"  # an MSH alone will do
        (answer,) = await w.send(start)
        assert Message.parse(answer).get("MSA-4") == "3"


async def test_links_count_by_themselves(database: Database, clock: FrozenClock) -> None:
    async with world(database, clock, CountedIds(), feed=NUMBERED) as w:
        assert await said(w, "M1", "1") == ("AA", "1")
        other = message("M1", CHARGE, header={3: "PHARMACY", 13: "900"})
        (answer,) = await w.send(other)
        assert Message.parse(answer).get("MSA-4") == "900"
        (file,) = await w.send(message("M9", CHARGE, header={13: "77"}), source="file")  # a person's: not of the link
        assert verdict(file) == "AA"
        assert await said(w, "M2", "2") == ("AA", "2")


async def test_only_one_of_two_takes_a_number(database: Database, clock: FrozenClock) -> None:
    async with world(database, clock, CountedIds(), feed=NUMBERED) as w:
        assert await said(w, "M0", "1") == ("AA", "1")
        both = await asyncio.gather(*(said(w, f"M{n}", "2", ft1(n, "CG", "1&USD")) for n in (1, 2)))
        assert sorted(both) == [("AA", "2"), ("AR", "3")]


@pytest.mark.parametrize(
    ("number", "code"), [("", "101"), ("x", "102"), ("-2", "102"), ("1.0", "102"), ("9" * 16, "102")]
)
async def test_what_is_no_number_is_refused(database: Database, clock: FrozenClock, number: str, code: str) -> None:
    async with world(database, clock, CountedIds(), feed=NUMBERED) as w:
        (answer,) = await w.send(message("M1", CHARGE, header={13: number}))
        read = Message.parse(answer)
        assert (read.get("MSA-1"), read.get("ERR-3"), read.get("ERR-7")) == ("AE", code, "MSH-13")
        assert await w.received("M1") == []
