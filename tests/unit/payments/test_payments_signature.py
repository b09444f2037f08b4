"""Signatures of events in the form `t=…,v1=…`."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from fhirpay.errors import NotAuthenticated
from fhirpay.payments.adapters.signature import check

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
STAMP = int(AT.timestamp())
BODY = b'{"id": "evt_1"}'


def made(secret: str, body: bytes = BODY, stamp: int = STAMP) -> str:
    return hmac.new(secret.encode(), b"%d." % stamp + body, hashlib.sha256).hexdigest()


def test_either_of_two_live_secrets_and_any_of_several_signatures_will_do() -> None:
    for secret in ("new", "old"):
        check(f"t={STAMP},v1={made(secret)}", BODY, ["new", "old"], AT)
    check(f"t={STAMP},v1={made('gone')},v1={made('old')},v0={'0' * 64}", BODY, ["new", "old"], AT)
    check(f"t={STAMP}, v1={made('new')}", BODY, ["new"], AT + timedelta(seconds=300))


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"t={STAMP}",
        f"v1={made('new')}",
        f"t={STAMP},v0={made('new')}",
        f"t={STAMP},v1={made('gone')}",
        f"t={STAMP},v1={made('new')[:-1]}",
        f"t={STAMP},v1=",
        f"t={STAMP},v1=ü",
        f"t={STAMP},t={STAMP},v1={made('new')}",
        f"t={STAMP + 1},v1={made('new')}",
        f"t=-{STAMP},v1={made('new')}",
        f"t={STAMP - 301},v1={made('new', stamp=STAMP - 301)}",
        f"t={STAMP + 301},v1={made('new', stamp=STAMP + 301)}",
    ],
)
def test_anything_else_is_refused(header: str) -> None:
    with pytest.raises(NotAuthenticated):
        check(header, BODY, ["new", "old"], AT)


def test_without_a_secret_nothing_is_believed() -> None:
    with pytest.raises(NotAuthenticated):
        check(f"t={STAMP},v1={made('')}", BODY, [], AT)
