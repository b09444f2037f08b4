"""Tables of the bank: files as they came, the statements and lines in them, and what the lines were found to be.

Written by store.py, matches.py, apart.py and receipts.py alone. What a bank says about a line may name a payer: it is
in the file's sealed bytes, and of its words a keyed hash stands in `bank_word`, by which a payout's reference is found.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint
from sqlmodel import Field

from ..db.metadata import Row
from ..db.types import UtcDateTime


class BankFileRow(Row, table=True):
    """A file, kept before anything of it is read."""

    __tablename__ = "bank_file"
    __table_args__ = (UniqueConstraint("tenant_id", "account", "content_hash"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    file_id: str = Field(primary_key=True, sa_type=Text)
    account: str = Field(sa_type=Text)
    name: str = Field(sa_type=Text)
    content_hash: str = Field(sa_type=Text)  # keyed
    state: str = Field(sa_type=Text)  # received, kept, refused
    says: str = Field(sa_type=Text)  # why it was refused
    received_at: datetime = Field(sa_type=UtcDateTime)
    changed_at: datetime = Field(sa_type=UtcDateTime)
    sealed: str = Field(sa_type=Text)  # its bytes (security/sealed.py)


class BankStatementRow(Row, table=True):
    """What a file says of an account's days: its balances, where it has both."""

    __tablename__ = "bank_statement"
    __table_args__ = (Index(None, "tenant_id", "account", "first_day"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    file_id: str = Field(primary_key=True, sa_type=Text)
    number: int = Field(primary_key=True, sa_type=BigInteger)  # within its file
    account: str = Field(sa_type=Text)
    first_day: str = Field(sa_type=Text)  # YYYY-MM-DD
    last_day: str = Field(sa_type=Text)
    opening_minor: int | None = Field(default=None, sa_type=BigInteger)
    closing_minor: int | None = Field(default=None, sa_type=BigInteger)


class BankLineRow(Row, table=True):
    """A line of an account, once however many files have it."""

    __tablename__ = "bank_line"
    __table_args__ = (
        UniqueConstraint("tenant_id", "account", "fact_hash"),
        Index(None, "tenant_id", "account", "match_id", "booked_on"),
        Index(None, "tenant_id", "match_id"),
    )

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    line_id: str = Field(primary_key=True, sa_type=Text)
    account: str = Field(sa_type=Text)
    fact_hash: str = Field(sa_type=Text)  # keyed: day, amount, the bank's reference or its text, which of these
    booked_on: str = Field(sa_type=Text)  # YYYY-MM-DD
    amount_minor: int = Field(sa_type=BigInteger)  # above zero: it came in
    currency: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)  # the bank's code
    reference: str = Field(sa_type=Text)  # the bank's, where it looks like one
    file_id: str = Field(sa_type=Text)  # the first that had it, and where
    said_at: str = Field(sa_type=Text)
    match_id: str = Field(sa_type=Text)  # empty: of nothing yet
    receipt_by: str = Field(sa_type=Text)  # who had it booked as an unidentified receipt; empty: it isn't
    receipt_why: str = Field(sa_type=Text)
    recorded_at: datetime = Field(sa_type=UtcDateTime)
    # of a receipt: what of it was found to be patients' (ReceiptCreditRow)
    credited_minor: int = Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": "0"})


class BankWordRow(Row, table=True):
    """A word of what the bank says about a line, as a keyed hash."""

    __tablename__ = "bank_word"

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    word_hash: str = Field(primary_key=True, sa_type=Text)
    line_id: str = Field(primary_key=True, sa_type=Text)


class BankMatchRow(Row, table=True):
    """Lines and what they are the same money as: by which rule, how sure, or by whom."""

    __tablename__ = "bank_match"
    __table_args__ = (Index(None, "tenant_id", "account", "matched_at"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    match_id: str = Field(primary_key=True, sa_type=Text)
    account: str = Field(sa_type=Text)
    rule: str = Field(sa_type=Text)  # bank/matching.py; by_hand, fee
    confidence: str = Field(sa_type=Text)
    by: str = Field(sa_type=Text)  # empty: the rule
    why: str = Field(sa_type=Text)
    gap_minor: int = Field(sa_type=BigInteger)  # what batches, or bags, come to above their deposit
    matched_at: datetime = Field(sa_type=UtcDateTime)
    unmatched_by: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})  # who took it back
    unmatched_why: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})
    unmatched_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    merchant: str = Field(default="", sa_type=Text, sa_column_kwargs={"server_default": ""})  # of a fee: whose


class BankMatchedRow(Row, table=True):
    """What a match is of: a payout, as it arrived or as it was taken back; a bag; a check that bounced."""

    __tablename__ = "bank_matched"
    __table_args__ = (Index(None, "tenant_id", "match_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    subject: str = Field(primary_key=True, sa_type=Text)  # the payout's id, the bag's, the return's
    what: str = Field(primary_key=True, sa_type=Text)  # bank/matching.py
    match_id: str = Field(sa_type=Text)


class BankApartRow(Row, table=True):
    """A line and what it was matched with, and isn't: somebody took the match back."""

    __tablename__ = "bank_apart"
    __table_args__ = (Index(None, "tenant_id", "subject"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    line_id: str = Field(primary_key=True, sa_type=Text)
    subject: str = Field(primary_key=True, sa_type=Text)
    match_id: str = Field(primary_key=True, sa_type=Text)
    what: str = Field(sa_type=Text)  # bank/expected.py; fee: of no payout


class ReceiptCreditRow(Row, table=True):
    """A part of a receipt of nobody that was found to be a patient's: a payment of its own."""

    __tablename__ = "receipt_credit"
    __table_args__ = (Index(None, "tenant_id", "line_id"),)

    tenant_id: str = Field(primary_key=True, sa_type=Text)
    payment_id: str = Field(primary_key=True, sa_type=Text)
    line_id: str = Field(sa_type=Text)
    account_ref: str = Field(sa_type=Text)  # to which it was credited
    amount_minor: int = Field(sa_type=BigInteger)
    currency: str = Field(sa_type=Text)
    by: str = Field(sa_type=Text)
    why: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcDateTime)
    back_by: str = Field(sa_type=Text)  # who took it back; empty: it stands
    back_why: str = Field(sa_type=Text)
    back_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
