"""XML of a bank as a tree whose elements know their line. Pure; used by camt_file.py.

By expat, without namespaces' prefixes. A document type declaration is refused before anything in it is read: no entity
is ever expanded and nothing outside is fetched.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

from ..errors import MessageInvalid, RequiredMissing

DEPTH_MAX = 40


@dataclass(slots=True)
class Element:
    name: str
    line: int
    attributes: dict[str, str]
    namespace: str = ""
    text: str = ""
    children: list[Element] = field(default_factory=list["Element"])

    @property
    def at(self) -> str:
        return f"line {self.line}, {self.name}"

    def all(self, path: str) -> Iterator[Element]:
        """Those at `A/B/C` below it, child by child: never deeper ones of the same name."""
        first, _, rest = path.partition("/")
        for child in self.children:
            if child.name == first:
                if rest:
                    yield from child.all(rest)
                else:
                    yield child

    def get(self, path: str) -> Element | None:
        return next(self.all(path), None)

    def said(self, *paths: str) -> str:
        """The text of the first of these that is there; '' where none is."""
        for path in paths:
            if (found := self.get(path)) is not None and found.text.strip():
                return found.text.strip()
        return ""

    def need(self, path: str) -> Element:
        """Raises RequiredMissing."""
        found = self.get(path)
        if found is None:
            raise RequiredMissing(f"it has no {path}", location=self.at)
        return found


def parse(data: bytes) -> Element:
    """Its root. Raises MessageInvalid with the line."""
    parser = expat.ParserCreate(namespace_separator="}")
    top = Element("", 0, {})
    open_ones = [top]

    def begin(name: str, attributes: dict[str, str]) -> None:
        if len(open_ones) > DEPTH_MAX:
            raise MessageInvalid("elements are nested too deep", location=f"line {parser.CurrentLineNumber}")
        namespace, _, local = name.rpartition("}")
        element = Element(local, parser.CurrentLineNumber, attributes, namespace)
        open_ones[-1].children.append(element)
        open_ones.append(element)

    def end(_name: str) -> None:
        open_ones.pop()

    def characters(text: str) -> None:
        open_ones[-1].text += text

    def declared(*_: object) -> None:
        says = "a document type declaration (DOCTYPE) has no place in a bank's statement: it is not read"
        raise MessageInvalid(says, location=f"line {parser.CurrentLineNumber}")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = characters, declared
    parser.buffer_text = True
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        says = f"this is no whole XML document: {expat.ErrorString(error.code)}"
        raise MessageInvalid(says, location=f"line {error.lineno}") from None
    return top.children[0]
