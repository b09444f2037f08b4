# ruff: noqa: E501
"""The first schema. Made by `python -m fhirpay.db.migrations.generate`; never edited once released."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_credit",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_account_credit_amount")),
        sa.PrimaryKeyConstraint("tenant_id", "account_ref", "payment_id", name=op.f("pk_account_credit")),
    )
    with op.batch_alter_table("account_credit", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_account_credit_tenant_id_payment_id"), ["tenant_id", "payment_id"], unique=False
        )

    op.create_table(
        "account_hold",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("hold_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("opened_by", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("released_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "hold_id", name=op.f("pk_account_hold")),
    )
    with op.batch_alter_table("account_hold", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_account_hold_tenant_id_account_ref"), ["tenant_id", "account_ref"], unique=False
        )

    op.create_table(
        "account_state",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("topics", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "account_ref", name=op.f("pk_account_state")),
    )
    op.create_table(
        "allocation",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("obligation_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reserved_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "payment_id", "sequence", name=op.f("pk_allocation")),
    )
    with op.batch_alter_table("allocation", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_allocation_tenant_id_account_ref"), ["tenant_id", "account_ref"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_allocation_tenant_id_obligation_id"), ["tenant_id", "obligation_id"], unique=False
        )

    op.create_table(
        "consent",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("consent_id", sa.Text(), nullable=False),
        sa.Column("method_id", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_sha256", sa.Text(), nullable=False),
        sa.Column("cap_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "consent_id", name=op.f("pk_consent")),
    )
    with op.batch_alter_table("consent", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consent_tenant_id_method_id"), ["tenant_id", "method_id"], unique=False)

    op.create_table(
        "idempotency_key",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "client", "key", name=op.f("pk_idempotency_key")),
    )
    op.create_table(
        "inbox_message",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("message_id", sa.String(), nullable=False),
        sa.Column("interface", sa.String(), nullable=False),
        sa.Column("sender_key", sa.String(), nullable=False),
        sa.Column("control_id", sa.String(), nullable=False),
        sa.Column("occurrence", sa.BigInteger(), nullable=False),
        sa.Column("body_hash", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("meta", sa.String(), nullable=False),
        sa.Column("account_keys", sa.String(), nullable=False),
        sa.Column("work_id", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("resources", sa.String(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "message_id", name=op.f("pk_inbox_message")),
        sa.UniqueConstraint(
            "tenant_id", "control_id", "interface", "sender_key", "occurrence", name="uq_inbox_message_once"
        ),
    )
    op.create_table(
        "ledger_entry",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("business_date", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", name=op.f("pk_ledger_entry")),
        sa.UniqueConstraint("tenant_id", "key", name=op.f("uq_ledger_entry_tenant_id_key")),
        sa.UniqueConstraint("tenant_id", "seq", name=op.f("uq_ledger_entry_tenant_id_seq")),
    )
    op.create_table(
        "ledger_head",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_ledger_head")),
    )
    op.create_table(
        "obligation",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("obligation_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("basis_kind", sa.Text(), nullable=False),
        sa.Column("basis_key", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("debtor_ref", sa.Text(), nullable=False),
        sa.Column("basis_state", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("hold", sa.Text(), nullable=False),
        sa.Column("pending_minor", sa.BigInteger(), nullable=False),
        sa.Column("patient_minor", sa.BigInteger(), nullable=False),
        sa.Column("discount_minor", sa.BigInteger(), nullable=False),
        sa.Column("posted_minor", sa.BigInteger(), nullable=False),
        sa.Column("draws", sa.Text(), nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("in_flight_minor", sa.BigInteger(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.Column("collectable_from", sa.BigInteger(), nullable=True),
        sa.Column("targets", sa.Text(), nullable=False),
        sa.Column("superseded_by", sa.Text(), nullable=True),
        sa.Column("facility", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'collectable', 'in_flight', 'paid', 'on_hold', 'on_plan', 'superseded', 'written_off', 'void')",
            name=op.f("ck_obligation_state"),
        ),
        sa.CheckConstraint(
            "paid_minor >= 0 AND in_flight_minor >= 0 AND posted_minor >= 0", name=op.f("ck_obligation_money")
        ),
        sa.CheckConstraint(
            "pending_minor >= 0 AND patient_minor >= 0 AND discount_minor >= 0", name=op.f("ck_obligation_owed")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "obligation_id", name=op.f("pk_obligation")),
        sa.UniqueConstraint(
            "tenant_id",
            "account_ref",
            "basis_kind",
            "basis_key",
            "currency",
            "generation",
            name=op.f("uq_obligation_tenant_id_account_ref_basis_kind_basis_key_currency_generation"),
        ),
    )
    with op.batch_alter_table("obligation", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_obligation_tenant_id_basis_key"), ["tenant_id", "basis_key"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_obligation_tenant_id_debtor_ref"), ["tenant_id", "debtor_ref"], unique=False
        )

    op.create_table(
        "obligation_share",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("obligation_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("in_flight_minor", sa.BigInteger(), nullable=False),
        sa.Column("paid_minor", sa.BigInteger(), nullable=False),
        sa.Column("allocated_minor", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "in_flight_minor >= 0 AND paid_minor >= 0 AND allocated_minor >= 0", name=op.f("ck_obligation_share_money")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "obligation_id", "payment_id", name=op.f("pk_obligation_share")),
    )
    with op.batch_alter_table("obligation_share", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_obligation_share_tenant_id_payment_id"), ["tenant_id", "payment_id"], unique=False
        )

    op.create_table(
        "operation",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("refund_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("processor_ref", sa.Text(), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("last_sent_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "operation_id", name=op.f("pk_operation")),
    )
    with op.batch_alter_table("operation", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_operation_tenant_id_payment_id_operation_id"),
            ["tenant_id", "payment_id", "operation_id"],
            unique=False,
        )
        batch_op.create_index(
            "uq_operation_open",
            ["tenant_id", "payment_id"],
            unique=True,
            sqlite_where=sa.text("state IN ('prepared', 'sent', 'unknown')"),
            postgresql_where=sa.text("state IN ('prepared', 'sent', 'unknown')"),
        )

    op.create_table(
        "payment",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("fact_key", sa.Text(), nullable=True),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("facility", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("processor", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("method_id", sa.Text(), nullable=True),
        sa.Column("initiated_by", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("authorized_minor", sa.BigInteger(), nullable=False),
        sa.Column("captured_minor", sa.BigInteger(), nullable=False),
        sa.Column("voided_minor", sa.BigInteger(), nullable=False),
        sa.Column("returned_minor", sa.BigInteger(), nullable=False),
        sa.Column("refunded_minor", sa.BigInteger(), nullable=False),
        sa.Column("processor_ref", sa.Text(), nullable=True),
        sa.Column("capture_ref", sa.Text(), nullable=True),
        sa.Column("hosted_url", sa.Text(), nullable=True),
        sa.Column("hosted_until", sa.BigInteger(), nullable=True),
        sa.Column("return_url", sa.Text(), nullable=True),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("last4", sa.Text(), nullable=False),
        sa.Column("authorization_code", sa.Text(), nullable=False),
        sa.Column("failure_code", sa.Text(), nullable=False),
        sa.Column("failure_says", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("captured_at", sa.BigInteger(), nullable=True),
        sa.Column("business_date", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "payment_id", name=op.f("pk_payment")),
        sa.UniqueConstraint("tenant_id", "fact_key", name=op.f("uq_payment_tenant_id_fact_key")),
        sa.UniqueConstraint(
            "tenant_id", "merchant", "processor_ref", name=op.f("uq_payment_tenant_id_merchant_processor_ref")
        ),
    )
    with op.batch_alter_table("payment", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_payment_tenant_id_account_ref"), ["tenant_id", "account_ref"], unique=False
        )

    op.create_table(
        "payment_break",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("break_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "break_key", name=op.f("pk_payment_break")),
    )
    with op.batch_alter_table("payment_break", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_payment_break_tenant_id_payment_id"), ["tenant_id", "payment_id"], unique=False
        )

    op.create_table(
        "payment_effect",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "payment_id", "effect", name=op.f("pk_payment_effect")),
    )
    op.create_table(
        "payment_fact",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("undoes", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "payment_id", "kind", "reference", "undoes", "source", name=op.f("pk_payment_fact")
        ),
    )
    op.create_table(
        "posting",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("posting_id", sa.Text(), nullable=False),
        sa.Column("work_id", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("remote_id", sa.Text(), nullable=True),
        sa.Column("remote_version", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("posted_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "state IN ('pending', 'sent', 'posted', 'unknown', 'parked')", name=op.f("ck_posting_state")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "posting_id", name=op.f("pk_posting")),
        sa.UniqueConstraint("tenant_id", "connection", "subject", name=op.f("uq_posting_tenant_id_connection_subject")),
    )
    with op.batch_alter_table("posting", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_posting_tenant_id_payment_id"), ["tenant_id", "payment_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_posting_tenant_id_remote_id"), ["tenant_id", "remote_id"], unique=False)

    op.create_table(
        "refund",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("refund_id", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=False),
        sa.Column("processor_ref", sa.Text(), nullable=True),
        sa.Column("failure_says", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.Column("succeeded_at", sa.BigInteger(), nullable=True),
        sa.Column("business_date", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "refund_id", name=op.f("pk_refund")),
        sa.UniqueConstraint(
            "tenant_id", "payment_id", "processor_ref", name=op.f("uq_refund_tenant_id_payment_id_processor_ref")
        ),
    )
    with op.batch_alter_table("refund", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_refund_tenant_id_payment_id_refund_id"),
            ["tenant_id", "payment_id", "refund_id"],
            unique=False,
        )

    op.create_table(
        "refund_share",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("refund_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("allocation", sa.BigInteger(), nullable=False),
        sa.Column("obligation_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "refund_id", "sequence", name=op.f("pk_refund_share")),
    )
    op.create_table(
        "resource",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("resource_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "type", "resource_id", name=op.f("pk_resource")),
    )
    with op.batch_alter_table("resource", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_resource_tenant_id_type_updated_resource_id"),
            ["tenant_id", "type", "updated", "resource_id"],
            unique=False,
        )

    op.create_table(
        "resource_index",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("param", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("resource_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "type", "param", "value", "system", "resource_id", name=op.f("pk_resource_index")
        ),
    )
    with op.batch_alter_table("resource_index", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_resource_index_tenant_id_type_resource_id"),
            ["tenant_id", "type", "resource_id"],
            unique=False,
        )

    op.create_table(
        "resource_key",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("system", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "type", "system", "value", name=op.f("pk_resource_key")),
    )
    op.create_table(
        "resource_version",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=False),
        sa.Column("resource_id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "type", "resource_id", "version", name=op.f("pk_resource_version")),
    )
    op.create_table(
        "staff_entry",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("entered_by", sa.Text(), nullable=False),
        sa.Column("entered_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_by", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('amount', 'self_pay')", name=op.f("ck_staff_entry_kind")),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", name=op.f("pk_staff_entry")),
    )
    with op.batch_alter_table("staff_entry", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_staff_entry_tenant_id_account_ref"), ["tenant_id", "account_ref"], unique=False
        )

    op.create_table(
        "stored_method",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("method_id", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=False),
        sa.Column("debtor_ref", sa.Text(), nullable=False),
        sa.Column("merchant", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("last4", sa.Text(), nullable=False),
        sa.Column("expires", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "method_id", name=op.f("pk_stored_method")),
        sa.UniqueConstraint("tenant_id", "merchant", "token", name=op.f("uq_stored_method_tenant_id_merchant_token")),
    )
    with op.batch_alter_table("stored_method", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_stored_method_tenant_id_account_ref"), ["tenant_id", "account_ref"], unique=False
        )

    op.create_table(
        "work",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("work_id", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ref", sa.String(), nullable=False),
        sa.Column("once_key", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("claim_at", sa.BigInteger(), nullable=True),
        sa.Column("waits", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(), nullable=True),
        sa.Column("error", sa.String(), nullable=True),
        sa.Column("places", sa.String(), nullable=False),
        sa.Column("topics", sa.String(), nullable=True),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "work_id", name=op.f("pk_work")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("work", schema=None) as batch_op:
        batch_op.create_index(
            "ix_work_claim",
            ["tenant_id", "queue", "claim_at"],
            unique=False,
            sqlite_where=sa.text("claim_at IS NOT NULL"),
            postgresql_where=sa.text("claim_at IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_work_parked",
            ["tenant_id", "queue", "changed_at"],
            unique=False,
            sqlite_where=sa.text("state = 'parked'"),
            postgresql_where=sa.text("state = 'parked'"),
        )
        batch_op.create_index(
            "uq_work_once",
            ["tenant_id", "queue", "kind", "once_key"],
            unique=True,
            sqlite_where=sa.text("once_key IS NOT NULL"),
            postgresql_where=sa.text("once_key IS NOT NULL"),
        )

    op.create_table(
        "work_place",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("queue", sa.String(), nullable=False),
        sa.Column("lane_key", sa.String(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("work_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "queue", "lane_key", "place", name=op.f("pk_work_place")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "work_topic",
        sa.Column("tenant_id", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("work_id", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "role", "topic", "work_id", name=op.f("pk_work_topic")),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("work_topic", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_work_topic_tenant_id_work_id"), ["tenant_id", "work_id"], unique=False)

    op.create_table(
        "worklist",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=True),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("says", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'done')", name=op.f("ck_worklist_state")),
        sa.PrimaryKeyConstraint("tenant_id", "item_id", name=op.f("pk_worklist")),
        sa.UniqueConstraint("tenant_id", "kind", "subject", name=op.f("uq_worklist_tenant_id_kind_subject")),
    )
    with op.batch_alter_table("worklist", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_worklist_tenant_id_state_created_at"), ["tenant_id", "state", "created_at"], unique=False
        )

    op.create_table(
        "ledger_posting",
        sa.Column("tenant_id", sa.Text(), nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("account_ref", sa.Text(), nullable=True),
        sa.Column("obligation_id", sa.Text(), nullable=True),
        sa.Column("payment_id", sa.Text(), nullable=True),
        sa.Column("refund_id", sa.Text(), nullable=True),
        sa.Column("merchant", sa.Text(), nullable=True),
        sa.CheckConstraint("side IN ('debit', 'credit')", name=op.f("ck_ledger_posting_side")),
        sa.CheckConstraint("amount_minor >= 0", name=op.f("ck_ledger_posting_amount")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "entry_id"],
            ["ledger_entry.tenant_id", "ledger_entry.entry_id"],
            name=op.f("fk_ledger_posting_tenant_id_entry_id"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "entry_id", "line", name=op.f("pk_ledger_posting")),
    )
    with op.batch_alter_table("ledger_posting", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_ledger_posting_tenant_id_account_currency"),
            ["tenant_id", "account", "currency"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_ledger_posting_tenant_id_account_ref"), ["tenant_id", "account_ref"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_ledger_posting_tenant_id_obligation_id"), ["tenant_id", "obligation_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_ledger_posting_tenant_id_payment_id"), ["tenant_id", "payment_id"], unique=False
        )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER ledger_entry_update BEFORE UPDATE ON ledger_entry  BEGIN SELECT RAISE(ABORT, "
            "'the ledger is never changed: post a reversing entry'); END"
        )
        op.execute(
            "CREATE TRIGGER ledger_entry_delete BEFORE DELETE ON ledger_entry BEGIN SELECT RAISE(ABORT, 'the"
            " ledger is never changed: post a reversing entry'); END"
        )
        op.execute(
            "CREATE TRIGGER ledger_head_update BEFORE UPDATE ON ledger_head WHEN (NEW.seq <> OLD.seq + 1) "
            "BEGIN SELECT RAISE(ABORT, 'the head of the ledger moves by one entry at a time'); END"
        )
        op.execute(
            "CREATE TRIGGER ledger_head_delete BEFORE DELETE ON ledger_head BEGIN SELECT RAISE(ABORT, 'the "
            "ledger is never changed: post a reversing entry'); END"
        )
        op.execute(
            "CREATE TRIGGER ledger_posting_update BEFORE UPDATE ON ledger_posting  BEGIN SELECT RAISE(ABORT,"
            " 'the ledger is never changed: post a reversing entry'); END"
        )
        op.execute(
            "CREATE TRIGGER ledger_posting_delete BEFORE DELETE ON ledger_posting BEGIN SELECT RAISE(ABORT, "
            "'the ledger is never changed: post a reversing entry'); END"
        )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE OR REPLACE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE "
            "EXCEPTION USING MESSAGE = TG_ARGV[0]; END $$"
        )
        op.execute(
            "CREATE TRIGGER ledger_entry_update BEFORE UPDATE ON ledger_entry FOR EACH ROW  EXECUTE FUNCTION"
            " ledger_refuse('the ledger is never changed: post a reversing entry')"
        )
        op.execute(
            "CREATE TRIGGER ledger_entry_delete BEFORE DELETE ON ledger_entry FOR EACH ROW EXECUTE FUNCTION "
            "ledger_refuse('the ledger is never changed: post a reversing entry')"
        )
        op.execute(
            "CREATE TRIGGER ledger_entry_truncate BEFORE TRUNCATE ON ledger_entry FOR EACH STATEMENT EXECUTE"
            " FUNCTION ledger_refuse('the ledger is never changed: post a reversing entry')"
        )
        op.execute(
            "CREATE TRIGGER ledger_head_update BEFORE UPDATE ON ledger_head FOR EACH ROW WHEN (NEW.seq <> "
            "OLD.seq + 1) EXECUTE FUNCTION ledger_refuse('the head of the ledger moves by one entry at a "
            "time')"
        )
        op.execute(
            "CREATE TRIGGER ledger_head_delete BEFORE DELETE ON ledger_head FOR EACH ROW EXECUTE FUNCTION "
            "ledger_refuse('the ledger is never changed: post a reversing entry')"
        )
        op.execute(
            "CREATE TRIGGER ledger_head_truncate BEFORE TRUNCATE ON ledger_head FOR EACH STATEMENT EXECUTE "
            "FUNCTION ledger_refuse('the ledger is never changed: post a reversing entry')"
        )
        op.execute(
            "CREATE TRIGGER ledger_posting_update BEFORE UPDATE ON ledger_posting FOR EACH ROW  EXECUTE "
            "FUNCTION ledger_refuse('the ledger is never changed: post a reversing entry')"
        )
        op.execute(
            "CREATE TRIGGER ledger_posting_delete BEFORE DELETE ON ledger_posting FOR EACH ROW EXECUTE "
            "FUNCTION ledger_refuse('the ledger is never changed: post a reversing entry')"
        )
        op.execute(
            "CREATE TRIGGER ledger_posting_truncate BEFORE TRUNCATE ON ledger_posting FOR EACH STATEMENT "
            "EXECUTE FUNCTION ledger_refuse('the ledger is never changed: post a reversing entry')"
        )


def downgrade() -> None:
    raise NotImplementedError("restore the backup that was made before the upgrade")
