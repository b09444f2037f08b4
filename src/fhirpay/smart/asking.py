"""What we ask an EHR for, and what of it was granted. Compared by what it permits: a server may grant in the other
version's syntax, or with a wildcard, than was asked. Pure; called by backend.py, launch.py and `fhirpay conformance
check`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from ..errors import ConfigInvalid
from .scopes import Scope

OF_A_LAUNCH = ("patient", "user")  # where a person has launched us


def granted_in(text: str, contexts: Collection[str] = ("system",)) -> tuple[Scope, ...]:
    """The resource scopes of a token response, in any order. Mostly only those of systems: we are one."""
    return tuple(filter(None, (Scope.parse(one, contexts) for one in text.split())))


def missing(asked: Iterable[Scope], granted: Sequence[Scope]) -> tuple[Scope, ...]:
    """What was asked for and isn't granted, in v2 syntax."""
    short: list[Scope] = []
    for one in asked:
        left = [letter for letter in one.letters if not any(_permits(other, one, letter) for other in granted)]
        if left:
            short.append(replace(one, letters="".join(left), v1=False))
    return tuple(short)


def _permits(granted: Scope, asked: Scope, letter: str) -> bool:
    return granted.covers(replace(asked, letters=letter))


def letters_for(resource_type: str, granted: Iterable[Scope]) -> frozenset[str]:
    """What may be done with a resource type at all."""
    return frozenset(letter for one in granted if one.type in ("*", resource_type) for letter in one.letters)


def letters_together(resource_type: str, needed: Iterable[Scope], granted: Sequence[Scope]) -> frozenset[str]:
    """The same, where a financial transaction needs a second scope."""
    letters = letters_for(resource_type, granted)
    if resource_type == "Basic" and any(one.type == "FinancialTransaction" for one in needed):
        return letters & letters_for("FinancialTransaction", granted)
    return letters


def checked(scopes: Sequence[str], of: str) -> tuple[Scope, ...]:
    """The scopes of a connection's configuration. Raises ConfigInvalid for one that no backend service can have."""
    read: list[Scope] = []
    for text in scopes:
        scope = Scope.parse(text)
        if scope is None:
            raise ConfigInvalid(
                f"connection '{of}': '{text[:80]}' is no scope of a backend service; write one such as "
                "system/PaymentReconciliation.crus (v2) or system/PaymentReconciliation.write (v1)"
            )
        read.append(scope)
    return tuple(read)


# Oracle Health's Basic (docs.oracle.com, op-basic-post): created and nothing else, by two scopes; visits are looked up.
_TRANSACTIONS = {"Basic": "c", "FinancialTransaction": "c", "Encounter": "rs"}
_NEEDED = {"Basic": _TRANSACTIONS, "Invoice": {"Invoice": "ru"}}


def needed_to_write(resource_types: Iterable[str], *, v2: bool) -> tuple[str, ...]:
    """What posting needs: to create, to put at an id of ours, to read back and to search for what was lost. An Invoice
    of theirs is read and updated."""
    needed: dict[str, str] = {}
    for kind in resource_types:
        needed |= _NEEDED.get(kind) or {kind: "crus"}
    return tuple(f"system/{kind}.{verb}" for kind, letters in needed.items() for verb in _verbs(letters, v2))


def _verbs(letters: str, v2: bool) -> Sequence[str]:
    if v2:
        return (letters,)
    return [verb for verb, does in (("read", "rs"), ("write", "cu")) if set(letters) & set(does)]


def needed_to_read(resource_types: Iterable[str], *, v2: bool) -> tuple[str, ...]:
    """What picking up changes needs: to search, and to read what is referred to."""
    return tuple(f"system/{kind}.{'rs' if v2 else 'read'}" for kind in resource_types)


def needed_at_launch(resource_types: Iterable[str], *, v2: bool) -> tuple[str, ...]:
    """What knowing again whom a launch is about needs: to read what is in its context."""
    return tuple(f"patient/{kind}.{'r' if v2 else 'read'}" for kind in resource_types)
