"""Mapping files → compiled maps: base, a site's overlay laid over it, code tables. Read once per site, then kept.

`load("")` is the base alone, `load("sample")` the base under `mappings/sample/`. A folder of the site's own (`own`, the
setting `mappings` or what was released of it) is looked into before what is installed. `interface("sample")` is a
profile that ships with the maps, so that a file can be tried without a configuration. Errors name file, line and rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from ..config import Interface
from ..data import data_root
from ..errors import ConfigInvalid, EventUnsupported, MessageUnsupported
from . import codes
from .compile import Rule, RuleSource, compile_rule
from .spec import AccountRule, FileSpec, RuleSpec
from .yaml_source import Place, Source

PROFILE = "interface.yaml"
ABOUT = "message.yaml"  # of the base: what is said of a message as such
RELEASED = "released"  # the folder of a site's own that holds what was released
_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_PIECE = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")  # never out of the folder


@dataclass(frozen=True, slots=True)
class Maps:
    """What a feed's messages become: rules by message, and the code tables they use."""

    rules: Mapping[str, tuple[Rule, ...]]  # by DFT^P03
    tables: Mapping[str, codes.Table]
    accounts: Mapping[str, AccountRule] = field(default_factory=dict[str, AccountRule])  # by message
    about: tuple[Rule, ...] = ()  # what is said of a message as such (message_view)

    def all(self) -> Iterator[tuple[Rule, ...]]:
        """The rules of each message, and those about messages."""
        yield from self.rules.values()
        yield self.about

    def account(self, label: str) -> AccountRule:
        """What the message expects of its account."""
        return self.accounts.get(label, "any")

    def of(self, kind: str, event: str) -> tuple[Rule, ...]:
        """The rules for a message. Raises MessageUnsupported or EventUnsupported, saying what is taken."""
        if (found := self.rules.get(f"{kind}^{event}")) is not None:
            return found
        events = sorted(label.split("^")[1] for label in self.rules if label.startswith(f"{kind}^"))
        if not events:
            kinds = ", ".join(sorted({label.split("^")[0] for label in self.rules}))
            raise MessageUnsupported(f"there is no map for {kind[:20]} messages; mapped: {kinds}", location="MSH-9.1")
        raise EventUnsupported(
            f"there is no map for {kind}^{event[:20]}; mapped: {', '.join(events)}", location="MSH-9.2"
        )


def load(site: str = "", root: Path | None = None, own: Path | None = None) -> Maps:
    """The maps of a site (`Interface.mapping`). Raises ConfigInvalid for anything wrong in the files."""
    root = root or data_root("mappings")
    if own is not None and own.parent.name != RELEASED:
        return Sources(root, site, own).maps()  # it is being worked on
    return _loaded(site, root, own)


@lru_cache(maxsize=64)
def _loaded(site: str, root: Path, own: Path | None) -> Maps:
    return Sources(root, site, own).maps()


def interface(name: str, root: Path | None = None, own: Path | None = None) -> Interface:
    """The interface profile `mappings/<name>/interface.yaml`. Raises ConfigInvalid when it is missing or wrong."""
    root = root or data_root("mappings")
    path = _folder(root, name, own) / PROFILE
    if not path.is_file():
        raise ConfigInvalid(f"mappings/{name} holds no {PROFILE}: name an interface of your configuration instead")
    source = Source.read(path, _name(path, root))
    if not isinstance(source.content, dict):
        raise ConfigInvalid("write settings of an interface, such as account_key: PID-18", location=source.at(()))
    try:
        return Interface.model_validate({"name": name, "mapping": name, **source.content})
    except ValidationError as error:
        raise _wrong(error, source, ()) from None


def _folder(root: Path, site: str, own: Path | None) -> Path:
    places = [own, root] if own is not None else [root]
    for place in places:
        if _SITE.fullmatch(site) and site != RELEASED and (place / site).is_dir():
            return place / site
    folders = (path for place in places if place.is_dir() for path in place.iterdir() if path.is_dir())
    known = ", ".join(sorted({path.name for path in folders if path.name not in ("base", RELEASED)}))
    raise ConfigInvalid(f"there is no folder mappings/{site}; there are: {known or 'none'}")


