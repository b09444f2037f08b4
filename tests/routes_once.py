"""FastAPI reads a handler's signature once a process, not once for each app that a test builds.

Every test world serves apps of its own (the API, the EHR, the processor), whose handlers are closures over the world's
state: other functions each time, but of the same code at the same path. What FastAPI finds out about them
(parameters, models, regular expressions) follows from code and path alone, so it is kept; the function that is called
stays the world's own. The tests that start the program as a process of its own have FastAPI as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import fields, replace
from typing import Any

from fastapi import routing

_kept: dict[Hashable, Any] = {}


def install() -> None:
    """Let `fastapi.routing` remember. A second call changes nothing."""
    if _kept:
        return
    _kept["installed"] = True
    kept = {
        "get_dependant": _dependants,
        "get_typed_return_annotation": _by_code,
        "create_model_field": _by_arguments,
        "compile_path": _by_arguments,
    }
    for name, once in kept.items():
        setattr(routing, name, once(getattr(routing, name)))


def _code(call: Callable[..., Any]) -> Hashable:
    """What a signature follows from; a function's defaults are part of it, what it closes over is not."""
    code = getattr(call, "__code__", None)
    if code is None or getattr(call, "__wrapped__", None) is not None:
        return call
    return code, call.__defaults__, tuple((call.__kwdefaults__ or {}).items())


def _once(key: Hashable, make: Callable[[], Any]) -> Any:
    try:
        found = _kept.get(key)
    except TypeError:  # a default or a type that has no hash
        return make()
    if found is None:
        found = _kept[key] = make()
    return found


def _dependants(original: Any) -> Any:
    def get_dependant(*, path: str, call: Callable[..., Any], **more: Any) -> Any:
        key = ("dependant", path, _code(call), tuple(more.items()))
        found = _once(key, lambda: original(path=path, call=call, **more))
        lists = {one.name: list(was) for one in fields(found) if isinstance(was := getattr(found, one.name), list)}
        return replace(found, call=call, **lists)

    return get_dependant


def _by_code(original: Any) -> Any:
    return lambda call: _once((original.__name__, _code(call)), lambda: original(call))


def _by_arguments(original: Any) -> Any:
    def remembered(*args: Any, **named: Any) -> Any:
        return _once((original.__name__, args, tuple(named.items())), lambda: original(*args, **named))

    return remembered
