"""What is agreed with an EHR that launches us as a SMART app, by the people who use it. Part of `config`: these are
settings of a connection."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from .config_section import Section

_PORTS = {"https": 443, "http": 80}


def normal_base(url: str) -> str:
    """A FHIR base as it is compared: letters of the scheme and host in lower case, no default port, no last slash.

    Empty for what is no base: one without a host, or with a query, a fragment or a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in _PORTS or not host or parts.query or parts.fragment or "@" in parts.netloc:
        return ""
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" + (f":{port}" if port not in (None, _PORTS[scheme]) else "") + parts.path.rstrip("/")


class LaunchedFrom(Section):
    """Who may come to us from there, and as whom we ask the EHR who they are."""

    name: str
    base_url: str = Field(description="FHIR base of the EHR")
    private_network: bool = Field(
        default=False, description="the address may be a private or loopback one, as inside a hospital"
    )
    launch_client_id: str = Field(
        default="", description="our client id there as a SMART app; empty: nobody is let in from this EHR"
    )
    launch_auth: Literal["public", "client_secret_basic", "private_key_jwt"] = Field(
        default="private_key_jwt",
        description="how the app proves to it who it is: by the tenant's keys, a secret, or not at all",
    )
    launch_client_secret: str = Field(default="", repr=False, description="our client secret there; use env:NAME")
    launch_scopes: tuple[str, ...] = Field(
        default=(),
        description="what the app asks for besides `launch`, `openid` and `fhirUser`; empty: to read the Patient and "
        "Encounter in context, and `online_access` where it is offered",
    )
    launch_for: tuple[Literal["staff", "patient"], ...] = Field(
        default=("staff", "patient"), description="whom the app lets in"
    )
    launch_may_pay: tuple[Literal["staff", "patient"], ...] = Field(
        default=("staff", "patient"), description="who may open a page to pay on; the others only look"
    )
    launch_title: str = Field(
        default="", description="what people call it: with it, they can sign in from our own page; empty: they can't"
    )
    launch_session_min: int = Field(
        default=60, ge=1, le=720, description="how long a launch lasts, where the EHR doesn't end it earlier"
    )

    @model_validator(mode="after")
    def _launched_by_a_registered_client(self) -> LaunchedFrom:
        said = self.model_fields_set & {"launch_scopes", "launch_client_secret", "launch_title", "launch_auth"}
        if not self.launch_client_id:
            if said:
                raise ValueError(f"connection '{self.name}' has {min(said)} and no launch_client_id: nobody is let in")
            return self
        if not self.private_network and not self.base_url.startswith("https:"):
            raise ValueError(f"connection '{self.name}': base_url is not https, and tokens would be read on their way")
        if self.launch_auth == "client_secret_basic" and not self.launch_client_secret:
            raise ValueError(f"connection '{self.name}' needs launch_client_secret for client_secret_basic")
        if self.launch_auth != "client_secret_basic" and self.launch_client_secret:
            raise ValueError(f"connection '{self.name}' has launch_client_secret: set launch_auth to match")
        return self
