"""What fhirpay needs from a payment processor, small enough to memorise. Adapters implement it, use cases call it.

Three shapes of "no": a decline is a value, trouble (`ProcessorUnavailable`: nothing happened, retry is safe) is an
exception, and not knowing (`Unknown`) is a state. `tests/contract/processor_contract.py` is the real documentation:
a new processor is one file in `adapters/` and a three-line subclass of that suite.

What goes out is a `PaymentRequest`, built field by field from what is allowed: an opaque reference, an amount, a
method token, a neutral descriptor. There is no free-text field to put health information into.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal, NewType, Protocol, runtime_checkable

from ..domain.dispute import DisputeState
from ..domain.money import Money
from ..errors import RuleBroken, ValueInvalid
from . import declines
from .declines import Decline, DeclineCode

Reference = NewType("Reference", str)
"""The processor's own id of something."""

_OPAQUE = re.compile(r"[a-z]{2,8}[0-9a-z]{16,40}\Z")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{4,80}\Z")
_DESCRIPTOR = re.compile(r"[A-Za-z0-9 .*&'-]{1,22}\Z")
_NETWORK = re.compile(r"[A-Za-z0-9]{4,40}\Z")
_RETURN_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*/?\Z")  # nothing rides on it as a parameter

EntryMode = Literal["", "chip", "contactless", "swipe", "manual"]
"""How a card was read at a reader."""

MerchantReason = Literal["", "recurring", "installment", "unscheduled"]
"""Why a payment by a stored method is asked for without its payer, in the card networks' words."""


