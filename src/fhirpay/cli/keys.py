"""`fhirpay keys …`: what we sign with as a client of EHRs. Private halves are written to a file, never shown."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ..config import SigningKey
from ..domain.clock import SystemClock
from ..errors import ConfigInvalid
from ..smart.keys import PUBLISHED_BEFORE, Algorithm, Key, KeyRing, new_private_key
from ..web.jwks import PATH
from .context import ConfigOption, JsonOption, TenantOption, friendly, out, settings, tenant_name

keys = typer.Typer(help="Keys that we sign with as a client of EHRs: new, list, jwks.", no_args_is_help=True)


@keys.command()
def new(
    to: Annotated[Path, typer.Argument(help="The file that the private key is written to; it must not exist.")],
    algorithm: Annotated[Algorithm, typer.Option("--algorithm", help="RS384 is RSA, ES384 is EC.")] = Algorithm.ES384,
) -> None:
    """Make a key, and say what to write into fhirpay.toml. It signs from tomorrow on, so that EHRs know it by then."""
    with friendly():
        kid = _write(to, algorithm)
        signs_from = (SystemClock().now() + PUBLISHED_BEFORE).replace(microsecond=0)
        out(f"{algorithm} key {kid} is in {to}; keep it as you keep passwords. For fhirpay.toml, below its tenant:")
        out()
        out("[[tenants.keys]]")
        out(f'private_key = "{to}"')
        out(f"signs_from = {signs_from.isoformat()}   # leave this line out for the very first key")


def _write(to: Path, algorithm: Algorithm) -> str:
    """The new key's name. The file is ours alone to read from its first byte on."""
    pem = new_private_key(algorithm)
    try:
        handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigInvalid(f"{to} is there already: a key is never written over") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(pem)
    return KeyRing([SigningKey(private_key=pem)]).keys[0].kid


@keys.command("list")
def list_keys(tenant: TenantOption = "", config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """The keys of the configuration, by their public names: which one signs, and which may be taken out."""
    with friendly():
        ring, url = _ring(config, tenant)
        now = SystemClock().now()
        for one in ring.keys:
            shown = {"kid": one.kid, "algorithm": one.algorithm, "state": state_of(ring, one, now)}
            out(json.dumps(shown) if as_json else "  ".join(shown.values()))
        if not as_json:
            out(f"{len(ring.keys)} published at {url}")


@keys.command()
def jwks(tenant: TenantOption = "", config: ConfigOption = None) -> None:
    """The public JWK Set, for an EHR that wants it pasted rather than fetched."""
    with friendly():
        out(json.dumps(_ring(config, tenant)[0].published(), indent=2))


def state_of(ring: KeyRing, key: Key, now: datetime) -> str:
    """What a key is for now, in words."""
    if not key.signs_at(now):
        assert key.signs_from is not None
        return f"published; signs from {key.signs_from.isoformat()}"
    goes = ring.may_go(key, now)
    if goes is None:
        return "signs"
    return "may be taken out" if goes <= now else f"published still; may be taken out from {goes.isoformat()}"


def _ring(config: Path | None, tenant: str) -> tuple[KeyRing, str]:
    loaded = settings(config)
    name = tenant_name(loaded, tenant)
    return KeyRing(loaded.tenant(name).keys), loaded.base_url + loaded.path_of(name) + PATH
