"""`when:` → a closure. All keys of a condition must hold. The words are `spec.CONDITION_WORDS`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ..config import Interface
from ..errors import ConfigInvalid
from .codes import find
from .context import Context
from .functions import account_named, is_self
from .paths import DELETE, Path, parse_path
from .spec import CONDITION_WORDS
from .versions import numbers

Test = Callable[[Context], bool]


def always(ctx: Context) -> bool:
    return True


def compile_condition(raw: dict[str, Any] | None, at: str) -> Test:
    """Raises ConfigInvalid at `at` (file and line), saying what to write."""
    if raw is None:
        return always
    if not raw:
        raise ConfigInvalid("an empty condition: write a field and its value, or leave `when` out", location=at)
    tests = [_one(word, value, at) for word, value in raw.items()]
    if len(tests) == 1:
        return tests[0]
    return lambda ctx: all(test(ctx) for test in tests)


def _one(word: str, value: Any, at: str) -> Test:
    if path := parse_path(word):
        wanted = frozenset(str(one) for one in _list(value))
        return lambda ctx: ctx.text(path) in wanted
    match word:
        case "valued":
            paths = _paths(value, at)
            return lambda ctx: all(ctx.valued([path]) is not None for path in paths)
        case "empty":
            paths = _paths(value, at)
            return lambda ctx: ctx.valued(paths) is None
        case "deleted":
            paths = _paths(value, at)
            return lambda ctx: all((slot := ctx.slot(path)) is not None and slot.deleted for path in paths)
        case "nulled":
            return _nulled(value, at)
        case "any":
            tests = [compile_condition(one, at) for one in _conditions(value, at)]
            return lambda ctx: any(test(ctx) for test in tests)
        case "not":
            (test,) = (compile_condition(one, at) for one in _conditions([value], at))
            return lambda ctx: not test(ctx)
        case "interface":
            return _interface(value, at)
        case "coded":
            return _coded(value, at)
        case "unmapped":
            return _unmapped(value, at)
        case "account":
            return _account(value, at)
        case "event":
            events = frozenset(str(one) for one in _list(value))
            return lambda ctx: ctx.message.event in events
        case "listed":
            return _listed(value, at)
        case "version_from" | "version_below":
            return _version(word, str(value), at)
        case "differs":
            left, right = _paths(value, at, count=2)
            return lambda ctx: _differ(ctx, left, right)
        case "disjoint":
            left, right = _paths(value, at, count=2)
            return lambda ctx: _disjoint(ctx, left, right)
        case "self":
            (path,) = _paths(value, at, count=1)
            return lambda ctx: is_self(ctx, path)
        case _:
            known = ", ".join(CONDITION_WORDS)
            raise ConfigInvalid(f"'{word}' is neither a field such as PV1-20 nor one of: {known}", location=at)


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _paths(value: Any, at: str, *, count: int = 0) -> list[Path]:
    paths = [parse_path(str(one)) for one in _list(value)]
    found = [path for path in paths if path is not None]
    if len(found) != len(paths):
        wrong = next(one for one, path in zip(_list(value), paths, strict=True) if path is None)
        raise ConfigInvalid(f"'{wrong}' is no HL7 field; write one such as PV1-20 or IN1-3.1", location=at)
    if count and len(found) != count:
        raise ConfigInvalid(f"this condition takes {count} field(s), not {len(found)}", location=at)
    return found


def _conditions(value: Any, at: str) -> Sequence[dict[str, Any]]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, dict) for one in value):
        raise ConfigInvalid("write conditions here, each as {field: value}", location=at)
    return value


def _interface(value: Any, at: str) -> Test:
    if not isinstance(value, dict) or not value:
        raise ConfigInvalid("write a setting and its value, such as {co_means: due}", location=at)
    for name in value:
        if name not in Interface.model_fields:
            raise ConfigInvalid(f"an interface has no setting '{name}'", location=at)
    return lambda ctx: all(getattr(ctx.interface, name) == wanted for name, wanted in value.items())


def _nulled(value: Any, at: str) -> Test:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z][A-Z0-9]{2}", value):
        raise ConfigInvalid("write {nulled: IN1}: the name of a segment", location=at)

    def nulled(ctx: Context) -> bool:
        segment = ctx.segment(value)
        fields = [segment.raw(number + 1).strip() for number in range(segment.count)] if segment is not None else []
        return DELETE in fields and all(one in ("", DELETE) for one in fields[1:])

    return nulled


def _account(value: Any, at: str) -> Test:
    if value not in ("named", "unnamed"):
        raise ConfigInvalid("write {account: named} or {account: unnamed}", location=at)
    return lambda ctx: account_named(ctx) is (value == "named")


def _coded(value: Any, at: str) -> Test:
    fields = [name for name in value if name != "by"] if isinstance(value, dict) else []
    if len(fields) != 1 or not isinstance(value.get("by"), str):
        raise ConfigInvalid("write {FT1-6: CG, by: transaction-type}", location=at)
    (path,) = _paths(fields[0], at, count=1)
    table, wanted = value["by"], frozenset(str(one) for one in _list(value[fields[0]]))
    return lambda ctx: (found := find(ctx.table(table), ctx.text(path))) is not None and found.code in wanted


def _unmapped(value: Any, at: str) -> Test:
    if not isinstance(value, dict) or not all(isinstance(table, str) for table in value.values()):
        raise ConfigInvalid("write {PV1-2: patient-class}", location=at)
    fields = list(zip(_paths(list(value), at), value.values(), strict=True))
    return lambda ctx: all((text := ctx.text(path)) and find(ctx.table(table), text) is None for path, table in fields)


def _listed(value: Any, at: str) -> Test:
    if not isinstance(value, dict) or set(value) - {"self_pay_classes"} or len(value) != 1:
        raise ConfigInvalid("write {self_pay_classes: IN1-2}", location=at)
    (path,) = _paths(value["self_pay_classes"], at, count=1)
    return lambda ctx: bool(text := ctx.text(path).upper()) and text in ctx.self_pay_words


def _version(word: str, text: str, at: str) -> Test:
    wanted = numbers(text)
    if wanted is None:
        raise ConfigInvalid('write a version in quotes, such as "2.7"', location=at)
    if word == "version_from":
        return lambda ctx: ctx.version >= wanted
    return lambda ctx: ctx.version < wanted


def _differ(ctx: Context, left: Path, right: Path) -> bool:
    """Two names (family and given) or values, without regard to case; one that is missing doesn't differ."""
    slots = ctx.slot(left), ctx.slot(right)
    if any(slot is None or not slot.valued for slot in slots):
        return False
    one, other = ((slot.part(1).casefold(), slot.part(2).casefold()) for slot in slots if slot is not None)
    return one != other


def _disjoint(ctx: Context, left: Path, right: Path) -> bool:
    """Whether both fields say something and share no value, over all their repetitions."""
    one, other = ({slot.text for slot in ctx.repetitions(path)} - {""} for path in (left, right))
    return bool(one and other) and one.isdisjoint(other)