def _name(path: Path, root: Path) -> str:
    """How a file is called in errors and traces: what is installed by its place there, the site's own as it is."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def _wrong(error: ValidationError, source: Source, place: Place) -> ConfigInvalid:
    first = error.errors()[0]
    inner = tuple(part for part in first["loc"] if isinstance(part, str | int))
    text = ".".join(str(part) for part in inner)
    return ConfigInvalid(f"{text}: {first['msg']}", location=source.at((*place, *inner)))


@dataclass(frozen=True, slots=True)
class File:
    """One file as written. The same object wherever it counts: what is compiled of its rules is kept by that."""

    spec: FileSpec
    source: Source
    rules: tuple[RuleSource, ...]

    @classmethod
    def read(cls, path: Path, root: Path) -> File:
        """Raises ConfigInvalid, with file and line."""
        source = Source.read(path, _name(path, root))
        if not isinstance(source.content, dict):
            raise ConfigInvalid("a mapping file has message and include, or rules", location=source.at(()))
        try:
            spec = FileSpec.model_validate(source.content)
        except ValidationError as error:
            raise _wrong(error, source, ()) from None
        rules: list[RuleSource] = []
        for number, rule in enumerate(spec.rules):
            place: Place = ("rules", number)
            elements = {name: (raw, source, (*place, name)) for name, raw in rule.elements.items()}
            rules.append(RuleSource(rule, source, place, elements))
        return cls(spec, source, tuple(rules))


@lru_cache(maxsize=512)
def _installed(path: Path, root: Path) -> File:
    """A file of the base that is installed: the same for every site, and nobody edits it while we run."""
    return File.read(path, root)


@dataclass(frozen=True, slots=True)
class Layers:
    """Files as written: the rules of each message with what they include, and what a site lays over them."""

    messages: Mapping[str, list[RuleSource]]  # by DFT^P03
    overlays: list[RuleSource]  # in the order in which they are laid over
    tables: Mapping[str, codes.Table]
    read: frozenset[Path]  # every mapping file that counts
    folders: tuple[Path, ...]  # the base, then the site's
    root: Path
    about: list[RuleSource]  # what is said of a message as such

    def name(self, path: Path) -> str:
        """How a file is called in findings, as in errors and traces."""
        return _name(path, self.root)


class Sources:
    """The files of one site, read but not yet compiled."""

    def __init__(self, root: Path, site: str, own: Path | None = None) -> None:
        self._root = root
        self._base = root / "base"
        self._is_installed = root == data_root("mappings")
        self._site = _folder(root, site, own) if site else None
        self._accounts: dict[str, AccountRule] = {}
        # Most messages share most files: each is read, laid over and compiled once.
        self._files: dict[Path, File] = {}
        self._merged: dict[tuple[RuleSource, RuleSource], RuleSource] = {}

    def maps(self) -> Maps:
        layers = self.layers()
        about = layers.about
        known = {found.spec.rule for rules in (*layers.messages.values(), about) for found in rules}
        for found in layers.overlays:
            self._check_overlay(found, known)
        rules: dict[str, tuple[Rule, ...]] = {}
        for label, own in layers.messages.items():
            rules[label] = _compiled(_laid_over(label, own, layers.overlays, self._merged))
        said = _compiled(_laid_over("", about, layers.overlays, self._merged))
        return Maps(rules, layers.tables, self._accounts, said)

    def layers(self) -> Layers:
        """What the files say, before the site's is laid over the base."""
        folders = [self._base] if self._site is None else [self._base, self._site]
        tables: dict[str, dict[str, codes.Code]] = {}
        messages: dict[str, list[RuleSource]] = {}
        for folder in folders:
            for name, rows in codes.read_folder(folder / "codes").items():
                tables[name] = codes.laid_over(tables.get(name, {}), rows)
            messages.update(self._messages(folder))
        overlays = self._overlays(self._site) if self._site is not None else []
        about = self._rules(self._read(self._base / ABOUT), ()) if (self._base / ABOUT).is_file() else []
        return Layers(messages, overlays, tables, frozenset(self._files), tuple(folders), self._root, about)

    def _messages(self, folder: Path) -> Iterator[tuple[str, list[RuleSource]]]:
        for path in sorted(folder.glob("*.yaml")):
            if path.name == PROFILE:
                continue
            file = self._read(path)
            if (message := file.spec.message) is not None:
                self._accounts[message] = file.spec.account
                yield message, self._rules(file, ())

    def _overlays(self, folder: Path) -> list[RuleSource]:
        found: list[RuleSource] = []
        for path in sorted(folder.glob("*.yaml")):
            if path.name == PROFILE:
                continue
            file = self._read(path)
            if file.spec.message is None:
                found += file.rules
        return found

    def _rules(self, file: File, above: tuple[Path, ...]) -> list[RuleSource]:
        found: list[RuleSource] = []
        for number, name in enumerate(file.spec.include):
            at = file.source.at(("include", number))
            path = self._included(name, at)
            if path in above:
                raise ConfigInvalid(f"'{name}' includes itself", location=at)
            piece = self._read(path)
            if piece.spec.message is not None:
                raise ConfigInvalid(f"'{name}' is a message of its own", location=at)
            found += self._rules(piece, (*above, path))
        return [*found, *file.rules]

    def _included(self, name: str, at: str) -> Path:
        for folder in filter(None, (self._site, self._base)):
            path = folder / f"{name}.yaml"
            if _PIECE.fullmatch(name) and path.is_file():
                return path
        raise ConfigInvalid(f"there is no file {name}.yaml to include", location=at)

    def _read(self, path: Path) -> File:
        if path not in self._files:
            shared = self._is_installed and path.is_relative_to(self._base)
            self._files[path] = _installed(path, self._root) if shared else File.read(path, self._root)
        return self._files[path]

    @staticmethod
    def _check_overlay(found: RuleSource, known: set[str]) -> None:
        new = found.spec.rule not in known
        if new and (found.spec.message is None or found.spec.drop):
            raise ConfigInvalid(
                f"there is no rule '{found.spec.rule}' to lay this over; a new rule says message: and perhaps after:",
                location=found.at(),
            )


