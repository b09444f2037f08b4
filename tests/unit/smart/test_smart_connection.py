"""A connection as data: what the configuration refuses at start, and the URL where our keys are to be had."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from fhirpay import config, wiring
from fhirpay.config import Connection, Settings, SigningKey, Tenant
from fhirpay.errors import ConfigInvalid
from smart_world import EC, RSA

TENANT = '[[tenants]]\nname = "main"\n[[tenants.connections]]\nname = "ehr"\nbase_url = "https://ehr.example/fhir"\n'
REFUSED = {
    'token = "t"\nclient_id = "c"': 'set auth = "backend-services" too',
    'scopes = ["system/Patient.rs"]': 'set auth = "backend-services" too',
    'auth = "backend-services"\nclient_id = "c"\ntoken = "t"': "take `token` out",
    'token_endpoint = "https://ehr.example/token"': 'set auth = "backend-services" too',
    'auth = "backend-services"': "needs client_id",
    'auth = "backend-services"\nclient_id = "c"': "make a key with `fhirpay keys new`",
    'auth = "backend-services"\nclient_id = "c"\nwrites = []': "say which to ask for",
    'auth = "basic"': "Input should be 'token' or 'backend-services'",
    'fhir_version = "R6"': "Input should be",
    'zone = "Mars"': "is not an IANA zone",
    'currency = "usd"': "currency",
    "calls_per_min = -1": "greater than or equal to 0",
    'launch_auth = "public"': "has launch_auth and no launch_client_id",
    'launch_title = "City"': "has launch_title and no launch_client_id",
    'launch_client_id = "c"': "make a key with `fhirpay keys new`",
    'launch_client_id = "c"\nlaunch_auth = "client_secret_basic"': "needs launch_client_secret",
    'launch_client_id = "c"\nlaunch_auth = "public"\nlaunch_client_secret = "s"': "set launch_auth to match",
    'launch_client_id = "c"\nlaunch_auth = "public"\nfhir_version = "R5"': "read as R4: no launch",
    'launch_client_id = "c"\nlaunch_session_min = 0': "greater than or equal to 1",
}


@pytest.mark.parametrize("lines", REFUSED)
def test_what_can_not_be_meant_is_refused_at_start(lines: str, tmp_path: Path) -> None:
    path = tmp_path / "fhirpay.toml"
    path.write_text(TENANT + lines, encoding="utf-8")
    with pytest.raises(ConfigInvalid, match="(?s)" + REFUSED[lines].replace("[", r"\[")):
        config.load(path)


@pytest.mark.parametrize("access", [{"auth": "backend-services", "client_id": "c"}, {"token": "t"}])
def test_a_token_goes_by_http_inside_a_private_network_alone(access: dict[str, str]) -> None:
    ours: dict[str, object] = {"name": "ehr", "base_url": "http://ehr.example/fhir", **access}
    with pytest.raises(ValueError, match="base_url is not https"):
        Connection.model_validate(ours)
    assert Connection.model_validate(ours | {"private_network": True}).private_network


def test_two_ehrs_with_one_client_id_need_their_token_endpoints() -> None:
    """Else one of them could name the other's (mix-up), and have us sign for it."""

    def ehr(name: str, base_url: str, token_endpoint: str = "") -> Connection:
        access = {"auth": "backend-services", "client_id": "c", "token_endpoint": token_endpoint}
        return Connection.model_validate({"name": name, "base_url": base_url, **access})

    keys = (SigningKey(private_key=EC),)
    good = ehr("good", "https://good.example/fhir", "https://good.example/token")
    with pytest.raises(ValueError, match="'evil' needs token_endpoint: its client_id is one of another EHR too"):
        Tenant(keys=keys, connections=(good, ehr("evil", "https://evil.example/fhir")))
    Tenant(keys=keys, connections=(good, ehr("evil", "https://evil.example/fhir", "https://evil.example/token")))
    Tenant(keys=keys, connections=(ehr("r4", "https://good.example/r4"), ehr("r5", "https://good.example/r5")))


def test_a_launch_goes_by_http_inside_a_private_network_alone() -> None:
    agreed = {"name": "ehr", "base_url": "http://ehr.example/fhir", "launch_client_id": "c", "launch_auth": "public"}
    with pytest.raises(ValueError, match="base_url is not https"):
        Connection.model_validate(agreed)
    assert Connection.model_validate(agreed | {"private_network": True}).launch_client_id == "c"


def test_one_ehr_is_launched_from_by_one_connection() -> None:
    agreed = {"launch_client_id": "c", "launch_auth": "public"}
    first = Connection(name="a", base_url="https://ehr.example/fhir", **agreed)
    with pytest.raises(ValueError, match=r"two connections are launched from https://ehr\.example/fhir"):
        Tenant(connections=(first, Connection(name="b", base_url="https://EHR.example:443/fhir/", **agreed)))


def test_two_ehrs_with_one_launch_client_id_need_their_token_endpoints() -> None:
    def both(**more: str) -> Tenant:
        urls = {"a": "https://a.example/fhir", "b": "https://b.example/fhir"}
        made = (Connection(name=name, base_url=url, launch_client_id="c", **more) for name, url in urls.items())
        return Tenant(connections=tuple(made), keys=(SigningKey(private_key=EC),))

    with pytest.raises(ValueError, match="needs token_endpoint: its client_id is one of another EHR too"):
        both()
    assert both(token_endpoint="https://as.example/token").connections
    assert both(launch_auth="public").connections


def test_scopes_that_a_launch_can_not_have_are_refused_at_start() -> None:
    connection = Connection(
        name="ehr",
        base_url="https://ehr.example/fhir",
        launch_client_id="c",
        launch_auth="public",
        launch_scopes=("system/Patient.rs",),
    )
    tenant = Tenant(name="main", connections=(connection,))
    with pytest.raises(ConfigInvalid, match=r"'system/Patient\.rs' is no scope of a launch"):
        wiring.build(Settings(hash_key="k" * 32, database="sqlite:///:memory:", tenants=(tenant,)))


def test_a_secret_of_a_connection_shows_nowhere() -> None:
    assert "s3cret" not in repr(Connection(name="ehr", base_url="https://x", token="s3cret"))


def settings(tmp_path: Path, *names: str) -> Settings:
    tenants = tuple(Tenant(name=name, keys=(SigningKey(private_key=EC), SigningKey(private_key=RSA))) for name in names)
    return Settings(database=f"sqlite:///{tmp_path}/x.db", hash_key="k" * 32, tenants=tenants)


@pytest.mark.parametrize(
    ("tenants", "path"),
    [(("main",), "/smart/jwks.json"), (("main", "other"), "/tenants/other/smart/jwks.json")],
)
async def test_each_tenants_public_keys_have_a_url_of_their_own(
    tenants: tuple[str, ...], path: str, tmp_path: Path
) -> None:
    system = wiring.build(settings(tmp_path, *tenants))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=system.web), base_url="http://x") as http:
        answer = await http.get(path)
    await system.close()
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["content-type"] == "application/json"
    assert [one["kty"] for one in answer.json()["keys"]] == ["EC", "RSA"]
    assert all("d" not in one for one in answer.json()["keys"])