def is_network_reference(text: str) -> bool:
    """Whether it can be a card network's id of a payment, as it is sent back to a processor."""
    return _NETWORK.match(text) is not None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a processor can do, as data: use cases ask here, never for its name."""

    currencies: frozenset[str]
    idempotency_ttl: timedelta | None  # how long a key is honoured; None: it honours none
    lookup_settles_after: timedelta  # "not found" proves nothing before
    readable: bool = (
        True  # False: no payment can be read; the same call with its key, or an event that states it, tells
    )
    partial_capture: bool = False
    partial_approval: bool = False
    refund_before_settlement: bool = True
    void_after_capture: bool = False  # a capture can be taken back whole, as if it had not been; else only refunded
    hosted: bool = False
    vault: bool = False
    bank_debits: bool = False  # ACH: a payer's bank account, on a page or stored (`BankVault`)
    prepares: bool = True  # else `prepare` is a name of ours, no call; the processor's id comes with the outcome
    closes_pages: bool = True  # else a page takes payments until it ends by itself
    setup_page: bool = True  # where it is a vault: a page on which a payer stores a method without paying
    disputes: bool = False
    accept_disputes: bool = False  # and one can be given up through the API
    terminals: bool = False  # card readers of the practice's are driven through the API (terminal_port.py)
    settlement: bool = False  # what it has paid out can be read, line by line (settlement_port.py)
    settlement_reports: bool = False  # the same, from files that it announces by an event
    balance: bool = False  # and what it holds now, with the lines that no payout has taken yet (balance_port.py)

    def absence(self, operation: OperationRef) -> Unknown | ProvenAbsent:
        """What it means that a lookup found nothing: proof only after the horizon of this rail."""
        if operation.quiet < self.lookup_settles_after:
            return Unknown("not found, but too early for that to prove anything")
        return ProvenAbsent()


class OperationKind(StrEnum):
    SALE = "sale"
    AUTHORIZE = "authorize"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    HOSTED = "hosted"  # the payer pays on the processor's own page
    ACCEPT_DISPUTE = "accept_dispute"  # give a dispute up: its money stays with the payer
    TERMINAL = "terminal"  # a sale by another way: the payer holds a card to a reader
    TERMINAL_CANCEL = "terminal_cancel"  # have the reader stop: it may have been too late


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """All that a processor is told of a payment. The patterns keep names, numbers and codes of the chart out."""

    reference: str  # ours, opaque, one per payment
    amount: Money
    method: str = ""  # token of a stored method; empty on a hosted page
    initiated_by: Literal["customer", "merchant"] = "customer"  # card networks want to know (stored credential)
    descriptor: str = ""  # what the payer's statement shows: the practice's neutral name
    capture: bool = True  # False: only authorize, to be captured later
    return_url: str = ""  # where a payer who has to go to the processor's page comes back to: an address of ours
    merchant_reason: MerchantReason = ""  # empty: unscheduled
    network_reference: str = ""  # the card network's id of the payer's first payment by this method, for who takes it
    partial: bool = True  # less than the amount may be approved, where the processor asks before it does so
    kind: Literal["card", "bank"] = "card"  # of the stored method
    mandate: str = ""  # of a stored bank account: the processor's id of the authorization
    retry: int = 0  # of a bank debit that came back for want of funds: which try again this is
    pay_by: tuple[Literal["card", "bank"], ...] = ("card",)  # what the processor's page is to offer
    reader: str = ""  # the processor's id of the reader that the payer stands at

    def __post_init__(self) -> None:
        if not _OPAQUE.match(self.reference):
            raise ValueInvalid("a payment's reference is an identifier that we made, nothing else")
        if self.method and not _TOKEN.match(self.method):
            raise ValueInvalid("a method is a processor's token, nothing else")
        if self.mandate and not _TOKEN.match(self.mandate):
            raise ValueInvalid("a mandate is a processor's token, nothing else")
        if self.reader and not _TOKEN.match(self.reader):
            raise ValueInvalid("a reader is a processor's id, nothing else")
        if self.descriptor and not _DESCRIPTOR.match(self.descriptor):
            raise ValueInvalid("a descriptor has at most 22 characters: letters, digits, space, . * & ' -")
        if self.return_url and not _RETURN_URL.match(self.return_url):
            raise ValueInvalid("a payer comes back to a plain address of ours, without parameters")
        if self.network_reference and not is_network_reference(self.network_reference):
            raise ValueInvalid("a card network's id is letters and digits, nothing else")
        if self.merchant_reason and self.initiated_by != "merchant":
            raise ValueInvalid("only what the merchant initiates has a merchant's reason")
        if self.amount.minor <= 0:
            raise RuleBroken(f"a payment of {self.amount} can't be asked for")


@dataclass(frozen=True, slots=True)
class OperationRef:
    """An earlier operation, by everything a lookup may use."""

    kind: OperationKind
    our_reference: str  # what we sent as reference: of the payment, or of the refund
    processor_reference: Reference | None
    amount: Money
    age: timedelta  # since it was (first) sent
    payment_reference: Reference | None = None  # the processor's id of the payment, once it is known
    last: timedelta | None = None  # since it was last sent, where it was more than once
    reader: str = ""  # of a card reader's payment: the processor's id of the reader

    @property
    def quiet(self) -> timedelta:
        """How long nothing of it has gone out: what counts for absence."""
        return self.age if self.last is None else min(self.last, self.age)


@dataclass(frozen=True, slots=True)
class Details:
    """What may be shown of the method that paid."""

    brand: str = ""
    last4: str = ""
    authorization: str = ""
    expires: str = ""  # YYYY-MM
    network: str = ""  # the card network's id of this payment
    kind: Literal["", "card", "bank"] = ""
    entry_mode: EntryMode = ""


# ── outcomes ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Prepared:
    """The processor knows of it and has moved no money. `url` where the payer has to go there.

    Without `Capabilities.prepares` the processor knows nothing yet: `reference` is what it will be told, to look it up
    by. `posts`: the payer's browser has to post what stands behind the `#` of the url, as `token`: see `Posting`.
    """

    reference: Reference
    url: str = ""
    expires_at: datetime | None = None
    posts: bool = False


@dataclass(frozen=True, slots=True)
class Return:
    """Money of a capture that came back after it had been ours: a bank debit returned, a capture that failed late.

    `code` is the network's own (R01 of NACHA) or the processor's word. `reversed_by` is the processor's id of what
    brought it to us again, where the return itself was taken back.
    """

    reference: Reference
    amount: Money
    at: datetime
    code: str = ""
    reason: str = ""  # a sentence that the desk may read out
    fee: Money | None = None  # what the processor takes for it
    reversed_by: Reference | None = None
    reversed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice of change (NACHA's C01 …): the bank has taken the debit, and says what to put right for the next one."""

    reference: Reference
    code: str
    says: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Approved:
    """Done. `amount` may be less than asked; `reference` is that of this capture, authorization, void or refund.

    `payment` is the processor's id of the whole payment, where one came to be (a hosted page that was paid).
    `given_back` is what has gone back of a captured payment in all, where the processor's object says so.
    `returns` are the times that the money of this capture came back, each told again in every later outcome.
    """

    reference: Reference
    amount: Money
    captured: bool = True
    details: Details = field(default_factory=Details)
    at: datetime | None = None
    payment: Reference | None = None
    given_back: Money | None = None
    returns: tuple[Return, ...] = ()
    returnable_until: datetime | None = None  # of a bank debit: until then it may come back
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Declined:
    """Nothing was taken; why, in our words (declines.py says what it means). `said`: the processor's own code."""

    code: DeclineCode = DeclineCode.DECLINED
    reference: Reference | None = None
    said: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "said", declines.as_it_came(self.said))

    @classmethod
    def of(
        cls,
        said: str,
        codes: Mapping[str, DeclineCode],
        reference: Reference | None = None,
        *,
        stop: bool = False,
    ) -> Declined:
        """A processor's code by the adapter's `DECLINES`. `stop`: the bank or the network forbids another try."""
        return cls(declines.code_of(said, codes, stop=stop), reference, said)

    @property
    def meaning(self) -> Decline:
        return declines.TABLE[self.code]


