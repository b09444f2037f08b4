"""Who may call us: the systems that are registered, and issuers of tokens whose word we take. Part of `config`."""

from __future__ import annotations

from pydantic import Field, model_validator

from .config_section import Section


class ApiClient(Section):
    """A system that may call our FHIR, HL7-over-HTTP and payments endpoints."""

    name: str
    token: str = Field(default="", description="a bearer token that never ends; use env:NAME")
    client_id: str = Field(default="", description="how it names itself when it asks for a token; empty: its name")
    jwks_url: str = Field(default="", description="where its public keys are: it asks us for tokens (private_key_jwt)")
    jwks: str = Field(default="", description="its public keys, a JSON Web Key Set, where it has no such URL")
    issuer: str = Field(default="", description="the [[tenants.issuers]] that gives it tokens instead of us")
    scopes: tuple[str, ...] = Field(
        default=("system/*.cruds", "hl7v2", "payments"), description="what it may do, and the most a token may say"
    )
    interface: str = Field(default="", description="the interface whose rules apply to what it sends")
    private_network: bool = Field(
        default=False,
        description="jwks_url, and where it is told of payments, may be private or loopback addresses, and http",
    )

    @property
    def id(self) -> str:
        return self.client_id or self.name

    @model_validator(mode="after")
    def _known_by(self) -> ApiClient:
        if not (self.token or self.jwks_url or self.jwks or self.issuer):
            raise ValueError(f"client '{self.name}' needs a token, jwks_url, jwks or issuer")
        if sum(map(bool, (self.jwks_url, self.jwks, self.issuer))) > 1:
            raise ValueError(f"client '{self.name}' has one of jwks_url, jwks and issuer, not several")
        return self


class Issuer(Section):
    """Another authorization server, such as the hospital's own, whose access tokens are taken here."""

    name: str
    issuer: str = Field(description="the `iss` of its tokens, to the letter")
    audience: str = Field(default="", description="the `aud` that means us; empty: our FHIR base URL")
    jwks_url: str = Field(default="", description="where its public keys are, if its tokens are signed JWTs")
    introspection_url: str = Field(default="", description="where it is asked about a token (RFC 7662), if they aren't")
    introspection_client: str = Field(default="", description="our client id there")
    introspection_secret: str = Field(default="", description="our client secret there; use env:NAME")
    timeout_s: float = Field(default=5, gt=0, description="longest wait for an answer of it")
    private_network: bool = Field(default=False, description="its URLs may be private or loopback addresses, and http")

    @model_validator(mode="after")
    def _checked_by(self) -> Issuer:
        if bool(self.jwks_url) == bool(self.introspection_url):
            raise ValueError(f"issuer '{self.name}' has a jwks_url or an introspection_url: how its tokens are checked")
        return self
