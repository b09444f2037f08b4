"""Stripe's errors: one JSON shape, a type, sometimes a code, and the HTTP status (API reference, Errors)."""

from __future__ import annotations

from typing import Any

Doc = dict[str, Any]


class Refused(Exception):
    """An answer that says no. `stored`: an idempotency key remembers it (not so for what fails validation)."""

    def __init__(self, status: int, error: Doc, *, stored: bool = True) -> None:
        super().__init__(error.get("message", ""))
        self.status = status
        self.error = error
        self.stored = stored

    @property
    def body(self) -> Doc:
        return {"error": self.error}


def _error(type_: str, message: str, code: str, param: str, more: Doc) -> Doc:
    error: Doc = {"type": type_, "message": message, **more}
    if code:
        error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
    if param:
        error["param"] = param
    return error


def invalid(message: str, *, code: str = "", param: str = "", status: int = 400, **more: Any) -> Refused:
    """The request was understood and can't be done. API reference, Errors: invalid_request_error."""
    return Refused(status, _error("invalid_request_error", message, code, param, more))


def unreadable(message: str, *, code: str = "", param: str = "") -> Refused:
    """Parameters that fail validation. API reference, Idempotent requests: no result is saved for these."""
    return Refused(400, _error("invalid_request_error", message, code, param, {}), stored=False)


def exclusive(*params: str) -> Refused:
    """Error codes: parameters_exclusive."""
    message = f"You may only specify one of these parameters: {', '.join(params)}."
    return unreadable(message, code="parameters_exclusive", param=params[0])


def limit(what: str) -> Refused:
    """Documented by Stripe, not modelled here."""
    message = f"This look-alike does not model {what}."
    return Refused(400, _error("invalid_request_error", message, "look_alike_limit", "", {}), stored=False)


def missing(kind: str, id_: str, param: str, *, in_path: bool = False) -> Refused:
    """Error codes: resource_missing. 404 for the object in the path, 400 for one that a parameter names."""
    message = f"No such {kind}: '{id_}'"
    return invalid(message, code="resource_missing", param=param, status=404 if in_path else 400)


def card(code: str, message: str, *, decline_code: str = "", **more: Any) -> Refused:
    """API reference, Errors: card_error, 402; `decline_code` only where the issuer gave one."""
    extra = {"decline_code": decline_code, **more} if decline_code else more
    return Refused(402, _error("card_error", message, code, "", extra))


def unexpected_state(message: str, intent: Doc) -> Refused:
    """Error codes: payment_intent_unexpected_state; the PaymentIntent comes along (API reference, Errors)."""
    return invalid(message, code="payment_intent_unexpected_state", payment_intent=intent)


def idempotency(message: str, *, status: int = 400, code: str = "") -> Refused:
    """API reference, Errors: idempotency_error."""
    return Refused(status, _error("idempotency_error", message, code, "", {}), stored=False)


def internal() -> Refused:
    """API reference, Errors: api_error."""
    return Refused(500, _error("api_error", "An unknown error occurred", "", "", {}))


def rate_limited(code: str) -> Refused:
    """Rate limits: 429, code rate_limit, or lock_timeout when another request holds the object."""
    words = {
        "rate_limit": "Request rate limit exceeded. Retry later with exponential backoff.",
        "lock_timeout": "This object cannot be accessed right now because another API request or Stripe process is "
        "currently accessing it.",
    }
    return Refused(429, _error("invalid_request_error", words[code], code, "", {}), stored=False)
