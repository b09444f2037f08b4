"""TLS for MLLP, both ways: contexts from the PEM files that the configuration names. 1.2 at least.

Called by `wiring`. A file that can't be used is a ConfigInvalid that names it, at start and not with the first sender.
"""

from __future__ import annotations

import ssl

from ..errors import ConfigInvalid


def server_context(cert: str, key: str, *, client_ca: str = "", client_required: bool = True) -> ssl.SSLContext:
    """For a listener. With `client_ca` a sender proves who it is, or may stay unknown (not required)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _own(context, cert, key)
    if client_ca:
        _trust(context, client_ca)
        context.verify_mode = ssl.CERT_REQUIRED if client_required else ssl.CERT_OPTIONAL
    return context


def client_context(*, ca: str = "", cert: str = "", key: str = "") -> ssl.SSLContext:
    """For our own calls: the other side proves its name, by `ca` or the system's authorities; `cert` proves ours."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # that one alone
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        _trust(context, ca)
    if cert:
        _own(context, cert, key)
    return context


def _own(context: ssl.SSLContext, cert: str, key: str) -> None:
    try:
        context.load_cert_chain(cert, key or None)
    except OSError as error:  # also SSLError
        says = f"the certificate {cert} and key {key or cert} can't be used: {_why(error)}"
        raise ConfigInvalid(f"{says}; write two PEM files that belong together") from None


def _trust(context: ssl.SSLContext, ca: str) -> None:
    try:
        context.load_verify_locations(ca)
    except OSError as error:
        raise ConfigInvalid(f"the authority {ca} can't be used: {_why(error)}; write a PEM file") from None


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is no PEM file"
    return error.strerror or type(error).__name__
