"""What clients send: pydantic models, read from JSON whose numbers keep their digits. Errors name the field.

Free text that goes on record (a reason, a consent) is refused when it holds a card number.
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from fastapi import Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from ...domain.money import Money
from ...errors import MessageInvalid, RequiredMissing, ValueInvalid
from ...fhir.json import loads
from ...inbox.search import Selector
from ...inbox.store import State
from ...security.pan import screen_text
from ..hl7v2 import bounded_body

M = TypeVar("M", bound=BaseModel)
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Amount(Body):
    value: Decimal
    currency: str

    @property
    def money(self) -> Money:
        amount = Money.of(self.value, self.currency)
        if amount.minor <= 0:
            raise ValueInvalid("an amount is above zero", location="amount.value")
        return amount

    @property
    def share(self) -> Money:
        """What a patient owes, which may be nothing."""
        amount = Money.of(self.value, self.currency)
        if amount.minor < 0:
            raise ValueInvalid("nobody owes less than nothing", location="amount.value")
        return amount

    @property
    def counted(self) -> Money:
        """What lies in a till, which may be nothing."""
        amount = Money.of(self.value, self.currency)
        if amount.minor < 0:
            raise ValueInvalid("no less than nothing lies in a till", location="amount.value")
        return amount


class Hosted(Body):
    return_url: str = Field(default="", max_length=2000, description="where the payer is sent afterwards")


class MethodChoice(Body):
    """Exactly one of the three."""

    stored_method: str | None = None
    hosted: Hosted | None = None
    terminal: Short | None = Field(default=None, description="the card reader, as /terminals names it")

    @model_validator(mode="after")
    def _one(self) -> MethodChoice:
        if [self.stored_method, self.hosted, self.terminal].count(None) != 2:
            raise ValueError("give one of stored_method, hosted, terminal")
        return self


class PartBody(Body):
    obligation: str
    amount: Amount


class SpreadBody(Body):
    """What is paid: of an account, oldest first or in proportion; or of each obligation so much, as chosen."""

    account: Short | None = Field(default=None, description="Account/ID, or system|value")
    obligations: tuple[str, ...] = Field(default=(), max_length=100)
    amount: Amount | None = None
    spread: Literal["oldest", "proportional"] = "oldest"
    parts: tuple[PartBody, ...] = Field(default=(), max_length=100, description="instead: so much of each")

    @model_validator(mode="after")
    def _something(self) -> SpreadBody:
        if self.account is None and not self.obligations and not self.parts:
            raise ValueError("say what is to be paid: an account, obligations, or parts")
        if self.parts and self.obligations:
            raise ValueError("give either obligations or parts")
        named = [one.obligation for one in self.parts]
        if len(set(named)) < len(named):
            raise ValueError("an obligation stands in parts once")
        return self

    @property
    def named(self) -> tuple[str, ...]:
        return self.obligations or tuple(one.obligation for one in self.parts)

    @property
    def chosen(self) -> dict[str, Money]:
        return {one.obligation: one.amount.money for one in self.parts}

    @property
    def whole(self) -> Money | None:
        """What is to be paid in all; None: all that may be asked for. Raises ValueInvalid for parts that sum to other
        than the amount that is said."""
        said, parts = self.amount.money if self.amount else None, list(self.chosen.values())
        total = sum(parts[1:], parts[0]) if parts else said
        if said is not None and total != said:
            raise ValueInvalid(f"the parts come to {total}, the payment to {said}", location="parts")
        return total


class NewPaymentBody(SpreadBody):
    """Without `amount`: all that may be asked for now. `capture` manual: only authorize, by a stored method."""

    method: MethodChoice
    capture: Literal["automatic", "manual"] = "automatic"
    merchant_initiated: Literal["recurring", "installment", "unscheduled"] | None = Field(
        default=None, description="the payer is not there to be asked: by a stored method with consent, and why"
    )

    @model_validator(mode="after")
    def _by_stored_method(self) -> NewPaymentBody:
        if self.merchant_initiated and self.method.stored_method is None:
            raise ValueError("without the payer only a stored method can be charged")
        return self


class NewCaptureBody(Body):
    """Without `amount`: all that is authorized. With less, the rest is released."""

    amount: Amount | None = None


class NewVoidBody(Body):
    """Nothing to say: a payment is voided whole."""


class NewCancelBody(Body):
    """Nothing to say: the reader stops waiting for a card."""


class NewReversalBody(Body):
    """A payment is reversed whole."""

    reason: Short


class NewRefundBody(Body):
    """Without `amount`: all that is left."""

    payment: str
    amount: Amount | None = None
    reason: Short
    while_returnable: bool = Field(
        default=False, description="approve it though the bank may still take the payment back: it would go back twice"
    )


class NewSetupBody(Body):
    account: Short
    facility: str | None = None
    kind: Literal["card", "bank"] = Field(default="card", description="what the payer is to store")


class ConsentBody(Body):
    text: Text = Field(description="what the payer agreed to, word for word")
    cap: Amount = Field(description="most that may be taken at once without asking")
    sec_code: Literal["WEB", "PPD", "TEL", "CCD"] | None = Field(
        default=None, description="of a bank account: how the payer authorized debits (NACHA)"
    )


class NewMethodBody(Body):
    account: Short
    setup: str = Field(description="of the page on which the payer has stored the method", max_length=100)
    facility: str | None = None
    consent: ConsentBody | None = None


class StaffBody(Body):
    """Who decides, at the client's side: kept with what they decide."""

    by: Short = Field(description="the person, as the client knows them", examples=["jdoe"])


