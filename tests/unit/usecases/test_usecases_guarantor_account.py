"""The account of a guarantor is of several patients: each is found by it, and named where what is theirs is paid."""

from __future__ import annotations

from fhirpay.billing import store as obligations
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.ids import CountedIds
from fhirpay.fhir import store as fhir
from fhirpay.hl7.writer import Field
from fhirpay.writeback.as_received import chart_of
from intake_world import FEED, SYSTEM, ft1, message, segment, world

GUARANTOR = segment("GT1", {1: "1", 2: "G5", 3: "Doe^Ann", 11: "MTH"})
OF_GUARANTORS = FEED.model_copy(update={"account_key": "GT1-2"})


def _charge(name: str, number: int, mrn: str) -> bytes:
    pid = {3: f"{mrn}^^^CLINIC^MR", 5: f"Doe^{mrn}"}
    return message(name, ft1(number, "CG", "10.00&USD"), GUARANTOR, pid=pid, pv1={19: f"V{number}"}, account="")


async def test_it_is_of_all_its_patients_and_a_payment_is_posted_under_the_one_whose_charge_it_pays(
    database: Database, clock: FrozenClock, ids: CountedIds
) -> None:
    async with world(database, clock, ids, feed=OF_GUARANTORS) as w:
        for name, number, mrn in (("M1", 1, "ANN"), ("M2", 2, "TAM")):
            await w.send(_charge(name, number, mrn))
            await w.work()

        def seen(tx: Tx) -> tuple[int, list[Field]]:
            (account,) = fhir.find(tx, "Account", SYSTEM, "G5")
            owed = obligations.obligations_of(tx, account.reference)
            charts = [chart_of(tx, account.reference, one.targets[0], {"clinic": "GT1-2"}) for one in owed]
            return len(account.resource["subject"]), [chart.name for chart in charts]

        patients, names = await w.house.units.read(seen)
        assert (patients, [str(name).count(mrn) for name, mrn in zip(names, ("ANN", "TAM"), strict=True)]) == (
            2,
            [1, 1],
        )
