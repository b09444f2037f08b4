"""A list of a processor read whole, or refused whole with the place of what can't be read. Pure; by adapters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ...errors import FhirpayError, MessageInvalid

T = TypeVar("T")


def each(data: object, name: str, read: Callable[[Any], T]) -> tuple[T, ...]:
    """What `read` makes of each. Raises MessageInvalid, whose location is `name[3]`, or `name` where it is no list."""
    if not isinstance(data, list):
        raise MessageInvalid("a list that we can't read", location=name)
    found: list[T] = []
    for at, one in enumerate(data):
        try:
            found.append(read(one))
        except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, FhirpayError) as error:
            says = f"not what we can read ({type(error).__name__})"
            raise MessageInvalid(says, location=f"{name}[{at}]") from None
    return tuple(found)