class TenderBody(Body):
    """What was handed over. A check has its own number; a card of the practice's terminal what the slip says."""

    kind: Literal["cash", "check", "external_card"]
    till: Short = Field(description="of the configuration", examples=["front"])
    tendered: Amount | None = Field(default=None, description="cash as it was handed over, before the change")
    check_number: Words = Field(default="", description="ten digits at most", examples=["1041"])
    brand: Words = Field(default="", examples=["visa"])
    last4: Words = Field(default="", examples=["4242"])
    authorization: Words = Field(default="", description="as the terminal's slip has it", examples=["A1B2C3"])
    payer: Words = Field(default="", description="whose money it is, where not the patient's or guarantor's")


class NewDeskPaymentBody(SpreadBody, StaffBody):
    """Without `amount`: all that may be asked for now."""

    tender: TenderBody


class SplitPartBody(Body):
    """So much by what is handed over (`tender`), or by a processor (`method`)."""

    amount: Amount
    tender: TenderBody | None = None
    method: MethodChoice | None = None

    @model_validator(mode="after")
    def _one(self) -> SplitPartBody:
        if (self.tender is None) == (self.method is None):
            raise ValueError("give either tender or method")
        return self


class NewSplitBody(StaffBody):
    """What is owed of an account, or these obligations of it, oldest first, by several tenders at once."""

    account: Short = Field(description="Account/ID, or system|value")
    obligations: tuple[str, ...] = Field(default=(), max_length=100)
    tenders: tuple[SplitPartBody, ...] = Field(min_length=2, max_length=10)


class NewDepositBody(StaffBody):
    """On an account, or on the account of an appointment."""

    account: Short | None = Field(default=None, description="Account/ID, or system|value")
    appointment: Words = Field(default="", examples=["Appointment/a1"])
    amount: Amount
    tender: TenderBody
    purpose: Short = Field(description="what it is for: the receipt says it", examples=["surgery in December"])

    @model_validator(mode="after")
    def _for_what(self) -> NewDepositBody:
        if self.account is None and not self.appointment:
            raise ValueError("say what it is for: an account or an appointment")
        return self


class ApplyCreditBody(StaffBody):
    """Without `amount`: as much as it takes."""

    account: Short = Field(description="where the credit stands: Account/ID, or system|value")
    payment: Short = Field(description="whose credit it is", examples=["pay01k2…"])
    obligation: Short = Field(examples=["obl01k2…"])
    amount: Amount | None = None
    reason: Short = Field(examples=["she asked for it"])


class ReallocationBody(StaffBody):
    """Without `amount`: as much as there is and as the other one takes."""

    payment: Short = Field(examples=["pay01k2…"])
    from_: Short = Field(alias="from", description="the obligation that it pays", examples=["obl01k2…"])
    to: Short = Field(description="the obligation that it is to pay", examples=["obl01k3…"])
    amount: Amount | None = None
    reason: Short = Field(examples=["it was meant for the other visit"])


