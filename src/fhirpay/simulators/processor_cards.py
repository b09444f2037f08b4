"""What happens to a payment at the simulated processor, by token, by card or by amount. Data only.

Everything is deterministic: the same token, card or amount always does the same, so that a demo and a test can ask
for what they want to see. To add a behaviour: a line in `TOKENS`, and in `CARDS` if a payer can type it on the page.

| token | card number on the hosted page | what happens |
|---|---|---|
| tok_visa | 4242 4242 4242 4242 | approved |
| tok_mastercard | 5555 5555 5555 4444 | approved |
| tok_decline | 4000 0000 0000 0002 | declined by the bank |
| tok_funds | 4000 0000 0000 9995 | declined: insufficient funds |
| tok_partial | 4000 0000 0000 0341 | half of the amount approved (a prepaid card) |
| tok_action | 4000 0000 0000 3220 | the payer has to confirm on a page of the bank |
| tok_processing | 4000 0000 0000 0077 | accepted, captured two days later |
| tok_returns | 4000 0000 0000 0085 | accepted, fails two days later |
| tok_review | 4000 0000 0000 9235 | held for review |
| tok_timeout | 4000 0000 0000 0119 | captured, and no answer is given |
| tok_weird | 4000 0000 0000 0127 | captured under a status that nobody has heard of |
| tok_refundpending | 4000 0000 0000 7726 | approved; its refunds take two days |
| tok_refundfails | 4000 0000 0000 5126 | approved; its refunds are pending, then fail |
| tok_comesback | 4000 0000 0000 0259 | captured; its settlement fails two days later |

Bank accounts (ACH) are accepted first and answer later; all but the last two clear two days later:

| token | account number on the page | what happens |
|---|---|---|
| ba_ok | 000123456789 | clears |
| ba_fails | 000111111116 | does not clear: R01 |
| ba_closed | 000111111113 | does not clear: R02 |
| ba_funds | 000222222227 | clears; comes back four days later: R01 |
| ba_uncollected | 000222222228 | clears; comes back four days later: R09 |
| ba_unauthorized | 000222222229 | clears; comes back 30 days later: R10 |
| ba_changed | 000333333333 | clears, with a notice of change: C01 |

With any approving method an amount that ends in .01 is declined, in .02 declined for insufficient funds, and in .03
approved for half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Result = Literal["captured", "declined", "partial", "requires_action", "processing", "in_review", "weird"]


@dataclass(frozen=True, slots=True)
class Returns:
    """A capture that comes back: why, and how long after it."""

    code: str
    after_s: float = 2 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Behaviour:
    result: Result = "captured"
    decline_code: str = ""
    later: Literal["captured", "failed"] = "captured"  # what a payment in processing comes to
    why: str = ""  # it fails, by the bank's code
    notice: str = ""  # a notice of change that comes with it
    refund: Literal["succeeded", "pending", "fails"] = "succeeded"
    answers: bool = True
    returns: Returns | None = None  # what is captured comes back


@dataclass(frozen=True, slots=True)
class TestCard:
    """A card, or (`kind`) a bank account."""

    token: str
    brand: str
    last4: str
    kind: Literal["card", "bank"] = "card"


TOKENS: dict[str, Behaviour] = {
    "tok_visa": Behaviour(),
    "tok_mastercard": Behaviour(),
    "tok_decline": Behaviour("declined", "card_declined"),
    "tok_funds": Behaviour("declined", "insufficient_funds"),
    "tok_partial": Behaviour("partial"),
    "tok_action": Behaviour("requires_action"),
    "tok_processing": Behaviour("processing"),
    "tok_returns": Behaviour("processing", later="failed"),
    "tok_review": Behaviour("in_review"),
    "tok_timeout": Behaviour(answers=False),
    "tok_weird": Behaviour("weird"),
    "tok_refundpending": Behaviour(refund="pending"),
    "tok_refundfails": Behaviour(refund="fails"),
    "ba_ok": Behaviour("processing"),
    "ba_fails": Behaviour("processing", later="failed", why="R01"),
    "ba_closed": Behaviour("processing", later="failed", why="R02"),
    "ba_funds": Behaviour("processing", returns=Returns("R01", 4 * 24 * 3600)),
    "ba_uncollected": Behaviour("processing", returns=Returns("R09", 4 * 24 * 3600)),
    "ba_unauthorized": Behaviour("processing", returns=Returns("R10", 30 * 24 * 3600)),
    "ba_changed": Behaviour("processing", notice="C01"),
    "tok_comesback": Behaviour(returns=Returns("settlement_failed")),
}

CARDS: dict[str, TestCard] = {
    "4242424242424242": TestCard("tok_visa", "visa", "4242"),
    "5555555555554444": TestCard("tok_mastercard", "mastercard", "4444"),
    "4000000000000002": TestCard("tok_decline", "visa", "0002"),
    "4000000000009995": TestCard("tok_funds", "visa", "9995"),
    "4000000000000341": TestCard("tok_partial", "visa", "0341"),
    "4000000000003220": TestCard("tok_action", "visa", "3220"),
    "4000000000000077": TestCard("tok_processing", "visa", "0077"),
    "4000000000000085": TestCard("tok_returns", "visa", "0085"),
    "4000000000009235": TestCard("tok_review", "visa", "9235"),
    "4000000000000119": TestCard("tok_timeout", "visa", "0119"),
    "4000000000000127": TestCard("tok_weird", "visa", "0127"),
    "4000000000007726": TestCard("tok_refundpending", "visa", "7726"),
    "4000000000005126": TestCard("tok_refundfails", "visa", "5126"),
    "4000000000000259": TestCard("tok_comesback", "visa", "0259"),
}

BANK = "TEST BANK"
ACCOUNTS: dict[str, TestCard] = {
    "000123456789": TestCard("ba_ok", BANK, "6789", "bank"),
    "000111111116": TestCard("ba_fails", BANK, "1116", "bank"),
    "000111111113": TestCard("ba_closed", BANK, "1113", "bank"),
    "000222222227": TestCard("ba_funds", BANK, "2227", "bank"),
    "000222222228": TestCard("ba_uncollected", BANK, "2228", "bank"),
    "000222222229": TestCard("ba_unauthorized", BANK, "2229", "bank"),
    "000333333333": TestCard("ba_changed", BANK, "3333", "bank"),
}

DECLINES = {
    "card_declined": "The card was declined by the bank.",
    "insufficient_funds": "The card has insufficient funds.",
    "authentication_failed": "The payer did not confirm the payment.",
    "expired_method": "The stored method can't be used any more.",
}

# Why a capture came back: codes of NACHA's for bank debits, a word of this processor's for cards.
RETURNS = {
    "settlement_failed": "The card's bank did not settle the payment.",
    "R01": "Insufficient funds.",
    "R02": "The account is closed.",
    "R03": "There is no such account.",
    "R04": "The account number is invalid.",
    "R05": "Unauthorized debit to a consumer account.",
    "R07": "The authorization was revoked.",
    "R08": "The payment was stopped.",
    "R09": "Uncollected funds.",
    "R10": "The account holder did not authorize it.",
    "R11": "Not in accordance with the authorization.",
    "R16": "The account is frozen.",
    "R20": "Not a transaction account.",
    "R29": "The corporate customer did not authorize it.",
}

BY_CENTS: dict[int, Behaviour] = {
    1: Behaviour("declined", "card_declined"),
    2: Behaviour("declined", "insufficient_funds"),
    3: Behaviour("partial"),
}


def card_of(token: str) -> TestCard | None:
    """The test card or bank account behind a token."""
    return next((card for card in (*CARDS.values(), *ACCOUNTS.values()) if card.token == token), None)


def behaviour(token: str, amount: int) -> Behaviour:
    """What a payment of this amount with this token does. Raises KeyError for a token that doesn't exist."""
    found = TOKENS[token]
    return BY_CENTS.get(amount % 100, found) if found.result == "captured" and found.answers else found
