"""What fhirpay needs of a processor that drives card readers, beside `Processor`; announced by `terminals`.

A payment on a reader is prepared like any other (an id, no money), then handed to the reader: it waits there until its
payer holds a card to it, and only reading or an event says what came of that. `port.lookup` of the kinds `TERMINAL` and
`TERMINAL_CANCEL`, with the reader in its `OperationRef`, answers as the two calls below do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

from .port import Outcome, PaymentRequest, Reference, Unknown


@dataclass(frozen=True, slots=True)
class ReaderSeen:
    """A reader as its processor shows it now. `payment` is the processor's id of what waits on it, whoever began it."""

    state: Literal["online", "offline"]
    payment: Reference | None = None


@runtime_checkable
class Terminal(Protocol):
    """Stateless, as `Processor` is. One reader does one thing at a time: the caller sees to it that it is not asked for
    a second one, and a processor that is asked all the same says `READER_BUSY`."""

    async def start_on_reader(self, prepared: Reference, request: PaymentRequest, *, idempotency_key: str) -> Outcome:
        """Have `request.reader` ask for the card. `ActionNeeded` without a url: it waits there. `Declined`: it was not
        started (`READER_OFFLINE`, `READER_BUSY`, `READER_UNKNOWN`). Anything else as of `Processor.submit`."""
        ...

    async def cancel_on_reader(self, payment: Reference, reader: str, *, idempotency_key: str) -> Outcome:
        """Stop waiting, and see to it that the payment can't be made any more. What came of the payment: `Canceled`;
        `Approved` or `Declined` where the card was faster; `ActionNeeded` where it can't be stopped at this moment."""
        ...

    async def read_reader(self, reader: str) -> ReaderSeen | Unknown:
        """As it is now. `Unknown` for whatever can't be read, or is not there."""
        ...
