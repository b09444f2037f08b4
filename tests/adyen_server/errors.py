"""Adyen's errors: `status`, `errorCode`, `message`, `errorType` and sometimes `pspReference` (API reference,
ServiceError; the codes are those of the page "Error codes")."""

from __future__ import annotations

from typing import Any

Doc = dict[str, Any]


class Refused(Exception):
    """An answer that is no result. `kept`: the idempotency key remembers it."""

    def __init__(self, status: int, code: str, message: str, type_: str, *, kept: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.kept = kept
        self.body: Doc = {"status": status, "errorCode": code, "message": message, "errorType": type_}


def invalid(code: str, message: str, *, status: int = 422) -> Refused:
    """Error codes, errorType `validation`: the request was understood and is not acceptable."""
    return Refused(status, code, message, "validation")


def unreadable(message: str) -> Refused:
    """Error codes, 702: a structure that can't be read, or that has fields which the API does not know. HTTP 400."""
    return Refused(400, "702", message, "validation")


def unauthorized() -> Refused:
    """HTTP status codes, 401; error codes, 000."""
    return Refused(401, "000", "HTTP Status Response - Unauthorized", "security", kept=False)


def forbidden(code: str, message: str) -> Refused:
    """HTTP status codes, 403; error codes, 010 (not allowed) and 901 (invalid merchant account)."""
    return Refused(403, code, message, "security", kept=False)


def in_progress() -> Refused:
    """API idempotency: the same key before the first call has ended, 422 or 409 with errorCode 704."""
    return Refused(409, "704", "request already processed or in progress", "validation", kept=False)


def internal() -> Refused:
    """HTTP status codes, 500; error codes, 905_? are specific: 000 is the general one."""
    return Refused(500, "000", "An internal error occurred", "internal")
