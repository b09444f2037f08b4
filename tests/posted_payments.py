"""What is posted of a payment and of a refund: the cases of tests/golden/writeback, and more states for validators."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fhirpay.domain.money import Money
from fhirpay.writeback.posted import BANK, Line, PostedPayment, allocation_id


def usd(text: str) -> Money:
    return Money.of(text, "USD")


def ref(reference: str) -> dict[str, Any]:
    return {"reference": reference}


ACCOUNT, VISIT = ref("Account/a1"), ref("Encounter/e1")
COPAY = PostedPayment(
    id="pay01",
    amount=usd("25.00"),
    at=datetime(2026, 11, 20, 19, 5, 9, 730, tzinfo=UTC),
    zone="America/New_York",
    processor="sim",
    reference="ch_1",
    lines=[Line(1, usd("25.00"), VISIT, account=ACCOUNT, encounter=VISIT)],
    account=ACCOUNT,
    brand="visa",
    last4="4242",
    authorization="A1B2C3",
)
SPLIT = replace(
    COPAY,
    id="pay02",
    amount=usd("300.00"),
    at=datetime(2026, 11, 20, 20, 0, tzinfo=UTC),
    reference="ch_2",
    lines=[
        Line(1, usd("120.00"), ref("ChargeItem/c1"), account=ACCOUNT, encounter=VISIT),
        Line(2, usd("80.00"), ref("ChargeItem/c2"), account=ACCOUNT, encounter=VISIT),
        Line(3, usd("60.00"), ref("Invoice/i1"), account=ACCOUNT),
    ],
    channel="online",
    brand="mastercard",
    last4="4444",
    authorization="D4E5F6",
)
REFUND = replace(
    SPLIT,
    id="ref01",
    amount=usd("30.00"),
    at=datetime(2026, 11, 25, 15, 0, tzinfo=UTC),
    reference="re_1",
    lines=[
        Line(
            1,
            usd("30.00"),
            ref("ChargeItem/c2"),
            account=ACCOUNT,
            encounter=VISIT,
            takes_back=allocation_id("pay02", 2),
        )
    ],
    refund_of="pay02",
    channel="",
    authorization="",
)
BY_BANK = replace(
    COPAY,
    id="pay03",
    amount=usd("100.00"),
    at=datetime(2026, 11, 23, 15, 0, tzinfo=UTC),
    reference="ch_3",
    lines=[Line(1, usd("100.00"), ref("Invoice/i2"), account=ACCOUNT)],
    method=BANK,
    brand="",
    last4="6789",
    authorization="",
)
RETURN = replace(
    BY_BANK,
    id="ret01",
    at=datetime(2026, 11, 27, 11, 10, tzinfo=UTC),
    reference="ret_1",
    lines=[
        Line(1, usd("100.00"), ref("Invoice/i2"), account=ACCOUNT, takes_back=allocation_id("pay03", 1)),
    ],
    refund_of="pay03",
    returned=True,
    whole=True,
    note="NACHA R01 insufficient funds",
)
REVERSED = replace(
    RETURN,
    id="ret02",
    reference="rr_1",
    at=datetime(2026, 11, 30, 11, 10, tzinfo=UTC),
    lines=[
        Line(1, usd("100.00"), ref("Invoice/i2"), account=ACCOUNT, takes_back=allocation_id("ret01", 1)),
    ],
    refund_of="",
    restores="pay03",
    note="",
)
LOST = replace(
    REFUND, id="dsl01", at=datetime(2026, 12, 9, 17, 0, tzinfo=UTC), reference="dp_1", disputed=True, whole=False
)
CASES = {
    "a-copay": COPAY,
    "b-split-with-rest": SPLIT,
    "c-partial-refund": REFUND,
    "d-ach-payment": BY_BANK,
    "d-ach-return": RETURN,
    "d-ach-return-reversed": REVERSED,
    "f-lost-dispute": LOST,
}

_KNOWN_BY_NUMBER = {"type": "Account", "identifier": {"system": "urn:maple:account", "value": "4711"}}
# Every state that a posting of ours may be of, whatever stands for it in the goldens too.
STATES = CASES | {
    "refunded whole": replace(
        REFUND,
        id="ref02",
        amount=usd("25.00"),
        refund_of="pay01",
        whole=True,
        lines=[Line(1, usd("25.00"), VISIT, account=ACCOUNT, encounter=VISIT, takes_back=allocation_id("pay01", 1))],
    ),
    "refund of what was unallocated": replace(
        REFUND,
        id="ref03",
        amount=usd("40.00"),
        lines=[Line(1, usd("40.00"), ACCOUNT, account=ACCOUNT, takes_back=allocation_id("pay02", 4), advance=True)],
    ),
    "a refund that failed late": replace(
        REFUND,
        id="mov01",
        reference="",
        lines=[replace(line, takes_back=allocation_id(REFUND.id, line.number)) for line in REFUND.lines],
        refund_of="",
        restores=REFUND.refund_of,
        says="Failed refund of",
    ),
    "a capture that failed late": replace(
        REFUND, id="ret03", amount=usd("30.00"), returned=True, reference="rt_3", brand="visa", last4="4242"
    ),
    "return of what was unallocated": replace(
        RETURN, id="ret04", lines=[Line(1, usd("100.00"), ACCOUNT, account=ACCOUNT, advance=True)]
    ),
    "a dispute won after it was lost": replace(
        LOST,
        id="dsl02",
        lines=[
            Line(1, usd("30.00"), ref("ChargeItem/c2"), account=ACCOUNT, takes_back=allocation_id("dsl01", 1)),
        ],
        refund_of="",
        restores="pay02",
    ),
    "a deposit, all of it unallocated": replace(COPAY, id="pay10", lines=[]),
    "paid in part": replace(
        COPAY, id="pay04", amount=usd("0.01"), lines=[Line(1, usd("0.01"), VISIT, account=ACCOUNT)]
    ),
    "named by the sender's numbers": replace(
        COPAY,
        id="pay05",
        account=_KNOWN_BY_NUMBER,
        lines=[Line(1, usd("10.00"), _KNOWN_BY_NUMBER, account=_KNOWN_BY_NUMBER)],
    ),
    "of an account that the EHR can't know": replace(
        COPAY, id="pay06", account=None, lines=[Line(1, usd("25.00"), None)]
    ),
    "in yen": replace(COPAY, id="pay07", amount=Money(2500, "JPY"), lines=[]),
    "in dinars": replace(COPAY, id="pay08", amount=Money(2500, "KWD"), lines=[]),
    "in a currency's largest amount": replace(COPAY, id="pay09", amount=Money(10**15, "USD"), lines=[]),
}
