"""Stored methods and the consent to use them. Takes the caller's `tx`. Called by web/api and by autopay.

A method's number has never been here: the payer typed it on the processor's page, we keep the token and what may be
shown. A consent is kept word for word with its hash and date; it says how much may be taken at once without asking.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert

from ..db.metadata import table
from ..db.unit import Tx
from ..domain.money import Money
from ..errors import NotFound, RuleBroken
from .port import Method
from .records import Consent, StoredMethod
from .tables import ConsentRow, StoredMethodRow

_method = table(StoredMethodRow)
_consent = table(ConsentRow)
_OF_ACCOUNT = (
    select(_method)
    .where(
        _method.c.tenant_id == bindparam("tenant"),
        _method.c.account_ref == bindparam("account"),
        _method.c.state == "active",
    )
    .order_by(_method.c.created_at, _method.c.method_id)
)
_BY_ID = select(_method).where(_method.c.tenant_id == bindparam("tenant"), _method.c.method_id == bindparam("method"))
_CONSENTS = (
    select(_consent)
    .where(_consent.c.tenant_id == bindparam("tenant"), _consent.c.method_id == bindparam("method"))
    .order_by(_consent.c.recorded_at.desc(), _consent.c.consent_id.desc())
)


def keep(tx: Tx, method: Method, *, account_ref: str, debtor_ref: str, merchant: str) -> StoredMethod:
    """The method, kept once for each token: again for the same account it changes nothing.

    Raises RuleBroken when it is kept for another account.
    """
    row = {
        "tenant_id": tx.tenant,
        "method_id": tx.ids.new("met"),
        "account_ref": account_ref,
        "debtor_ref": debtor_ref,
        "merchant": merchant,
        "token": method.token,
        "brand": method.brand,
        "last4": method.last4,
        "expires": method.expires,
        "kind": method.kind,
        "state": "active",
        "created_at": tx.now,
    }
    tx.execute(insert(_method).values(row).on_conflict_do_nothing(index_elements=["tenant_id", "merchant", "token"]))
    (kept,) = _methods(tx, (_method.c.merchant == merchant) & (_method.c.token == method.token))
    if kept.account_ref != account_ref:
        raise RuleBroken("this method is kept for another account; it has to be stored anew for this one")
    return kept


def get(tx: Tx, method_id: str) -> StoredMethod:
    """Raises NotFound."""
    row = tx.one(_BY_ID, method=method_id)
    if row is None:
        raise NotFound(f"there is no stored method {method_id}", method_id=method_id)
    return StoredMethod.of(row)


def of_account(tx: Tx, account_ref: str) -> list[StoredMethod]:
    """Those that may be used, newest first."""
    return [StoredMethod.of(row) for row in tx.all(_OF_ACCOUNT, account=account_ref)][::-1]


def _methods(tx: Tx, where: Any) -> list[StoredMethod]:
    statement = select(_method).where(_method.c.tenant_id == tx.tenant, where)
    return [StoredMethod.of(row) for row in tx.all(statement.order_by(_method.c.created_at, _method.c.method_id))]


def end(tx: Tx, method_id: str, state: Literal["removed", "refused"]) -> None:
    """Not to be used any more; its consents end with it. Payments made by it stay as they are.

    `removed` by whoever keeps it; `refused` by its bank or card network, which forbids to try it again.
    """
    where = (_method.c.tenant_id == tx.tenant, _method.c.method_id == method_id, _method.c.state == "active")
    tx.execute(update(_method).where(*where).values(state=state))
    ends = (_consent.c.tenant_id == tx.tenant, _consent.c.method_id == method_id, _consent.c.revoked_at.is_(None))
    tx.execute(update(_consent).where(*ends).values(revoked_at=tx.now))


def note_network_reference(tx: Tx, method_id: str, reference: str) -> None:
    """The card network's id of the first payment that the payer made by this method; the first one stays."""
    where = (_method.c.tenant_id == tx.tenant, _method.c.method_id == method_id, _method.c.network_ref == "")
    tx.execute(update(_method).where(*where).values(network_ref=reference))


def record_consent(
    tx: Tx, method_id: str, *, text: str, cap: Money, given_at: datetime | None, recorded_by: str
) -> Consent:
    """What the payer agreed to. A newer consent stands in the place of an older one; both are kept."""
    if not text.strip():
        raise RuleBroken("a consent is the text that the payer agreed to")
    if cap.minor <= 0:
        raise RuleBroken("a consent has a cap: the most that may be taken at once")
    consent_id = tx.ids.new("con")
    tx.execute(
        insert(_consent).values(
            tenant_id=tx.tenant,
            consent_id=consent_id,
            method_id=method_id,
            text=text,
            text_sha256=hashlib.sha256(text.encode()).hexdigest(),
            cap_minor=cap.minor,
            currency=cap.currency,
            given_at=given_at or tx.now,
            recorded_by=recorded_by,
            recorded_at=tx.now,
        )
    )
    return next(consent for consent in consents(tx, method_id) if consent.consent_id == consent_id)


def consents(tx: Tx, method_id: str) -> list[Consent]:
    """All of them, newest first."""
    return [Consent.of(row) for row in tx.all(_CONSENTS, method=method_id)]


def live_consent(tx: Tx, method_id: str) -> Consent | None:
    """The one that counts now."""
    return next((consent for consent in consents(tx, method_id) if consent.revoked_at is None), None)


def revoke(tx: Tx, method_id: str) -> None:
    """The payer takes the consent back: nothing is taken without asking from now on."""
    where = (_consent.c.tenant_id == tx.tenant, _consent.c.method_id == method_id, _consent.c.revoked_at.is_(None))
    tx.execute(update(_consent).where(*where).values(revoked_at=tx.now))


def for_autopay(tx: Tx, account_ref: str, *, merchant: str, amount: Money) -> StoredMethod | None:
    """A method of the account that may be charged this much without asking; None when there is none."""
    for method in of_account(tx, account_ref):
        consent = live_consent(tx, method.method_id)
        if (
            method.merchant == merchant
            and consent
            and consent.cap.currency == amount.currency
            and amount <= consent.cap
        ):
            return method
    return None
