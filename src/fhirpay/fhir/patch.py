"""JSON Patch (RFC 6902) on a resource, its numbers with every digit. Pure; called by the FHIR server.

Ours, and no library's: what there is compares `true` and 1 as equal, knows no address of what is wrong, and lets forty
`copy` operations make a terabyte. Whether the result is sound is for validation.py to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from ..errors import MessageInvalid, RequiredMissing, RuleBroken, TooLarge, ValueInvalid
from .json import DEPTH_MAX, loads

MEDIA_TYPE = "application/json-patch+json"
OPERATIONS_MAX = 200
COPIED_MAX = 20_000  # values, over all operations
_INDEX = re.compile(r"(0|[1-9][0-9]{0,5})\Z")
_NEEDS = {"add": "value", "replace": "value", "test": "value", "move": "from", "copy": "from", "remove": "path"}

Path = list[str]


def read(body: bytes) -> list[dict[str, Any]]:
    """The operations of a patch, each whole. Raises MessageInvalid with the address of what is wrong."""
    document = loads(b'{"patch":' + body + b"}")
    operations = document.get("patch")
    if len(document) > 1 or not isinstance(operations, list):
        raise MessageInvalid("a JSON Patch is a list of operations", location="patch")
    if len(operations) > OPERATIONS_MAX:
        raise TooLarge(f"a patch has at most {OPERATIONS_MAX} operations", location="patch")
    for index, operation in enumerate(operations):
        at = f"patch[{index}]"
        if not isinstance(operation, dict):
            raise MessageInvalid("an operation is a JSON object", location=at)
        name = operation.get("op")
        if not isinstance(name, str) or name not in _NEEDS:
            raise ValueInvalid(f"op is one of {', '.join(_NEEDS)}", location=f"{at}.op")
        for needed in ("path", _NEEDS[name]):
            if needed not in operation:
                raise RequiredMissing(f"a {name} says its {needed}", location=f"{at}.{needed}")
        for pointer in {"path", "from"} & operation.keys():
            _path(operation[pointer], f"{at}.{pointer}")
    return operations


def reads(operations: list[dict[str, Any]]) -> bool:
    """Whether whoever sends it may learn by the answer what is kept: a refusal may name what was brought elsewhere."""
    return any(operation["op"] in ("test", "copy", "move") for operation in operations)


def apply(resource: dict[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """`resource` with all operations done, itself unchanged. Raises RuleBroken where one can't be, or a test fails."""
    root = {"": deepcopy(resource)}  # so that the whole has a place too
    left = COPIED_MAX
    for index, operation in enumerate(operations):
        at, name = f"patch[{index}]", operation["op"]
        path = ["", *_path(operation["path"], f"{at}.path")]
        place = f"{at}.path"
        if name in ("add", "replace"):
            value = deepcopy(operation["value"])
        elif name in ("move", "copy"):
            source = ["", *_path(operation["from"], f"{at}.from")]
            value = _get(root, source, f"{at}.from")
            if name == "copy":
                left -= _weight(value)
                if left < 0:
                    raise TooLarge(f"a patch copies at most {COPIED_MAX} values", location=f"{at}.from")
                value = deepcopy(value)
            elif path[: len(source)] == source and path != source:
                raise RuleBroken("what is moved can't be moved into itself", location=place)
            else:
                _take(root, source, f"{at}.from")
        else:
            found = _get(root, path, place)
            if name == "test":
                if not _same(found, operation["value"]):
                    raise RuleBroken("the test fails: something else stands there", location=place)
            else:
                _take(root, path, place)
            continue
        if len(path) + _depth(value) > DEPTH_MAX + 1:
            raise MessageInvalid(f"more than {DEPTH_MAX} levels of nesting", location=place)
        _set(root, path, value, place, anew=name == "replace")
    whole: Any = root.get("")
    if not isinstance(whole, dict):
        raise RuleBroken("nothing is left that is a resource", location="patch")
    return whole


def _path(pointer: Any, at: str) -> Path:
    """The names of a JSON Pointer (RFC 6901)."""
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")) or re.search("~(?![01])", pointer):
        raise ValueInvalid("not a JSON Pointer such as /status", location=at)
    parts = pointer.split("/")[1:]
    if len(parts) > DEPTH_MAX:
        raise ValueInvalid(f"more than {DEPTH_MAX} levels", location=at)
    return [part.replace("~1", "/").replace("~0", "~") for part in parts]


def _get(root: Any, path: Path, at: str) -> Any:
    value = root
    for part in path:
        value = value[_key(value, part, at)]
    return value


def _key(holder: Any, part: str, at: str) -> Any:
    """What `part` is in `holder`, where it is there."""
    if isinstance(holder, dict) and part in holder:
        return part
    if isinstance(holder, list) and _INDEX.match(part) and int(part) < len(holder):
        return int(part)
    raise RuleBroken("there is nothing at this place", location=at)


def _take(root: Any, path: Path, at: str) -> None:
    holder = _get(root, path[:-1], at)
    del holder[_key(holder, path[-1], at)]


def _set(root: Any, path: Path, value: Any, at: str, *, anew: bool) -> None:
    """Put it there: of a list before what stands there or at its end, unless it is to stand `anew` in its place."""
    holder, part = _get(root, path[:-1], at), path[-1]
    if anew:
        holder[_key(holder, part, at)] = value
    elif isinstance(holder, dict):
        holder[part] = value
    elif isinstance(holder, list) and (part == "-" or (_INDEX.match(part) and int(part) <= len(holder))):
        holder.insert(len(holder) if part == "-" else int(part), value)
    else:
        raise RuleBroken("nothing can be added at this place", location=at)


def _same(one: Any, other: Any) -> bool:
    """Equal as RFC 6902 §4.6 has it: numbers by their value, and a boolean is none."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _weight(value: Any) -> int:
    """How many values there are in it."""
    return sum(1 for _ in _inside(value))


def _depth(value: Any) -> int:
    return max(_inside(value))


def _inside(value: Any) -> Iterator[int]:
    """The level of every value in it, itself at 0. Not recursive, as it measures depth."""
    waiting = [(value, 0)]
    while waiting:
        one, level = waiting.pop()
        yield level
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        waiting += [(each, level + 1) for each in inner]
