"""What FastAPI finds out about a handler, it finds out once a process, not once for each app that a test builds.

Every test world serves apps of its own (the API, the EHR, the processor), whose handlers are closures over the world's
state: other functions each time, but of the same code at the same path. What a route is made of (its parameters,
models, regular expressions, descriptions) follows from code, path and options alone, so it is kept; the function that
is called stays the world's own, and what calls it is built with the first request. The tests that start the program as
a process of its own have FastAPI as it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from copy import copy
from functools import cache
from types import SimpleNamespace
from typing import Any

from fastapi import Request, Response, routing
from fastapi.datastructures import DefaultPlaceholder
from typer import testing

_kept: dict[Hashable, Any] = {}
_OWN = ("responses", "openapi_extra", "tags", "callbacks", "dependency_overrides_provider")  # nothing follows from them
_LISTED = ("methods", "dependencies", "param_convertors", "response_fields")


def install() -> None:
    """Let `fastapi.routing` remember, and Typer's `CliRunner` the tree of commands. Again changes nothing."""
    if _kept:
        return
    _kept["installed"] = True
    kept = {
        "_populate_api_route_state": _states,
        "create_model_field": _by_arguments,
        "compile_path": _by_arguments,
    }
    for name, once in kept.items():
        setattr(routing, name, once(getattr(routing, name)))
    testing._get_command = cache(testing._get_command)
    routing.APIRoute.get_route_handler = _when_asked(routing.APIRoute.get_route_handler)


def _states(original: Any) -> Any:
    """A route's attributes, as found for the first handler of its code, with this one in its place."""

    def populate(route: Any, path: str, endpoint: Any, **options: Any) -> None:
        own = {name: options.pop(name) for name in _OWN if name in options}
        models = [code for code, said in (own.get("responses") or {}).items() if "model" in said]

        def found() -> dict[str, Any]:
            first = SimpleNamespace()
            original(first, path, endpoint, **options, **own)
            return vars(first)

        state = found() if models else _once(("state", path, _code(endpoint), _frozen(options)), found)
        vars(route).update(state, **{name: given or state[name] for name, given in own.items()})
        route.endpoint = endpoint
        route.dependant = _calling(state["dependant"], endpoint)
        for name in _LISTED:
            setattr(route, name, copy(state[name]))

    return populate


def _calling(dependant: Any, call: Callable[..., Any]) -> Any:
    made = copy(dependant)
    made.call = call
    made.dependencies = list(made.dependencies)
    return made


def _when_asked(original: Any) -> Any:
    """Of the hundred routes of an app a test asks a few: only their handlers are built."""

    def get_route_handler(route: routing.APIRoute) -> Callable[[Request], Awaitable[Response]]:
        context = routing._effective_route_context_var.get()
        built: list[Any] = []

        async def handle(request: Request) -> Response:
            if not built:
                token = routing._effective_route_context_var.set(context)
                try:
                    built.append(original(route))
                finally:
                    routing._effective_route_context_var.reset(token)
            return await built[0](request)

        return handle

    return get_route_handler


def _code(call: Callable[..., Any]) -> Hashable:
    """What a signature follows from; a function's defaults are part of it, what it closes over is not."""
    code = getattr(call, "__code__", None)
    if code is None or getattr(call, "__wrapped__", None) is not None:
        return call
    return code, call.__name__, call.__doc__, call.__defaults__, tuple((call.__kwdefaults__ or {}).items())


def _frozen(options: dict[str, Any]) -> Hashable:
    return tuple((name, _option(value)) for name, value in options.items())


def _option(value: Any) -> Any:
    if isinstance(value, DefaultPlaceholder):
        return "default", value.value
    if isinstance(value, list | set):
        return tuple(value) if isinstance(value, list) else frozenset(value)
    return value


def _once(key: Hashable, make: Callable[[], Any]) -> Any:
    try:
        found = _kept.get(key)
    except TypeError:  # a default or a type that has no hash
        return make()
    if found is None:
        found = _kept[key] = make()
    return found


def _by_arguments(original: Any) -> Any:
    def remembered(*args: Any, **named: Any) -> Any:
        return _once((original.__name__, args, tuple(named.items())), lambda: original(*args, **named))

    return remembered
