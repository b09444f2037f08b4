"""What a caller sends and wants: Content-Type, Accept, `_format`, Prefer, If-Match. Called by router.py.

One format is spoken, FHIR JSON, at each base of one version; anything else is refused by name (406, 415) instead of
being answered in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from fastapi import Request

from ...errors import MessageUnsupported
from ...fhir.bundle_entries import version_of
from .spoken import Spoken

FHIR_JSON = "application/fhir+json"
_JSON = (FHIR_JSON, "application/json", "text/json", "json")
_ANY = ("*/*", "application/*")


class NotAcceptable(MessageUnsupported):
    http_status = 406


class MediaUnsupported(MessageUnsupported):
    http_status = 415


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the caller wants to be answered (FHIR R4, http.html: Prefer)."""

    content: Literal["minimal", "representation", "OperationOutcome"] = "representation"
    lenient: bool = False


def wishes(request: Request, spoken: Spoken) -> Wishes:
    """Raises NotAcceptable when the caller takes nothing that is spoken here."""
    stated = request.query_params.get("_format")
    if stated is not None:
        media, parameters = next(_media(stated.replace("fhir json", "fhir+json")), ("", {}))
        if media not in _JSON or not _of_version(parameters, spoken):
            raise NotAcceptable(f"only FHIR JSON of {spoken.version} is spoken here", location="http._format")
    else:
        accept = ",".join(request.headers.getlist("accept")) or "*/*"
        if not any(_taken(media, parameters, spoken) for media, parameters in _media(accept)):
            raise NotAcceptable(f"only {FHIR_JSON} of FHIR {spoken.version} is spoken here", location="http.Accept")
    preferred = _preferences(",".join(request.headers.getlist("prefer")))
    content: Literal["minimal", "representation", "OperationOutcome"] = "representation"
    if preferred.get("return") == "minimal":
        content = "minimal"
    elif preferred.get("return") == "OperationOutcome":
        content = "OperationOutcome"
    return Wishes(content, preferred.get("handling") == "lenient")


def check_body(request: Request, spoken: Spoken, *allowed: str) -> None:
    """Raises MediaUnsupported unless the body is one of `allowed` (by default FHIR JSON), in UTF-8, not compressed."""
    media, parameters = next(_media(request.headers.get("content-type", "")), ("", {}))
    if media not in (allowed or _JSON[:3]):
        raise MediaUnsupported(f"send {(allowed or _JSON)[0]}", location="http.Content-Type")
    if parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8"):
        raise MediaUnsupported("FHIR JSON is in UTF-8", location="http.Content-Type")
    if not _of_version(parameters, spoken):
        says = f"only FHIR {spoken.version} ({spoken.numbers[0]}) is spoken here"
        raise MediaUnsupported(says, location="http.Content-Type")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise MediaUnsupported("send the body uncompressed", location="http.Content-Encoding")


def if_match(request: Request) -> int | None:
    """The version that the caller has seen; None when it doesn't say. Raises ValueInvalid."""
    stated = request.headers.get("if-match")
    return None if stated is None else version_of(stated)


def _of_version(parameters: Mapping[str, str], spoken: Spoken) -> bool:
    return parameters.get("fhirversion", "") in ("", *spoken.numbers)


def _taken(media: str, parameters: Mapping[str, str], spoken: Spoken) -> bool:
    if media not in _JSON and media not in _ANY:
        return False
    refused = parameters.get("q", "1").strip("0.") == ""
    return not refused and _of_version(parameters, spoken)


def _media(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    for one in header.split(","):
        media, *parameters = (part.strip() for part in one.split(";"))
        pairs = (part.partition("=") for part in parameters)
        yield media.lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}


def _preferences(header: str) -> dict[str, str]:
    pairs = (part.partition("=") for one in header.split(",") for part in one.split(";"))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs if name.strip()}