@dataclass(frozen=True, slots=True)
class ActionNeeded:
    """The payer has to do something first. Neither a decline nor worth a retry."""

    url: str = ""
    reference: Reference | None = None


@dataclass(frozen=True, slots=True)
class Pending:
    """Accepted; the result comes later."""

    reference: Reference | None = None


@dataclass(frozen=True, slots=True)
class InReview:
    """Held by the processor for a look. Neither approved nor declined."""

    reference: Reference | None = None


@dataclass(frozen=True, slots=True)
class Canceled:
    """It ended without money: canceled, or its page expired. After a capture: voided, taking back `undoes`.

    `undoes` without `amount`: the processor doesn't say whether it had been captured; if it was, that is taken back.
    """

    reference: Reference | None = None
    expired: bool = False
    undoes: Reference | None = None
    amount: Money | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have happened. Only a lookup, an event or a person leads out of here.

    `silent`: of a call, no answer to its key came at all, so the call itself may still be on its way.
    """

    why: str
    silent: bool = False


@dataclass(frozen=True, slots=True)
class ProvenAbsent:
    """Looked up after the rail's horizon: the processor never did it, and won't."""


Outcome = Approved | Declined | ActionNeeded | Pending | InReview | Canceled | Unknown | ProvenAbsent


# ── events and stored methods ─────────────────────────────────────────────────────────────────────────────────────


class EventAbout(StrEnum):
    PAYMENT = "payment"
    REFUND = "refund"
    PAGE = "page"
    DISPUTE = "dispute"
    REPORT = "report"  # of what was paid out; `processor_reference` is its name
    OTHER = "other"  # kept and ignored


@dataclass(frozen=True, slots=True)
class Stated:
    """What a signed event says itself of an operation, at a processor where nothing can be read.

    `of` None: of whatever made the payment. `key` is the idempotency key of the call that it answers, where the event
    tells; without such a call our reference of the payment. Of several `outcomes` the later follows from the earlier (a
    refund that came back had gone out): told together, they end the same in whatever order events arrive. Only what the
    signature covers may stand here.
    """

    of: OperationKind | None
    outcomes: tuple[Approved | Declined | Canceled, ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class DisputeMoney:
    """A line of money that a dispute has moved, by the processor's id of it: taken from us, or (`back`) given back."""

    reference: Reference
    amount: Money  # above zero
    back: bool
    fee: Money  # of the dispute, taken with it; below zero: given back
    at: datetime
    round: int = 1


@dataclass(frozen=True, slots=True)
class DisputeSeen:
    """A dispute as the processor shows it now. A payment may have several.

    `round` counts how often it was taken up: a processor that doesn't say so is read by its money, which comes back
    where a round is won. `payment` is the processor's id of the whole payment.
    """

    reference: Reference
    payment: Reference
    state: DisputeState
    amount: Money
    opened_at: datetime
    money: tuple[DisputeMoney, ...] = ()
    round: int = 1
    reason: str = ""  # the processor's word
    return_code: str = ""  # of a bank debit that came back as a dispute: NACHA's code, or the processor's word
    respond_by: datetime | None = None  # evidence is taken until then


@dataclass(frozen=True, slots=True)
class ProcessorEvent:
    """A verified event. It says what to look at again; what it says of money is never believed by itself.

    But for a processor that is not `readable`: there `states` is all that will ever be known, and it is applied.
    """

    id: str
    type: str
    about: EventAbout
    our_reference: str
    processor_reference: Reference | None
    occurred_at: datetime
    states: Stated | None = None
    dispute: DisputeSeen | None = None  # the same, of a dispute: as much as this event states of it
    body: bytes | None = None  # its part of what came, where several came together


@dataclass(frozen=True, slots=True)
class Method:
    """A payment method kept by the processor. No number of it has ever been here."""

    token: str
    brand: str
    last4: str
    expires: str = ""  # YYYY-MM
    kind: Literal["card", "bank"] = "card"
    mandate: str = ""  # of a bank account: the processor's id of the payer's authorization


