"""What is posted of a payment, a refund or an adjustment. Made by usecases/posted_facts.py, for every renderer.

A payment pays in lines, one for each allocation; what no line claims is an `advance` on the account, and the lines
always sum to the whole. A refund, a void or a return is a posting of its own, whose lines name what they take back; and
so is what reverses a return, which is a payment again, and money that came to pay something else: a posting of nothing
in all, with lines that take back and lines `forward`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from ..domain.money import Money
from ..errors import InvariantBroken

CARD, BANK = "CCCA", "CDAC"
"""How it was paid, by HL7 table 0570."""

REST = 0
"""The number of what no line of a payment claims, as long as nobody has said how many lines there are."""

Ref = Mapping[str, Any]
"""A FHIR Reference as the EHR understands it: literal, or `type` and `identifier`."""


@dataclass(frozen=True, slots=True)
class Line:
    """One allocation. `number` counts within the payment or refund; `takes_back` is an allocation's identifier.

    `target` and `of_account` are our own references, for a renderer that names things in another way.
    """

    number: int
    amount: Money
    pays: Ref | None
    account: Ref | None = None
    encounter: Ref | None = None
    takes_back: str = ""
    advance: bool = False
    forward: bool = False  # of what takes back: this line pays, with what the others have taken
    target: str = ""
    of_account: str = ""


@dataclass(frozen=True, slots=True)
class PostedPayment:
    """What is posted, with amounts as they are said aloud: a refund or return of 30.00 has the amount 30.00. There is
    no `reference` where no processor and no check has a number for it."""

    id: str
    amount: Money
    at: datetime
    zone: str  # the facility's: payment dates are those of its till
    processor: str
    reference: str  # the processor's id of this payment or refund
    lines: Sequence[Line]
    account: Ref | None = None  # takes the unallocated rest
    refund_of: str = ""  # of what takes money back, the payment's id
    restores: str = ""  # of what had come back and came again: the payment's id
    returned: bool = False  # it was the bank, or the processor, that took it back: a return, or its reversal
    disputed: bool = False  # a dispute took it for good, or it came back of one that had been lost
    note: str = ""  # of a return: why, in the network's words
    whole: bool = False  # the refund takes all of the payment back
    says: str = ""  # what it is, where it is neither refund nor return: "Void of"
    channel: Literal["", "online", "deposit"] = ""
    method: str = CARD  # HL7 table 0570
    brand: str = ""
    last4: str = ""
    authorization: str = ""
    expires: str = ""  # the card: YYYY-MM
    of_account: str = ""  # our reference of `account`
    facility: str = ""


@dataclass(frozen=True, slots=True)
class PostedAdjustment:
    """An adjustment that we made, without a cash leg. `back`: what its lines name was taken back."""

    id: str
    kind: str  # discount, charity, bad_debt, small_balance
    at: datetime
    zone: str
    lines: Sequence[Line]
    of_account: str
    facility: str
    back: bool = False


Posted = PostedPayment | PostedAdjustment


def takes(posted: PostedPayment, line: Line) -> bool:
    """Whether the line takes money back."""
    return bool(posted.refund_of) and not line.forward


def allocation_id(posted_id: str, number: int) -> str:
    """The identifier of a line, by which a refund (or an adjustment) names what it takes back."""
    return f"{posted_id}-{number}"


def all_lines(posted: Posted) -> list[Line]:
    """The lines, with the rest that none claims. Raises InvariantBroken when they claim more than there is."""
    lines = list(posted.lines)
    if isinstance(posted, PostedAdjustment):
        return lines
    rest = sum((line.amount if line.forward else -line.amount for line in lines), posted.amount)
    if rest.minor < 0:
        raise InvariantBroken(f"{posted.id} is of {posted.amount}, and its lines claim {-rest} more")
    if rest:
        number = max((line.number for line in lines), default=0) + 1
        rest_line = Line(
            number, rest, posted.account, account=posted.account, advance=True, of_account=posted.of_account
        )
        lines.append(rest_line)
    return lines


def lines_for(posted: Posted, numbers: Collection[int]) -> list[Line]:
    """The lines of these numbers, REST being what of a payment no line claims; all where no numbers are given."""

    def number(line: Line) -> int:
        rest = isinstance(posted, PostedPayment) and line not in posted.lines
        return REST if rest else line.number

    return [line for line in all_lines(posted) if not numbers or number(line) in numbers]