class DeskVoidBody(StaffBody):
    till: Short = Field(description="where it was taken", examples=["front"])
    reason: Short = Field(examples=["typed 80.00 for 8.00"])


class HandedBackBody(Body):
    """How it is given back. The check is the practice's own."""

    kind: Literal["cash", "check"]
    till: Short = Field(description="of the configuration", examples=["front"])
    check_number: Words = Field(default="", description="ten digits at most", examples=["20017"])


class DeskRefundBody(StaffBody):
    """Without `amount`: all that is left."""

    payment: Short = Field(examples=["pay01k2…"])
    amount: Amount | None = None
    tender: HandedBackBody
    reason: Short = Field(examples=["the surgery was called off"])
    while_returnable: bool = Field(
        default=False, description="give it back though the check that it was paid by may still bounce"
    )


class OpenTillBody(StaffBody):
    """`float` comes from the safe, on top of what was left in the till."""

    float_: Amount | None = Field(default=None, alias="float")


class CashBody(StaffBody):
    amount: Amount


class CashForBody(CashBody):
    reason: Short = Field(examples=["stamps"])


class CountBody(StaffBody):
    counted: Amount = Field(description="all that lies in the till")


class SafeBody(StaffBody):
    """From the bank, or what lay in the safe when the books began."""

    amount: Amount
    source: Literal["bank", "opening"]
    reason: Words = Field(default="", examples=["change for the week"])


class NewBagBody(StaffBody):
    """What goes to the bank at once."""

    facility: Short = Field(default="main", examples=["main"])
    checks: tuple[Short, ...] = Field(
        default=(), max_length=500, description="payments by check", examples=[["pay01k2…"]]
    )
    cash: Amount | None = Field(default=None, description="of the facility's safe")
    slip: Words = Field(default="", description="the deposit slip's number", examples=["000123"])


class ReturnedCheckBody(StaffBody):
    """As the bank's notice has it."""

    payment: Short = Field(examples=["pay01k2…"])
    reason: Short = Field(examples=["insufficient_funds"])
    fee: Amount | None = Field(default=None, description="what the bank takes for it")


class MandateBody(StaffBody):
    """Made active again by staff, once it is put right, or revoked by the payer."""

    state: Literal["active", "revoked"]
    why: Short = Field(examples=["agreed by phone"])


class NewHoldBody(StaffBody):
    account: Short = Field(description="Account/ID, or system|value", examples=["urn:clinic:account|A100"])
    name: Short = Field(description="what kind of hold", examples=["dispute"])
    says: Short = Field(description="why, in a sentence for the desk", examples=["the patient disputes the charge"])


class DecisionBody(StaffBody):
    why: Short = Field(examples=["agreed by phone"])


class NewShareBody(StaffBody):
    account: Short = Field(description="Account/ID, or system|value", examples=["urn:clinic:account|A100"])
    amount: Amount = Field(description="what the patient owes of the account, in all")
    reason: Short = Field(examples=["quoted before the visit"])


class SelfPayBody(StaffBody):
    account: Short = Field(description="Account/ID, or system|value", examples=["urn:clinic:account|A100"])
    reason: Short = Field(examples=["the coverage ended before the visit"])


class SecondChargeBody(StaffBody):
    charge: Short = Field(description="as the worklist names it", examples=["ChargeItem/cha01k2…"])
    reason: Short = Field(examples=["given twice that day, by the ward's record"])


class WriteOffBody(StaffBody):
    """Without `amount`: all that is open of it."""

    obligation: Short = Field(description="as /obligations names it", examples=["obl01k2…"])
    kind: Literal["charity", "bad_debt", "small_balance"]
    amount: Amount | None = None
    reason: Short = Field(examples=["under the limit of what is asked for"])