# ── the port ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Processor(Protocol):
    """Stateless: the caller persists. Each method may raise ProcessorUnavailable (nothing happened, retry is safe)."""

    name: str
    capabilities: Capabilities

    async def prepare(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined:
        """An id to look up by; no money moves, so doubt about this call is `ProcessorUnavailable` too."""
        ...

    async def submit(self, prepared: Reference, request: PaymentRequest, *, idempotency_key: str) -> Outcome:
        """Move the money, or hold it: with the request that was prepared, field by field the same."""
        ...

    async def capture(self, authorization: Reference, amount: Money, *, idempotency_key: str) -> Outcome:
        """Take the amount, once; what was held beyond it is released. `authorization` is the payment's id there: what
        `prepare` gave, or the outcome named as `payment` where the capabilities say that it prepares nothing."""
        ...

    async def void(self, payment: Reference, *, idempotency_key: str) -> Outcome:
        """End it without money. A captured payment is `Declined` here, unless `void_after_capture`: refund it."""
        ...

    async def refund(
        self, payment: Reference, amount: Money, *, our_reference: str, idempotency_key: str
    ) -> Outcome: ...

    async def lookup(self, operation: OperationRef) -> Outcome:
        """`Unknown` until proof, whichever way. Never has an effect."""
        ...

    def read_events(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Sequence[ProcessorEvent]:
        """What came in one delivery: at least one event. Raises NotAuthenticated unless each is signed by one of ours,
        and freshly where the signature carries a time. Believes nothing before that."""
        ...

    def scrub(self, transcript: str) -> str:
        """The transcript without keys, tokens and signatures: what a test or a support case may keep."""
        ...


@runtime_checkable
class Renaming(Protocol):
    """Optional: a processor that takes fewer characters than our references have, and is told a shorter name."""

    def sent_as(self, our_reference: str) -> str:
        """What the processor is told, and repeats in its events, instead of this reference. Always the same."""
        ...


@runtime_checkable
class Settling(Protocol):
    """Optional: a processor that gives back only what has settled (`refund_before_settlement` is false)."""

    async def has_settled(self, payment: Reference) -> bool:
        """Whether waiting is over: it has settled, or never will. Raises ProcessorUnavailable when it can't be said."""
        ...


@runtime_checkable
class Posting(Protocol):
    """Optional: a processor whose pages are shown to whoever posts a token to them (`Prepared.posts`)."""

    def page_address(self, what: Literal["pay", "store"]) -> str:
        """Where the payer's browser posts it."""
        ...


@runtime_checkable
class Hosted(Protocol):
    """Optional: the payer pays on a page of the processor. Announced by `capabilities.hosted`."""

    async def open_page(self, request: PaymentRequest, *, idempotency_key: str) -> Prepared | Declined: ...

    async def close_page(self, page: Reference, *, idempotency_key: str) -> None:
        """Ask that nobody can pay there any more. What became of the page is for a lookup to say, whatever the answer:
        it may have been paid, or have ended, a moment earlier. Raises ProcessorUnavailable when nothing was sent."""
        ...


@runtime_checkable
class Vault(Protocol):
    """Optional: methods kept by the processor. Announced by `capabilities.vault`."""

    async def open_setup_page(self, our_reference: str, *, return_url: str, idempotency_key: str) -> Prepared: ...

    async def read_method(self, token: str) -> Method | None:
        """None when there is no such method, or not any more."""
        ...


@runtime_checkable
class Disputes(Protocol):
    """Optional: disputes can be read. Announced by `capabilities.disputes`.

    Evidence is uploaded by a person at the processor: no way leads from here to there.
    """

    async def read_dispute(self, dispute: Reference) -> DisputeSeen | Unknown:
        """As it is now. `Unknown` for whatever can't be read, or says what we don't know."""
        ...

    async def accept_dispute(self, dispute: Reference, *, idempotency_key: str) -> Outcome:
        """Give it up; announced by `capabilities.accept_disputes`. `Approved` with its amount, not captured: it is lost
        by now, whoever decided that. `Declined`: it has ended otherwise, or can't be given up. `lookup` of the kind
        `ACCEPT_DISPUTE`, by the dispute's id, answers the same way."""
        ...


@runtime_checkable
class BankVault(Protocol):
    """Optional, beside `Vault`: bank accounts kept by the processor. Announced by `capabilities.bank_debits`."""

    async def open_bank_page(self, our_reference: str, *, return_url: str, idempotency_key: str) -> Prepared:
        """Where the payer names an account and authorizes debits of it. Then `Vault.read_method`, as with a card."""
        ...
