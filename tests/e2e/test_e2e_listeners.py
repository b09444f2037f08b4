"""Several listeners in one program, each by its own profile: what one is agreed to take, another refuses."""

from __future__ import annotations

import contextlib

import pytest

from fhirpay.db.unit import Database
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.hl7.reader import Message
from fhirpay.hl7.tls import client_context
from intake_world import FEED, ft1, message, told, verdict
from mllp_site import sited
from tls_files import tls_files

pytestmark = pytest.mark.warns("hl7.refused", "mllp.refused")

FILES = tls_files()
SECURED = {"tls_cert": FILES.cert, "tls_key": FILES.key, "tls_client_ca": FILES.ca}
CHARGE = ft1(1, "CG", "100.00&USD")


async def test_each_listener_has_its_own_tls_types_and_processing_id(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    feed = FEED.model_copy(update={**SECURED, "message_types": ("DFT",), "processing": "T"})
    async with sited(database, clock, ids, feed=feed) as site:
        admit = message("M1", label="ADT^A08", header={11: "T"})
        async with site.peer(tls=client_context(ca=FILES.ca, cert=FILES.sender)) as peer:
            await peer.send(admit, message("M2", CHARGE, header={11: "T"}), message("M3", CHARGE))
            code, place, number, text = told(await peer.answer())
            assert (code, place, number) == ("AR", "MSH-9.1", "200")
            assert text == "messages of type 'ADT' aren't taken here"
            assert verdict(await peer.answer()) == "AA"
            assert told(await peer.answer())[:3] == ("AR", "MSH-11", "202")
        async with site.peer("lab") as peer:
            await peer.send(message("M1", label="ADT^A08"), message("M2", CHARGE))
            assert [verdict(await peer.answer()) for _ in range(2)] == ["AA", "AA"]
        with contextlib.suppress(OSError):  # without a certificate nothing is heard
            async with site.peer(tls=client_context(ca=FILES.ca)) as peer:
                await peer.send(message("M9", CHARGE, header={11: "T"}))
                assert await peer.closed_without_a_word()
        assert await site.w.state("M9") == ""
        assert [one.interface for one in await site.w.received("M1")] == ["lab"]
        assert [one.interface for one in await site.w.received("M2")] == ["clinic", "lab"]


@pytest.mark.parametrize(
    ("types", "label", "expected"),
    [
        (("DFT^P03",), "DFT^P03", ("AA", "", "")),
        (("DFT^P03", "ADT^A04"), "ADT^A04", ("AA", "", "")),
        (("DFT^P03", "ADT^A04"), "ADT^A08", ("AR", "MSH-9.2", "201")),
        (("ADT",), "ADT^A08", ("AA", "", "")),
        (("ADT",), "DFT^P03", ("AR", "MSH-9.1", "200")),
    ],
)
async def test_message_types_of_a_feed(
    database: Database, clock: FrozenClock, types: tuple[str, ...], label: str, expected: tuple[str, str, str]
) -> None:
    feed = FEED.model_copy(update={"message_types": types})
    async with sited(database, clock, CountedIds(), feed=feed) as site, site.peer() as peer:
        charges = [CHARGE] if label == "DFT^P03" else []
        await peer.send(message("M1", *charges, label=label))
        assert told(await peer.answer())[:3] == expected
        await peer.send(message("M2", *charges, label=label, header={12: "2.3"}))
        old = Message.parse(await peer.answer())
        assert old.get("MSA-1") == expected[0]
        assert old.get("ERR-1.4") == expected[2]  # before 2.5 the place and the number stand in ERR-1
        assert bool(old.get("MSA-3")) is (expected[0] == "AR")