class Selection(Body):
    """All that is said must hold. By patient and account those are found that have been worked on."""

    patient: Words = Field(default="", description="an identifier, or a name", examples=["MRN1", "Doe Ann"])
    account: Words = Field(default="", description="its number", examples=["A100"])
    control_id: Words = Field(default="", description="MSH-10, or an event's id", examples=["MSG00017"])
    type: Words = Field(default="", description="with its event or without", examples=["DFT^P03", "DFT"])
    interface: Words = ""
    state: Literal["", State] = ""
    since: AwareDatetime | None = Field(default=None, description="received then or later, with its offset")
    until: AwareDatetime | None = Field(default=None, description="received before then")

    @property
    def selector(self) -> Selector:
        return Selector(**self.model_dump())


class FindMessagesBody(Selection):
    """In a body, since an address is logged on its way: a name has no place in one."""

    limit: int = Field(default=50, ge=1, le=200)
    cursor: str = Field(default="", max_length=1000, description="of the page before: `next_cursor`")

    @property
    def selector(self) -> Selector:
        return Selector(**self.model_dump(exclude={"limit", "cursor"}))


class WhichMessagesBody(Body):
    """Messages by id, or as selected, the newest `limit` of them. Exactly one of the two."""

    messages: tuple[Short, ...] = Field(default=(), max_length=100, examples=[["msg01k2…"]])
    selection: Selection | None = Field(default=None, examples=[{"state": "parked", "type": "DFT"}])
    limit: int = Field(default=25, ge=1, le=100)

    @model_validator(mode="after")
    def _which(self) -> WhichMessagesBody:
        if bool(self.messages) == (self.selection is not None):
            raise ValueError("say which messages: either their ids or a selection")
        if self.selection is not None and self.selection.selector.empty:
            raise ValueError("an empty selection would be every message: say what they have in common")
        return self


class PreviewReplayBody(WhichMessagesBody):
    limit: int = Field(default=10, ge=1, le=25)


class ReplayBody(WhichMessagesBody, StaffBody):
    why: Short = Field(examples=["the profile says by now what CO means"])


async def read(request: Request, model: type[M], *, max_bytes: int) -> tuple[bytes, M]:
    """The body, and what it says. Raises TooLarge, or MessageInvalid with the field's address."""
    raw = await bounded_body(request, max_bytes)
    return raw, parse(model, loads(raw))


def parse(model: type[M], content: dict[str, Any]) -> M:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        kind = RequiredMissing if first["type"] == "missing" else MessageInvalid
        raise kind(first["msg"].removeprefix("Value error, "), location=where or "body") from None


class DisputeEndBody(DecisionBody):
    """How a dispute ended, by whoever has looked at the processor. No text names a patient."""

    ended: Literal["won", "lost"]


class FoundBody(StaffBody):
    """What became of an operation that nobody knows, by whoever has looked. No text names a patient."""

    became: Literal["done", "not_done"] = Field(examples=["not_done"])
    reference: str = Field(default="", max_length=100, description="of `done`: the processor's id of it")
    why: Short = Field(examples=["lookups fail since noon"])
    evidence: Short = Field(examples=["dashboard, 30 Nov 16:10"])


def checked_text(text: str, where: str) -> str:
    """Raises ValueInvalid for text that holds a card number: it would be kept for ever."""
    if screen_text(text)[1]:
        raise ValueInvalid("this text holds a card number; leave it out", location=where)
    return text


def checked_url(url: str, location: str = "return_url") -> str:
    """A page to send a payer back to. Raises ValueInvalid."""
    if url:
        try:
            parts = urlsplit(url)
            web = parts.scheme in ("https", "http") and bool(parts.hostname) and not parts.username
        except ValueError:  # such as half an IPv6 address
            web = False
        if not web:
            raise ValueInvalid("a page to return to is a web address", location=location)
    return url


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """Made once: several tenants have the same routes."""
    return model.model_json_schema()


def openapi(model: type[BaseModel], *, once: bool = True, example: Any = None) -> dict[str, Any]:
    """For a route's `openapi_extra`: it reads its body itself, and documents it all the same.

    `once`: it makes something, and wants an Idempotency-Key.
    """
    content = {"application/json": {"schema": _schema(model)}}
    if example is not None:
        content["application/json"]["example"] = example
    body = {"required": True, "content": content}
    if not once:
        return {"requestBody": body}
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "maxLength": 255},
    }
    return {"requestBody": body, "parameters": [key]}
