"""What is agreed with an HL7v2 receiver that payments are posted to: its profile, as data. Part of `config`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from .config_report import PostingReport
from .config_section import Section, Stage

Verdict = Literal["retry", "doubt", "park", "there"]

# ERR-3 (HL7 table 0357) → what is done, where the profile says nothing else.
ERRORS: dict[str, Verdict] = {
    "100": "park",  # segment sequence: the same bytes fail again
    "101": "park",  # a field is missing
    "102": "park",  # a field has the wrong type
    "103": "park",  # a code that is unknown there
    "200": "park",  # DFT isn't taken
    "201": "park",  # P03 isn't taken
    "202": "park",  # MSH-11
    "203": "park",  # MSH-12
    "204": "park",  # account or patient unknown there: a person has to look whose it is
    "205": "there",  # it has this message, or another by its number
    "206": "retry",  # the record is locked by somebody: nothing was done, and it passes
    "207": "doubt",  # an internal error may come after the posting was made
}
MONEY_SIGNS = {"payment_positive": (1, -1), "payment_negative": (-1, 1), "unsigned": (1, 1)}
# of an adjustment, and of one that is taken back
ADJUSTMENT_SIGNS = {"positive": (1, -1), "negative": (-1, 1), "unsigned": (1, 1)}
AdjustmentKind = Literal["discount", "charity", "bad_debt", "small_balance"]
# FT1-7 of an adjustment where the profile says nothing else: as our own codes/adjustment-kind.csv reads it.
ADJUSTMENT_CODES: dict[str, str] = {
    "discount": "DISCOUNT",
    "charity": "CHARITY",
    "bad_debt": "BADDEBT",
    "small_balance": "SMALLBAL",
}


class Destination(Section):
    """A receiver of DFT^P03 over MLLP, such as an interface engine."""

    name: str = Field(description="names it in logs, commands and the worklist; no connection may have the same name")
    host: str = Field(description="where it listens")
    port: int = Field(ge=1, le=65535, description="where it listens")
    stage: Stage = Field(
        default="auto",
        description="'shadow': nothing is posted there, what would be is kept to compare; 'assist': each posting waits "
        "for staff to confirm it; 'auto': at once",
    )
    heard_on: tuple[str, ...] = Field(
        default=(),
        description="the interfaces on which it says what is posted there, for `writeback agreement`; empty: all",
    )
    report: PostingReport | None = Field(
        default=None, description="how its own report of what is posted there is read; see below"
    )
    dedupes: bool = Field(
        default=False,
        description="it knows a message again by MSH-10 or FT1-2: only then is one resent whose answer was lost",
    )
    acknowledge: Literal["original", "commit", "both", "elsewhere"] = Field(
        default="original",
        description="one answer (AA); 'commit' a CA is enough; 'both' a CA, then AA on the same connection; "
        "'elsewhere' a CA, then AA to an interface of ours",
    )
    application_within_s: float = Field(
        default=300, gt=0, description="how long that AA may take; after that it is for a person"
    )
    transaction_id: Literal["full", "short"] = Field(
        default="full",
        description="FT1-2: our allocation's id, 31 characters, or 'short', 12: what fits before 2.7",
    )
    timeout_s: float = Field(default=10, gt=0, description="longest wait for its answer, for each of two")
    keep_open_s: float = Field(
        default=60, ge=0, description="an idle connection is used again for this long; 0: one for each message"
    )
    private_network: bool = Field(default=False, description="the address may be a private or loopback one")
    tls: bool = Field(default=False, description="TLS; its certificate is checked, for `host` or `tls_name`")
    tls_name: str = Field(default="", description="the name in its certificate; empty: `host`")
    tls_ca: str = Field(default="", description="file of the authority that signed it; empty: those of the system")
    tls_cert: str = Field(default="", description="file of our certificate, where it wants one")
    tls_key: str = Field(default="", description="file of our certificate's key")
    version: Literal["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2"] = Field(
        default="2.5.1", description="MSH-12"
    )
    processing: Literal["P", "T"] = Field(default="P", description="MSH-11")
    sending_application: str = Field(default="FHIRPAY", description="MSH-3, components separated by ^")
    sending_facility: str = Field(default="", description="MSH-4; empty: the name of the facility that was paid")
    facility_codes: dict[str, str] = Field(default={}, description="our facility → MSH-4, before `sending_facility`")
    receiving_application: str = Field(default="", description="MSH-5")
    receiving_facility: str = Field(default="", description="MSH-6")
    charset: str = Field(default="", description="MSH-18; empty: none where ASCII does, else 'UNICODE UTF-8'")
    payment_code: str = Field(default="PY", description="FT1-6 of a payment")
    refund_code: str = Field(default="PY", description="FT1-6 of a refund")
    sign: Literal["payment_positive", "payment_negative", "unsigned"] = Field(
        default="payment_positive", description="of FT1-11; refunds have the other; 'unsigned' needs a refund_code"
    )
    adjustments: tuple[AdjustmentKind, ...] = Field(
        default=("discount", "charity", "bad_debt", "small_balance"),
        description="which adjustments that we make are posted there; empty: none",
    )
    adjustment_code: str = Field(default="AJ", description="FT1-6 of an adjustment")
    adjustment_back_code: str = Field(default="AJ", description="FT1-6 of one that is taken back, whole or in part")
    adjustment_sign: Literal["positive", "negative", "unsigned"] = Field(
        default="positive",
        description="of FT1-11 of an adjustment, which lowers what is owed; one that is taken back has the other; "
        "'unsigned' needs an adjustment_back_code",
    )
    adjustment_codes: dict[AdjustmentKind, str] = Field(
        default={},
        description="kind of adjustment → FT1-7, components separated by ^; else DISCOUNT, CHARITY, BADDEBT, SMALLBAL",
    )
    amount_in: tuple[Literal["FT1-11", "FT1-12"], ...] = Field(
        default=("FT1-11",), description="the fields that carry the amount"
    )
    currency_in_amount: bool = Field(default=True, description="25.00&USD rather than 25.00")
    media: dict[str, str] = Field(
        default={},
        description="brand, HL7 0570 code or 'default' → FT1-7, components separated by ^; else the 0570 code",
    )
    reference_in: Literal["FT1-30", "NTE", "none"] = Field(
        default="FT1-30", description="where the processor's reference stands; before 2.5 there is no FT1-30"
    )
    charge_in: str = Field(
        default="NTE",
        pattern=r"^(NTE|Z[A-Z0-9]{2}|none)$",
        description="where the FT1-2 of what is paid or taken back stands: 'NTE', a Z-segment's name, 'none'",
    )
    patient_name: bool = Field(default=True, description="PID-5 as received; false: a pseudonym of no letters")
    errors: dict[str, Verdict] = Field(
        default={},
        description="ERR-3 (or AE, AR, CE, CR where it says none) → 'retry', 'park', 'doubt' (it may have it), 'there'",
    )
    gives_up_h: int = Field(default=24, ge=1, description="hours after which what it can't do 'now' is for a person")

    @model_validator(mode="after")
    def _told_apart(self) -> Destination:
        if self.sign == "unsigned" and self.refund_code == self.payment_code:
            raise ValueError(f"'{self.name}' can't tell a refund: with sign 'unsigned' it needs its own refund_code")
        same = self.adjustment_back_code == self.adjustment_code
        if self.adjustments and self.adjustment_sign == "unsigned" and same:
            raise ValueError(
                f"'{self.name}' can't tell an adjustment that is taken back: with adjustment_sign 'unsigned' it needs "
                "its own adjustment_back_code"
            )
        if not self.amount_in:
            raise ValueError(f"'{self.name}' has to read the amount somewhere: amount_in is empty")
        if bool(self.tls_cert) != bool(self.tls_key):
            raise ValueError(f"'{self.name}' needs both tls_cert and tls_key, or neither")
        return self

    def verdict(self, error: str, code: str) -> Verdict:
        """What a refusal means. What nobody has listed is for a person: it did nothing, and sent again it would too."""
        for key in (error, code):
            if key and (found := self.errors.get(key) or ERRORS.get(key)):
                return found
        return "park"
