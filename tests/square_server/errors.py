"""Square's errors: `errors: [{category, code, detail, field}]` with an HTTP status (Build Basics, Handling errors)."""

from __future__ import annotations

from typing import Any

Doc = dict[str, Any]


class Refused(Exception):
    """An answer that says no. `stored`: the idempotency key remembers it (not so for what fails validation)."""

    def __init__(self, status: int, errors: list[Doc], *, stored: bool = False, more: Doc | None = None) -> None:
        super().__init__(errors[0]["detail"])
        self.status = status
        self.errors = errors
        self.stored = stored
        self.more = more or {}

    @property
    def body(self) -> Doc:
        return {"errors": self.errors, **self.more}


def _error(category: str, code: str, detail: str, field: str) -> Doc:
    return {"category": category, "code": code, "detail": detail, **({"field": field} if field else {})}


def invalid(code: str, detail: str, field: str = "", *, status: int = 400) -> Refused:
    """API reference, ErrorCategory INVALID_REQUEST_ERROR."""
    return Refused(status, [_error("INVALID_REQUEST_ERROR", code, detail, field)])


def missing(what: str, id_: str) -> Refused:
    """API reference, ErrorCode NOT_FOUND: 404."""
    return invalid("NOT_FOUND", f"Could not find {what} with id: {id_}", status=404)


def declined(code: str, payment: Doc) -> Refused:
    """Payments API error codes: category PAYMENT_METHOD_ERROR, `Authorization error: 'CODE'`; the payment is FAILED."""
    error = _error("PAYMENT_METHOD_ERROR", code, f"Authorization error: '{code}'", "")
    return Refused(400, [error], stored=True, more={"payment": payment})


def no_refund(code: str, detail: str) -> Refused:
    """API reference, RefundPayment: category REFUND_ERROR."""
    return Refused(400, [_error("REFUND_ERROR", code, detail, "")], stored=True)


def unauthorized(code: str = "UNAUTHORIZED") -> Refused:
    """API reference, ErrorCategory AUTHENTICATION_ERROR: 401."""
    return Refused(401, [_error("AUTHENTICATION_ERROR", code, "This request could not be authorized.", "")])


def rate_limited() -> Refused:
    """Build Basics, Handling errors: 429, RATE_LIMIT_ERROR."""
    return Refused(429, [_error("RATE_LIMIT_ERROR", "RATE_LIMITED", "Too many requests.", "")])


def internal() -> Refused:
    """API reference, ErrorCode INTERNAL_SERVER_ERROR."""
    return Refused(500, [_error("API_ERROR", "INTERNAL_SERVER_ERROR", "An internal error has occurred.", "")])