def _laid_over(
    label: str,
    rules: list[RuleSource],
    overlays: list[RuleSource],
    known: dict[tuple[RuleSource, RuleSource], RuleSource],
) -> tuple[RuleSource, ...]:
    """`known`: what was merged for other messages."""
    result = list(rules)
    for over in overlays:
        wanted = over.spec.message
        if wanted is not None and label not in ((wanted,) if isinstance(wanted, str) else wanted):
            continue
        names = [found.spec.rule for found in result]
        if over.spec.rule in names:
            at = names.index(over.spec.rule)
            key = (result[at], over)
            if not over.spec.drop and key not in known:
                known[key] = _merged(result[at], over)
            result[at : at + 1] = [] if over.spec.drop else [known[key]]
        elif wanted is not None:
            if over.spec.after is not None and over.spec.after not in names:
                raise ConfigInvalid(f"'after: {over.spec.after}': no such rule in {label}", location=over.at("after"))
            result.insert(names.index(over.spec.after) + 1 if over.spec.after else len(result), over)
    return tuple(result)


def _merged(under: RuleSource, over: RuleSource) -> RuleSource:
    """`over` on `under`: what it says replaces, `null` takes away, the rest stays."""
    said = {name: getattr(over.spec, name) for name in over.spec.model_fields_set if name in RuleSpec.model_fields}
    elements = {**under.elements, **over.elements}
    spec = under.spec.model_copy(update=said)
    return RuleSource(
        spec, over.source, over.place, {name: one for name, one in elements.items() if one[0] is not None}
    )


@lru_cache(maxsize=1024)
def _compiled(rules: tuple[RuleSource, ...]) -> tuple[Rule, ...]:
    """Rules of the base that no site lays anything over are compiled once for all sites."""
    by_name: dict[str, RuleSource] = {}
    made: dict[str, str | None] = {}
    compiled: list[Rule] = []
    for found in rules:
        name = found.spec.rule
        if name in by_name:
            raise ConfigInvalid(f"the rule '{name}' is there twice", location=found.at())
        if found.spec.like is not None:
            model = by_name.get(found.spec.like)
            if model is None:
                raise ConfigInvalid(
                    f"'like: {found.spec.like}': no rule of that name stands before this one", location=found.at("like")
                )
            elements = {**model.elements, **found.elements}
            said = (
                found.spec if found.spec.resource else found.spec.model_copy(update={"resource": model.spec.resource})
            )
            found = replace(
                found, spec=said, elements={name: one for name, one in elements.items() if one[0] is not None}
            )
        by_name[name] = found
        compiled.append(compile_rule(found, made))
        if found.spec.resource is not None:
            made[name] = found.spec.each
    return tuple(compiled)
