"""One tenant whose payments are posted by files into a folder: real payments, our workers, the maker of the files.

`there()` is what the receiver finds, by name; `take()` is its taking a file away.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from fhirpay.billing.store import reassess
from fhirpay.billing.worklist import Item, list_open
from fhirpay.config import Tenant
from fhirpay.config_posting_file import PostingFile
from fhirpay.db.unit import Database, Tx
from fhirpay.domain.clock import FrozenClock
from fhirpay.domain.money import Money
from fhirpay.fhir import store as fhir
from fhirpay.flow.worker import Worker
from fhirpay.payments import store as payments
from fhirpay.payments.port import Approved, Reference
from fhirpay.usecases.make_files import FileMaker, place_kind_of
from fhirpay.usecases.parked import note_parked_call
from fhirpay.usecases.post_file import PostFile
from fhirpay.usecases.postings import file_kind_of
from fhirpay.usecases.settle_outcome import settle
from fhirpay.usecases.start_payment import NewPayment, start
from fhirpay.writeback import files, layout, store
from fhirpay.writeback.files import File
from fhirpay.writeback.out_folder import LocalOutFolder, OutFolder
from fhirpay.writeback.store import Posting

NAME = "epic"


class Files:
    """Files for one receiver. A second one on the same database is a second process."""

    def __init__(
        self,
        database: Database,
        clock: FrozenClock,
        owner: Tenant,
        folder: Path,
        *,
        out: OutFolder | None = None,
        **more: Any,
    ) -> None:
        self.database, self.units, self.clock, self.folder = database, database.units("main"), clock, folder
        settings: dict[str, Any] = {"zone": "America/New_York", "every_min": 10, "layout": "delimited", **more}
        self.to = PostingFile(name=NAME, folder=str(folder), **settings)
        self.tenant = owner.model_copy(update={"connections": (), "posting_files": (self.to,)})
        self.layout = layout.load(self.to.layout)
        self.maker = FileMaker(self.units, self.tenant, self.to, self.layout, clock)
        self.out = out or LocalOutFolder(folder)
        self.post = PostFile(self.units, self.tenant, self.to, self.layout, self.out)

    def worker(self, owner: str = "worker") -> Worker:
        handlers = {file_kind_of(NAME): self.post.admit, place_kind_of(NAME): self.post.place}
        return Worker(
            self.database,
            self.units,
            queue="outbox",
            handlers=handlers,
            concurrency=1,
            owner=owner,
            on_parked=note_parked_call,
        )

    async def work(self) -> None:
        await self.worker().drain()

    async def make(self) -> list[File]:
        """What is due once its time has come; nothing is put anywhere yet."""
        await self.work()
        await self.maker.look()
        self.clock.advance(self.to.next_after(self.clock.now()) - self.clock.now())
        return await self.maker.look()

    async def round(self) -> list[File]:
        made = await self.make()
        await self.work()
        return made

    def there(self) -> dict[str, str]:
        return {one.name: one.read_bytes().decode() for one in sorted(self.folder.iterdir())}

    def take(self, name: str) -> str:
        text = (self.folder / name).read_bytes().decode()
        (self.folder / name).unlink()
        return text

    async def file(self, number: int = 1) -> File:
        return await self.units.read(files.get, NAME, number)

    async def postings(self, payment_id: str) -> list[Posting]:
        return await self.units.read(store.of_payment, payment_id)

    async def open_items(self) -> list[Item]:
        """What waits for a person because of what is to be posted."""
        kinds = ("parked_call", "posting_file_unmade", "posting_file_unplaced")
        return [one for one in await self.units.read(list_open) if one.kind in kinds]


def paid_in_yen(tx: Tx, owner: Tenant) -> str:
    """What is owed on a second account of the patient of `chain_built.charged` is paid; the payment's id."""
    said = {"resourceType": "Account", "status": "active", "identifier": [{"system": "urn:lab", "value": "A200"}]}
    account = fhir.put(tx, {**said, "subject": [{"reference": "Patient/p-1"}]}, source="urn:fhirpay:lab#m")[0].reference
    invoice = {"resourceType": "Invoice", "id": "inv-2", "status": "issued", "subject": {"reference": "Patient/p-1"}}
    invoice |= {"account": {"reference": account}, "totalNet": {"value": Decimal(900), "currency": "JPY"}}
    fhir.put(tx, invoice, source="urn:fhirpay:lab#m")
    reassess(tx, account, owner)
    payment_id = start(tx, NewPayment(account, "desk"), owner)
    (operation,) = payments.operations_of(tx, payment_id)
    payments.sent(tx, operation, processor_ref="cs_2")
    outcome = Approved(Reference("ch_2"), Money(900, "JPY"), payment=Reference("pi_2"))
    settle(tx, owner, operation.operation_id, outcome, source=f"operation:{operation.operation_id}")
    return payment_id
