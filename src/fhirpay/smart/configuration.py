"""`.well-known/smart-configuration`: where an EHR's tokens are to be had, and how (SMART 2.2, conformance). Pure.

Called by backend.py and launch.py with what was answered, and by `fhirpay conformance check`. An endpoint must be
https, or http inside a private network that the connection says it is in: what goes there is a credential.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigInvalid, MessageInvalid
from ..net.guard import check_url
from ..net.http import Response
from .keys import Algorithm

PATH = "/.well-known/smart-configuration"
_URL_MAX = 2_000
_OURS = frozenset[str](Algorithm)


@dataclass(frozen=True, slots=True)
class Configuration:
    """`algorithms` are those of ours that it takes assertions in. `lacks` is what SMART requires and it doesn't say."""

    token_url: str
    algorithms: frozenset[str]
    capabilities: frozenset[str]
    scopes: frozenset[str]
    lacks: tuple[str, ...] = ()

    @property
    def v2(self) -> bool:
        """Whether it takes scopes in the syntax of v2; one that doesn't say takes those of v1."""
        return "permission-v2" in self.capabilities


def read_configuration(answer: Response, *, private: bool) -> Configuration:
    """Raises MessageInvalid, in words for whoever set up the connection, when no token can be had by it."""
    doc = document(answer)
    token_url = endpoint(doc, "token_endpoint", private=private)
    methods = words(doc.get("token_endpoint_auth_methods_supported"))
    if methods and "private_key_jwt" not in methods:
        raise MessageInvalid(f"its clients authenticate by {', '.join(sorted(methods))}, and we do by private_key_jwt")
    grants = words(doc.get("grant_types_supported"))
    if grants and "client_credentials" not in grants:
        raise MessageInvalid("it grants no client_credentials, which backend services need")
    stated = words(doc.get("token_endpoint_auth_signing_alg_values_supported"))
    if stated and not stated & _OURS:
        raise MessageInvalid(f"it takes assertions in {', '.join(sorted(stated))}, and we sign RS384 or ES384")
    return Configuration(
        token_url,
        algorithms=(stated & _OURS) or _OURS,
        capabilities=words(doc.get("capabilities")),
        scopes=words(doc.get("scopes_supported")),
        lacks=lacking(doc),
    )


def document(answer: Response) -> dict[str, Any]:
    """What was answered, where it is a smart-configuration at all. Raises MessageInvalid."""
    if answer.status in (301, 302, 303, 307, 308):
        raise MessageInvalid(f"it is redirected ({answer.status}): is base_url the EHR's FHIR base?")
    if not answer.ok:
        raise MessageInvalid(f"it was answered by {answer.status}: this EHR may not offer SMART at this base_url")
    doc = answer.json_object()
    if not doc:
        raise MessageInvalid("it is no JSON object, but " + what_it_is(answer))
    return doc


def lacking(doc: dict[str, Any]) -> tuple[str, ...]:
    """What SMART requires of every server and this one doesn't say."""
    required = ("grant_types_supported", "capabilities", "code_challenge_methods_supported")
    return tuple(name for name in required if not isinstance(doc.get(name), list))


def endpoint(doc: dict[str, Any], name: str, *, private: bool) -> str:
    """The URL of that name. Raises MessageInvalid where there is none, or one that no credential may be sent to."""
    url = doc.get(name)
    if not isinstance(url, str) or not url:
        raise MessageInvalid(f"it names no {name}")
    if not url.isascii() or not url.isprintable() or len(url) > _URL_MAX:
        raise MessageInvalid(f"its {name} is no URL: one is of ASCII letters and signs, and not endless")
    try:
        check_url(url, allow_private=private)
    except (ConfigInvalid, ValueError) as error:
        raise MessageInvalid(f"its {name} can't be used: {error}") from None
    parts = urlsplit(url)
    if parts.fragment:
        raise MessageInvalid(f"its {name} has a fragment")
    if parts.scheme != "https" and not private:
        raise MessageInvalid(f"its {name} at {parts.hostname} is not https, and we send a credential there")
    return url


def what_it_is(answer: Response) -> str:
    """The kind of an answer that can't be read, without a word of it."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()[:60]
    if "html" in kind or answer.body.lstrip()[:1] == b"<":
        return "a page (HTML)"
    return f"{kind or 'something'} of {len(answer.body)} bytes"


def words(value: Any) -> frozenset[str]:
    """A list of words, as such documents have them."""
    return frozenset(one[:100] for one in value if isinstance(one, str)) if isinstance(value, list) else frozenset()
