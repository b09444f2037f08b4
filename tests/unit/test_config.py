"""What the configuration refuses at start, in words that say what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhirpay import config, wiring
from fhirpay.config import Merchant, Tenant
from fhirpay.errors import ConfigInvalid
from fhirpay.payments.adapters.simulated import SimulatedProcessor
from fhirpay.payments.registry import build

MERCHANT = """
lease_s = {lease_s}
[[tenants]]
name = "main"
[[tenants.facilities]]
name = "main"
merchant = "card"
[[tenants.merchants]]
name = "card"
processor = "simulated"
base_url = "https://processor.example"
secret_key = "sk"
timeout_s = {timeout_s}
descriptor = "{descriptor}"
"""


def loaded(path: Path, *, lease_s: float = 60, timeout_s: float = 10, descriptor: str = "") -> config.Settings:
    path.write_text(MERCHANT.format(lease_s=lease_s, timeout_s=timeout_s, descriptor=descriptor), encoding="utf-8")
    return config.load(path)


def test_a_lease_that_a_slow_call_could_outlast_is_refused(tmp_path: Path) -> None:
    assert loaded(tmp_path / "a.toml", lease_s=41).lease_s == 41
    with pytest.raises(ConfigInvalid, match="lease_s must be over four times the timeout_s of 'card': above 40"):
        loaded(tmp_path / "b.toml", lease_s=40)


@pytest.mark.parametrize("name", ["A name that is longer than 22", "MÜLLER", "semi;colon"])
def test_a_descriptor_that_a_statement_can_not_show_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigInvalid, match="descriptor"):
        loaded(tmp_path / "a.toml", descriptor=name)


async def test_a_merchants_own_time_limit_is_kept(tmp_path: Path) -> None:
    registry = build(loaded(tmp_path / "a.toml", timeout_s=7).tenants[0])
    processor = registry.of("card")
    assert isinstance(processor, SimulatedProcessor)
    assert processor._http.timeout_s == 7
    await registry.aclose()


CLIENTS = """
[[tenants]]
name = "main"
[[tenants.issuers]]
name = "hospital"
issuer = "https://login.example"
{issuer}
[[tenants.clients]]
name = "ehr"
{client}
[[tenants.clients]]
name = "lab"
token = "lab-token"
"""
KEYS = 'jwks_url = "https://ehr.example/jwks.json"'


@pytest.mark.parametrize(
    ("client", "issuer", "says"),
    [
        ("", KEYS, "client 'ehr' needs a token, jwks_url, jwks or issuer"),
        (f'{KEYS}\nissuer = "hospital"', KEYS, "has one of jwks_url, jwks and issuer"),
        ('issuer = "other"', KEYS, "names issuer 'other', not defined"),
        ('token = "lab-token"', KEYS, "has the name, client_id or token of another one"),
        (f'{KEYS}\nclient_id = "lab"', KEYS, "has the name, client_id or token of another one"),
        (KEYS, "", "issuer 'hospital' has a jwks_url or an introspection_url"),
        (KEYS, f'{KEYS}\nintrospection_url = "https://i.example"', "has a jwks_url or an introspection_url"),
        (f'{KEYS}\nscopes = ["fhir"]', KEYS, "has the scope 'fhir', which allows nothing: write system/\\*.cruds"),
        (f'{KEYS}\nscopes = ["system/Observation.rs"]', KEYS, "scope 'system/Observation.rs', which allows nothing"),
        (f'{KEYS}\nscopes = ["system/Invoice.rs?no=1"]', KEYS, "which allows nothing"),
        (f'{KEYS}\nscopes = ["system/*.rs?status=active"]', KEYS, "which allows nothing"),
        ('jwks = "{}"', KEYS, "jwks of client 'ehr' is no JSON Web Key Set"),
        (KEYS.replace("https", "http"), KEYS, "client 'ehr': http://ehr.example/jwks.json is not https"),
        (KEYS.replace("ehr.example", "127.0.0.1"), KEYS, "private or this machine"),
        (KEYS.replace("ehr.example", "169.254.169.254"), KEYS, "metadata service"),
        (KEYS, KEYS.replace("https", "http"), "issuer 'hospital': http://ehr.example/jwks.json is not https"),
    ],
)
def test_a_client_that_nobody_could_be_or_that_anybody_could_is_refused(
    tmp_path: Path, client: str, issuer: str, says: str
) -> None:
    path = tmp_path / "a.toml"
    path.write_text(f'hash_key = "{"k" * 32}"\n' + CLIENTS.format(client=client, issuer=issuer), encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=says):
        wiring.build(config.load(path))


def test_a_client_has_keys_and_for_a_while_its_old_token_too(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    text = CLIENTS.format(client=f'{KEYS}\ntoken = "old"', issuer=KEYS)
    path.write_text(f'hash_key = "{"k" * 32}"\n' + text, encoding="utf-8")
    assert wiring.build(config.load(path)).house("main").door.key_sets


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ("", "", "facility 'south' has a feed and no organization: its accounts would be 'north's"),
        ("o1", "o1", "two facilities have organization 'o1'"),
        ("", "o2", ""),
    ],
)
def test_whose_an_account_is_can_be_told_of_each_facility_with_a_feed(one: str, other: str, says: str) -> None:
    merchant = config.Merchant(name="main", processor="simulated", secret_key="k")
    facilities = (config.Facility(name="north", organization=one), config.Facility(name="south", organization=other))
    feeds = tuple(config.Interface(name=at, facility=at, account_key="PID-18") for at in ("north", "south"))

    def made() -> config.Tenant:
        return config.Tenant(name="main", facilities=facilities, merchants=(merchant,), interfaces=feeds)

    if not says:
        assert made()
        return
    with pytest.raises(ValueError, match=says):
        made()


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('poll = ["ChargeItem"]', "needs poll_since: the day from when on changes are picked up"),
        ('poll = ["ChargeItem"]\npoll_since = 2026-12-01', "poll_since"),
        ('poll = ["PaymentReconciliation"]\npoll_since = 2026-12-01T00:00:00Z', "poll"),
        ('poll = ["Account"]\npoll_since = 2026-12-01T00:00:00Z\nfhir_version = "R5"', "from R4 and R4B"),
        (
            'poll = ["Account"]\npoll_since = 2026-12-01T00:00:00Z\npoll_by = { ChargeItem = "encounter" }',
            "names ChargeItem, which `poll` doesn't",
        ),
        ('interface = "clinic"', "names interface 'clinic', not defined"),
        ('subscribe = ["ChargeItem"]', "subscribes to ChargeItem: name it in `poll` too"),
        (
            'poll = ["ChargeItem"]\npoll_since = 2026-12-01T00:00:00Z\nsubscribe = ["ChargeItem"]',
            "needs subscribe_secrets",
        ),
        ('subscribe_secrets = ["short"]', "32 to 200 letters, digits"),
        ('subscribe_topics = { ChargeItem = "https://ehr.example/topic" }', "name it in `subscribe` too"),
    ],
)
def test_polling_is_refused_where_it_could_not_work(tmp_path: Path, lines: str, says: str) -> None:
    path = tmp_path / "a.toml"
    connection = f'[[tenants.connections]]\nname = "ehr"\nbase_url = "https://ehr.example/fhir"\n{lines}\n'
    path.write_text(MERCHANT.format(lease_s=60, timeout_s=10, descriptor="") + connection, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=says):
        config.load(path)


def test_a_secret_in_a_list_is_read_from_the_environment_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_A_TEST", "whsec_1")
    made = Merchant(name="main", processor="stripe", secret_key="k", webhook_secrets=("env:OF_A_TEST", "whsec_0"))
    assert made.webhook_secrets == ("whsec_1", "whsec_0")
    with pytest.raises(ValueError, match="NOT_THERE is not set"):
        Merchant(name="main", processor="stripe", secret_key="k", webhook_secrets=("env:NOT_THERE",))


def test_two_merchants_on_one_account_of_a_processor_are_refused() -> None:
    """Each would have all of its payouts."""

    def two(first: dict[str, str], **second: str) -> Tenant:
        of = {"processor": "stripe", "secret_key": "sk_1"} | first
        return Tenant(merchants=(Merchant(name="a", **of), Merchant(**({"name": "b"} | of | second))))  # type: ignore[arg-type]

    for same in ({}, {"account": "acct"}, {"location": "L1"}):
        with pytest.raises(ValueError, match="'a' and 'b' are one account at stripe"):
            two(same, **({"secret_key": "sk_2"} if same else {}))
    assert two({}, secret_key="sk_2").merchants
    assert two({"location": "L1"}, location="L2").merchants
    with pytest.raises(ValueError, match="two merchants are named 'a'"):
        two({}, name="a", secret_key="sk_2")


HERE = ["http://127.0.0.1:8091", "http://127.8.0.1", "http://[::1]:8091", "http://localhost", "http://LOCALHOST.:1"]
ELSEWHERE = [
    "http://processor.example",
    "HTTP://processor.example:443",
    "http://10.0.0.7",
    "http://[fd00::7]/v1",
    "http://127.0.0.1.processor.example",
    "http://127.0.0.1@processor.example",
    "http://localhost.example",
]


@pytest.mark.parametrize("address", ELSEWHERE)
@pytest.mark.parametrize("private_network", [False, True])
def test_a_merchants_key_goes_to_no_other_machine_in_the_clear(
    tmp_path: Path, address: str, private_network: bool
) -> None:
    with pytest.raises(
        ConfigInvalid, match=r"merchant 'card': base_url is http, .*: write https, or an address of this"
    ):
        at(tmp_path / "a.toml", address, private_network=private_network)


@pytest.mark.parametrize("address", [*HERE, "https://processor.example", "HTTPS://10.0.0.7", ""])
def test_a_merchants_address_is_https_or_on_this_machine(tmp_path: Path, address: str) -> None:
    assert at(tmp_path / "a.toml", address).tenants[0].merchant("card").base_url == address


def at(path: Path, address: str, *, private_network: bool = False) -> config.Settings:
    text = MERCHANT.format(lease_s=60, timeout_s=10, descriptor="").replace("https://processor.example", address)
    path.write_text(f"{text}private_network = {str(private_network).lower()}\n", encoding="utf-8")
    return config.load(path, {})


LAUNCHED = """
[[tenants]]
name = "main"
[[tenants.keys]]
private_key = "k"
[[tenants.connections]]
name = "ehr"
base_url = "https://ehr.example/fhir"
launch_client_id = "app"
launch_auth = "public"
"""


@pytest.mark.parametrize(
    ("who", "says"), [(MERCHANT, "payers of merchant 'card' come back"), (LAUNCHED, "connection 'ehr' is launched")]
)
@pytest.mark.parametrize("public_url", ELSEWHERE)
def test_nobody_comes_to_us_in_the_clear(tmp_path: Path, who: str, says: str, public_url: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(who.format(lease_s=60, timeout_s=10, descriptor=""), encoding="utf-8")
    with pytest.raises(ConfigInvalid, match=f"{says} .*set public_url to the https address"):
        config.load(path, {"FHIRPAY_PUBLIC_URL": public_url})


@pytest.mark.parametrize("who", [MERCHANT, LAUNCHED])
@pytest.mark.parametrize(
    "environ",
    [
        {},
        {
            "FHIRPAY_HTTP_HOST": "0.0.0.0"
        },  # in a container: its port is published on this machine, or public_url says where
        {"FHIRPAY_HTTP_HOST": "10.0.0.7", "FHIRPAY_PUBLIC_URL": "https://pay.example.org"},
        *({"FHIRPAY_PUBLIC_URL": address} for address in HERE),
    ],
)
def test_people_come_to_us_by_https_or_on_this_machine(tmp_path: Path, who: str, environ: dict[str, str]) -> None:
    path = tmp_path / "a.toml"
    path.write_text(who.format(lease_s=60, timeout_s=10, descriptor=""), encoding="utf-8")
    assert config.load(path, environ).tenants


def test_where_nobody_comes_to_any_address_will_do(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text('[[tenants]]\nname = "main"\n', encoding="utf-8")
    assert config.load(path, {"FHIRPAY_PUBLIC_URL": "http://feed.example"}).public_url == "http://feed.example"
