"""The value of an element → a closure that takes the Context and gives FHIR, or None for "nothing said".

Called by `compile.py` for each element of a rule. A list holds what its items gave; an object is made only when it
says something (see `_CONSTANT` … `_READ`). Errors in the file raise ConfigInvalid with file, line, rule and element.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from ..domain.fhir_urls import EXTENSION, OURS
from ..errors import ConfigInvalid, FhirpayError, RequiredMissing
from ..fhir.merge import JOINED
from .conditions import always, compile_condition
from .context import Context
from .datatypes import TYPES, Converter, Options
from .functions import FUNCTIONS, KEY_WORDS, KeyPart, key_of
from .paths import Path, Slot, parse_path
from .spec import EXTENSION_PREFIX, ExpressionSpec, is_expression
from .trace import Step
from .yaml_source import Place, Source

Value = Callable[[Context], Any]
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_PATHS = re.compile(r"[A-Z][A-Z0-9]{2}-[0-9.\[\]]+")


@dataclass(frozen=True, slots=True)
class Here:
    """Where in a rule an element stands: for errors at load, for the trace, and for what `""` takes away."""

    rule: str
    source: Source
    place: Place  # in the file
    element: str  # in the resource: priceOverride, extension[0].valueMoney
    top: str  # telecom, extension:<url>
    made: dict[str, str | None]  # rules before this one, with their `each`

    def into(self, key: str | int, *, top: str = "") -> Here:
        element = f"{self.element}[{key}]" if isinstance(key, int) else f"{self.element}.{key}" if self.element else key
        return Here(self.rule, self.source, (*self.place, key), element, top or self.top, self.made)

    def at_key(self, key: str) -> Here:
        """The same element, written under a key of its expression."""
        return Here(self.rule, self.source, (*self.place, key), self.element, self.top, self.made)

    @property
    def deleted(self) -> str:
        """What `""` takes away here: the element, or one end of a period."""
        return self.element if self.top in JOINED else self.top

    def wrong(self, text: str) -> ConfigInvalid:
        return ConfigInvalid(text, location=f"{self.source.at(self.place)}, rule {self.rule}, {self.element}")


# ------------------------------------------------------------------ values

# What a value hangs on. An object is made when one of its members of the highest kind came out: a url or a coding
# system alone says nothing, `status: active` beside an empty location neither.
_CONSTANT, _CONDITIONAL, _READ = 0, 1, 2


def compile_value(raw: Any, here: Here) -> tuple[Value, int]:
    if isinstance(raw, dict):
        return _expression(raw, here) if is_expression(raw) else _object(raw, here)
    if isinstance(raw, list):
        return _list(raw, here)
    if raw is None:
        raise here.wrong("an element without a value: write one, or leave the element out")
    return _literal(raw, here), _CONSTANT


def _literal(raw: Any, here: Here) -> Value:
    if isinstance(raw, str) and raw.startswith(EXTENSION_PREFIX):
        raw = _extension_url(raw, here)

    if "." in here.element:
        return lambda _: raw  # the constants inside an object are part of what it is: no step of their own

    def literal(ctx: Context) -> Any:
        if ctx.trace is not None:
            _traced(ctx, here, "constant", "", raw)
        return raw

    return literal


def _extension_url(raw: str, here: Here) -> str:
    url = EXTENSION + raw.removeprefix(EXTENSION_PREFIX)
    if url not in OURS:
        raise here.wrong(f"'{raw}' is none of our extensions: add it to domain/fhir_urls.py, or write its full URL")
    return url


def _list(raw: list[Any], here: Here) -> tuple[Value, int]:
    items = [
        compile_value(item, here.into(number, top=_top(item, here) if here.element == "extension" else ""))
        for number, item in enumerate(raw)
    ]
    closures = [closure for closure, _ in items]

    def made(ctx: Context) -> list[Any] | None:
        found: list[Any] = []
        for closure in closures:
            value = closure(ctx)
            if isinstance(value, list):
                found += value
            elif value is not None:
                found.append(value)
        return found or None

    return made, max((level for _, level in items), default=_CONSTANT)


def _top(item: Any, here: Here) -> str:
    url = item.get("url") if isinstance(item, dict) else None
    if not isinstance(url, str):
        raise here.wrong("an extension needs its url first")
    return f"extension:{_extension_url(url, here) if url.startswith(EXTENSION_PREFIX) else url}"


def _object(raw: dict[str, Any], here: Here) -> tuple[Value, int]:
    when = compile_condition(raw["when"], here.source.at((*here.place, "when"))) if "when" in raw else always
    each = raw.get("each")
    if each is not None and not (parse_path(str(each)) or _SEGMENT.fullmatch(str(each))):
        raise here.wrong("'each' names a segment such as IN1, or a field such as FT1-20")
    members = {
        name: compile_value(item, here.into(name)) for name, item in raw.items() if name not in ("when", "each", "why")
    }
    if not members:
        raise here.wrong("an object without elements")
    highest = max(level for _, level in members.values())

    # Most objects say nothing: what is the same in each message is made for those that do.
    asked = [name for name, (_, level) in members.items() if level > _CONSTANT or highest == _CONSTANT]
    readers = [members[name][0] for name in asked]
    decisive = [at for at, name in enumerate(asked) if members[name][1] == highest]
    constants = [(name, None if name in asked else value) for name, (value, _) in members.items()]

    def one(ctx: Context) -> dict[str, Any] | None:
        if when is not always and not when(ctx):
            return None
        made = [read(ctx) for read in readers]
        if all(made[at] is None for at in decisive):
            return None
        rest = iter(made)
        found: dict[str, Any] = {}
        for name, constant in constants:
            item = next(rest) if constant is None else constant(ctx)
            if item is not None:
                found[name] = item
        return found

    if each is not None:
        return _repeat(one, each), _READ
    return one, max(highest, _CONDITIONAL) if "when" in raw else highest


def _repeat(one: Value, each: str) -> Value:
    path = parse_path(each)

    def per_repetition(ctx: Context) -> list[Any] | None:
        found: list[Any] = []
        for slot in ctx.repetitions(path) if path else ():
            with ctx.repeating(slot):
                if (item := one(ctx)) is not None:
                    found.append(item)
        return found or None

    def per_segment(ctx: Context) -> list[Any] | None:
        found: list[Any] = []
        for segment in ctx.segments(each):
            with ctx.at(segment):
                if (item := one(ctx)) is not None:
                    found.append(item)
        return found or None

    return per_repetition if path else per_segment


# ------------------------------------------------------------------ expressions


def _expression(raw: dict[str, Any], here: Here) -> tuple[Value, int]:
    try:
        spec = ExpressionSpec.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if " " in where or (where in raw and raw[where] is None):
            raise here.wrong(
                f"'{where}' is taken for a key: inside {{}} put text that holds a comma in quotes"
            ) from None
        known = ", ".join(info.alias or name for name, info in ExpressionSpec.model_fields.items())
        raise here.wrong(f"'{where}': {first['msg']}. An expression has: {known}") from None
    kinds = [name for name in ("from_", "each", "function", "key", "ref", "is_") if getattr(spec, name) is not None]
    if len(kinds) != 1:
        raise here.wrong("an expression has exactly one of from, each, function, key, ref, is")
    read, source = _reader(spec, here)
    when = compile_condition(spec.when, here.source.at((*here.place, "when")))
    clear = compile_condition(spec.clear, here.source.at((*here.place, "clear"))) if spec.clear is not None else None
    otherwise, other_level = (
        compile_value(spec.else_, here.at_key("else")) if spec.else_ is not None else (None, _CONSTANT)
    )
    paths = [parse_path(text) for text in (*spec.paths, spec.each or "")]
    first = next((path for path in paths if path), None)
    strict = spec.required or (spec.function is not None and FUNCTIONS[spec.function].strict)
    nothing_else = otherwise is None and spec.default is None and spec.assume is None and not spec.required

    def evaluate(ctx: Context) -> Any:
        if clear is not None and clear(ctx):
            ctx.notes.deletes.add(here.deleted)
            return None
        asked = when is always or when(ctx)
        if asked:
            try:
                found = read(ctx)
            except FhirpayError as error:
                if strict:
                    raise
                ctx.warn(f"{error} (left out)")
                found = None
            if found is not None:
                if ctx.trace is not None:
                    _traced(ctx, here, source, spec.why, found)
                return found
        if nothing_else:
            return None
        if otherwise is not None:
            return otherwise(ctx)
        if spec.default is not None:
            _traced(ctx, here, "default", spec.why, spec.default)
            return spec.default
        if spec.assume is not None:
            ctx.notes.assumed.add(here.top)
            _traced(ctx, here, "assumed", spec.why, spec.assume)
            return spec.assume
        if spec.required and asked:
            slot = ctx.slot(first) if first else None
            place = slot.address if slot else first.text if first else None
            raise RequiredMissing(f"{first.text if first else source} is empty", location=place)
        return None

    own_level = _READ if spec.is_ is None else _CONDITIONAL
    return evaluate, max(own_level, other_level)


def _reader(spec: ExpressionSpec, here: Here) -> tuple[Value, str]:
    """The closure that reads, and how the trace names its source."""
    if spec.is_ is not None:
        return compile_value(spec.is_, here.at_key("is"))[0], "constant"
    if spec.ref is not None:
        return _reference(spec.ref, here)
    if spec.key is not None:
        return _key(spec, here)
    if spec.function is not None:
        return _function(spec, here)
    return _field(spec, here)


def _reference(ref: str | Sequence[str], here: Here) -> tuple[Value, str]:
    rules = [ref] if isinstance(ref, str) else list(ref)
    for rule in rules:
        if rule not in here.made:
            raise here.wrong(f"'ref: {rule}': no rule of that name stands before this one")

    def reference(ctx: Context) -> dict[str, str] | None:
        for rule in rules:
            if entry := ctx.entry(rule, here.made[rule]):
                return {"reference": entry.full_url}
        return None

    return reference, f"rule {' or '.join(rules)}"


def _key(spec: ExpressionSpec, here: Here) -> tuple[Value, str]:
    assert spec.key is not None
    if not spec.kind:
        raise here.wrong("'key' needs 'kind': the last part of the identifier's system, such as charge")
    parts = [_key_part(part, here) for part in spec.key]
    kind = spec.kind

    def identifier(ctx: Context) -> dict[str, str] | None:
        value = key_of(ctx, parts)
        return {"system": f"{ctx.system}:{kind}", "value": value} if value else None

    return identifier, f"key {', '.join(str(part) for part in spec.key)}"


def _key_part(part: Any, here: Here) -> KeyPart:
    if isinstance(part, dict) and set(part) == {"is"}:
        text = str(part["is"])
        return lambda ctx: text
    if isinstance(part, list | tuple):
        choices = [_key_part(one, here) for one in part]
        return lambda ctx: next((text for choice in choices if (text := choice(ctx))), "")
    if path := parse_path(str(part)):
        return lambda ctx: ctx.text(path)
    if part in KEY_WORDS:
        return KEY_WORDS[part]
    raise here.wrong(f"'{part}' is neither a field such as FT1-2, nor {{is: text}}, nor one of: {', '.join(KEY_WORDS)}")


def _function(spec: ExpressionSpec, here: Here) -> tuple[Value, str]:
    function = FUNCTIONS.get(spec.function or "")
    if function is None:
        raise here.wrong(f"there is no function '{spec.function}'; there are: {', '.join(FUNCTIONS)}")
    paths = [parse_path(text) for text in spec.of]
    if len(paths) != function.arguments:
        raise here.wrong(f"'{spec.function}' takes {function.arguments} field(s) in 'of', not {len(paths)}")
    if None in paths:
        raise here.wrong(f"'of' takes HL7 fields: {', '.join(spec.of)}")
    given = [path for path in paths if path is not None]
    return (lambda ctx: function.call(ctx, given)), f"{spec.function}({', '.join(spec.of)})"


def _field(spec: ExpressionSpec, here: Here) -> tuple[Value, str]:
    convert = TYPES.get(spec.as_)
    if convert is None:
        raise here.wrong(f"there is no datatype '{spec.as_}'; there are: {', '.join(TYPES)}")
    options = Options(map=spec.map, table=spec.table, use=spec.use)
    if spec.as_ not in _SIMPLE:
        convert = remembered(convert, sys.intern(f"{spec.as_} {spec.map} {spec.table} {spec.use}"))
    names = (spec.each,) if spec.each is not None else spec.paths
    paths: list[Path] = []
    for name in names:
        path = parse_path(name)
        if path is None:
            raise here.wrong(f"'{name}' is no HL7 field; write one such as PID-5 or FT1-11.1")
        paths.append(path)
    source = " or ".join(names)
    others = paths[1:]

    def deleted(ctx: Context, slot: Slot | None) -> bool:
        if slot is not None and slot.deleted:
            ctx.notes.deletes.add(here.deleted)
            return True
        return False

    def one(ctx: Context) -> Any:
        first = slot = ctx.sent(paths[0])
        if slot is not None and slot.valued and (value := convert(slot, ctx, options)) is not None:
            return value
        for path in others:
            slot = ctx.sent(path)
            if slot is not None and slot.valued and (value := convert(slot, ctx, options)) is not None:
                return value
        deleted(ctx, first)
        return None

    def several(ctx: Context) -> list[Any] | None:
        found: list[Any] = []
        for slot in ctx.repetitions(paths[0]):
            if deleted(ctx, slot) or not slot.valued:
                continue
            try:
                value = convert(slot, ctx, options)
            except FhirpayError as error:
                if spec.required:
                    raise
                ctx.warn(f"{error} (left out)")  # the other repetitions are still good
                continue
            if isinstance(value, list):
                found += value
            elif value is not None:
                found.append(value)
        return found or None

    return (several if spec.each is not None else one), source


_SIMPLE = frozenset({"string", "code", "boolean", "integer", "positiveInt", "decimal", "xhtml"})


def remembered(convert: Converter, kind: str) -> Converter:
    """`convert`, once for each text: the lines of a message mostly name the same people, places and diagnoses."""

    def converted(slot: Slot, ctx: Context, options: Options) -> Any:
        key = (kind, slot.segment.repetition(slot.field, slot.repetition), slot.component, slot.subcomponent)
        if key in ctx.converted:
            return _copied(ctx.converted[key])
        warned = ctx.warned
        value = convert(slot, ctx, options)
        if ctx.warned == warned:  # what is said of one place is not said of another
            ctx.converted[key] = _copied(value)
        return value

    return converted


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: one if isinstance(one, str) else _copied(one) for name, one in value.items()}
    return [_copied(one) for one in value] if isinstance(value, list) else value


def _traced(ctx: Context, here: Here, source: str, why: str, value: Any) -> None:
    if ctx.trace is None or (source == "constant" and "." in here.element):
        return  # the constants inside an object are part of what it is
    read = next((slot for path in _PATHS.findall(source) if (slot := _slot(ctx, path))), None)
    address = read.address if read is not None else ""
    segment = read.segment if read is not None else ctx.standing
    ctx.trace.add(
        Step(
            rule=here.rule,
            element=f"{ctx.target}.{here.element}",
            source=f"{source} at {address}" if address and address != source else source,
            why=why,
            file=here.source.at(here.place),
            segment=segment.address() if segment is not None else "",
            value=value,
        )
    )


def _slot(ctx: Context, text: str) -> Slot | None:
    path = parse_path(text)
    slot = ctx.slot(path) if path else None
    return slot if slot is not None and slot.valued else None
