"""The FHIR versions that are spoken, each at its own base: R4, which is what is kept, and R5, by conversion.

Given to the routes in `Deps.spoken`. What differs between the two is here and in fhir/crossversion.py: which types
there are, how resources are taken and said, what search parameters are called. To speak R5 of another type: its
conversion there, its entry in conformance/CapabilityStatement-fhirpay-R5.json.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ...errors import FhirpayError, MessageUnsupported
from ...fhir import crossversion, params, search
from ...fhir.search import Query
from ...fhir.search_values import SearchUnsupported, parameter
from ...fhir.statement import FhirVersion
from ...fhir.store import Stored

Json = dict[str, Any]
Pairs = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """`numbers` are what clients may call the version in `fhirVersion`; `renamed` has search parameters by type: their
    names here, and as they are kept."""

    version: FhirVersion
    numbers: tuple[str, ...]
    statement: str  # its CapabilityStatement, in conformance/
    types: tuple[str, ...] = params.TYPES
    renamed: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    to_kept: Callable[[Json], Json] = lambda resource: resource
    from_kept: Callable[[Json], Json] = lambda resource: resource

    @property
    def prefix(self) -> str:
        return f"/fhir/{self.version}"

    @property
    def writable(self) -> tuple[str, ...]:
        return tuple(name for name in self.types if name in params.WRITABLE)

    @property
    def converts(self) -> bool:
        return self.version is not FhirVersion.R4

    def say(self, one: Stored) -> Json:
        """A resource in this version. Raises MessageUnsupported, at the address of what it has no words for."""
        if one.type not in self.types:
            raise MessageUnsupported(f"{one.type} is not spoken in {self.version} here", location=one.type)
        return self.from_kept(one.resource)

    def take(self, resource: Json) -> Json:
        """A sound resource of this version as it is kept. Raises as `say`."""
        return self.to_kept(resource)

    def take_entry(self, entry: Json, at: str) -> Json:
        """The same of an entry of a transaction or a batch, and of what its request says."""
        if not self.converts:
            return entry
        request = dict(entry.get("request", {}))
        path, mark, query = str(request.get("url", "")).partition("?")
        kind = path.lstrip("/").partition("/")[0]
        if kind in params.TYPES and kind not in self.types:
            says = f"{kind} is not spoken in {self.version} here"
            raise MessageUnsupported(says, location=f"{at}.request.url")
        if mark and kind in self.types:
            request["url"] = f"{path}?{self._kept_query(kind, query, f'{at}.request.url')}"
        if kind in self.types and "ifNoneExist" in request:
            where = f"{at}.request.ifNoneExist"
            request["ifNoneExist"] = self._kept_query(kind, str(request["ifNoneExist"]).lstrip("?"), where)
        taken = {**entry, "request": request}
        if "resource" in entry:
            try:
                taken["resource"] = self.take(entry["resource"])
            except MessageUnsupported as error:
                _, _, below = (error.location or "").partition(".")
                error.location = f"{at}.resource.{below}".rstrip(".")
                raise
        return taken

    def query(self, resource_type: str, pairs: Pairs, *, base_url: str, lenient: bool = False) -> Query:
        """A search in the parameters of this version; links repeat it so. Raises as `search.parse`."""
        hidden: list[str] = []
        kept: list[tuple[str, str]] = []
        for name, value in pairs:
            try:
                kept.append(self._kept(resource_type, name, value))
            except SearchUnsupported:
                if not lenient:
                    raise
                hidden.append(name)
        try:
            query = search.parse(resource_type, kept, base_url=base_url, lenient=lenient)
        except FhirpayError as error:
            self._relabel(resource_type, error)
            raise
        stated = tuple(self._said(resource_type, name, value) for name, value in query.stated)
        return replace(query, stated=stated, ignored=(*query.ignored, *hidden))

    def condition(self, resource_type: str, text: str, at: str) -> str:
        """The parameters of a conditional write, as they are kept by. Raises SearchUnsupported."""
        return self._kept_query(resource_type, text.lstrip("?"), at)

    def _kept_query(self, resource_type: str, query: str, at: str) -> str:
        if not self.renamed.get(resource_type):
            return query
        try:
            pairs = [self._kept(resource_type, *pair) for pair in parse_qsl(query, keep_blank_values=True)]
        except SearchUnsupported as error:
            error.location = at
            raise
        return urlencode(pairs)

    def _kept(self, resource_type: str, name: str, value: str) -> tuple[str, str]:
        names = self.renamed.get(resource_type, {})
        if name == "_include":
            source, colon, rest = value.partition(":")
            inner, _, target = rest.partition(":")
            if inner in names.values():
                raise SearchUnsupported(f"{source} has no such parameter here", location="http._include")
            rest = ":".join(part for part in (names.get(inner, inner), target) if part)
            return name, f"{source}{colon}{rest}"
        bare, colon, modifier = name.partition(":")
        if bare in names.values():
            shown, location = parameter(bare)
            raise SearchUnsupported(f"{resource_type} can't be searched by {shown}", location=location)
        return f"{names.get(bare, bare)}{colon}{modifier}", value

    def _said(self, resource_type: str, name: str, value: str) -> tuple[str, str]:
        names = {kept: said for said, kept in self.renamed.get(resource_type, {}).items()}
        if name == "_include":
            parts = value.split(":")
            return name, ":".join(names.get(part, part) if i == 1 else part for i, part in enumerate(parts))
        bare, colon, modifier = name.partition(":")
        return f"{names.get(bare, bare)}{colon}{modifier}", value

    def _relabel(self, resource_type: str, error: FhirpayError) -> None:
        prefix, _, name = (error.location or "").partition(".")
        names = {kept: said for said, kept in self.renamed.get(resource_type, {}).items()}
        if prefix == "http" and name in names:
            error.location = f"{prefix}.{names[name]}"
            error.message = error.message.replace(name, names[name])


R4 = Spoken(FhirVersion.R4, ("4.0", "4.0.1"), "CapabilityStatement-fhirpay.json")
R5 = Spoken(
    FhirVersion.R5,
    ("5.0", "5.0.0"),
    "CapabilityStatement-fhirpay-R5.json",
    types=tuple(name for name in params.TYPES if name in crossversion.TYPES),
    renamed={"ChargeItem": {"encounter": "context"}},
    to_kept=crossversion.to_r4,
    from_kept=crossversion.to_r5,
)
