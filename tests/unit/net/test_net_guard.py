"""Destinations that a client of ours may not call."""

from __future__ import annotations

import pytest

from fhirpay.errors import ConfigInvalid
from fhirpay.net.guard import check_host, check_url

NEVER = [
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com",
    "http://",
    "//example.com",
    "http://user:secret@example.com/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://[fe80::1]/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://224.0.0.1/",
    "http://100.100.100.200/",
    "http://[fd00:ec2::254]/",
    "http://metadata.google.internal/",
    "http://metadata.google.internal./",
    "http://[64:ff9b::169.254.169.254]/",
    "http://[2002:a9fe:a9fe::]/",
]
PRIVATE = [
    "http://localhost:8080",
    "http://127.0.0.1",
    "http://[::1]:9000/fhir",
    "https://10.1.2.3/fhir",
    "https://192.168.1.20",
    "https://172.16.0.9",
    "https://[fd12:3456::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[2002:a00:1::]/",
    "http://[::10.0.0.1]/",
]


@pytest.mark.parametrize("url", NEVER)
@pytest.mark.parametrize("allow_private", [False, True])
def test_never_a_destination(url: str, allow_private: bool) -> None:
    with pytest.raises(ConfigInvalid):
        check_url(url, allow_private=allow_private)


@pytest.mark.parametrize("url", PRIVATE)
def test_private_only_when_allowed(url: str) -> None:
    with pytest.raises(ConfigInvalid):
        check_url(url)
    assert check_url(url, allow_private=True)[0]


def test_a_public_destination_passes() -> None:
    assert check_url("https://ehr.example.com/fhir/R4") == ("ehr.example.com", 443)
    assert check_url("http://ehr.example.com:8080") == ("ehr.example.com", 8080)


async def test_a_name_is_checked_by_its_addresses() -> None:
    with pytest.raises(ConfigInvalid):
        await check_host("localhost", 80, allow_private=False)
    await check_host("localhost", 80, allow_private=True)
