"""What is agreed with a sender is checked at start, and a mistake is named with what to write instead."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from fhirpay.config import Interface
from fhirpay.errors import ConfigInvalid
from fhirpay.inbox.gate import check_agreed


def feed(**settings: Any) -> Interface:
    return Interface(name="feed", account_key="PID-18", **settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"peers": ("10.0.0.300",)}, "'10.0.0.300' is no address or network"),
        ({"peers": ("10.0.0.0/8", "engine.example")}, "'engine.example' is no address or network"),
        ({"message_types": ("DFT_P03",)}, "'DFT_P03' is no message type"),
        ({"tls_key": "key.pem"}, "need tls_cert"),
        ({"tls_client_ca": "ca.pem"}, "need tls_cert"),
    ],
)
def test_what_can_not_be_meant_is_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        feed(**settings)


def test_a_network_may_be_written_by_any_address_in_it() -> None:
    assert [str(one) for one in feed(peers=("10.1.2.3/24", "::1")).networks] == ["10.1.2.0/24", "::1/128"]


def test_done_is_no_folder_that_files_are_fetched_from() -> None:
    settings = {"host": "files.example", "user": "u", "password": "p", "host_keys": ("ssh-ed25519 AAAA",)}
    assert feed(sftp=settings).sftp is not None
    for folders in ({"done": "./"}, {"folder": "in", "failed": "in"}):
        with pytest.raises(ValidationError, match="folders of their own"):
            feed(sftp={**settings, **folders})


@pytest.mark.parametrize("label", ["ORU", "ORU^R01", "DFT^P99"])
def test_a_type_that_nothing_takes_is_refused_at_start(label: str) -> None:
    check_agreed(feed(message_types=("DFT^P03", "ADT")))
    with pytest.raises(ConfigInvalid, match=rf"interface 'feed': '{label[:3]}.*isn't taken; taken: ADT\^A01"):
        check_agreed(feed(message_types=("DFT^P03", label)))
