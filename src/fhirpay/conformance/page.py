"""One self-contained HTML page, for screen and paper: the frame and the tables of the report and the specification.

No script, no font, nothing from elsewhere: it can be mailed, printed and signed. Text is escaped here, so callers
give plain text; `Html` marks what is markup already.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


class Html(str):
    """Markup, taken as it is."""

    __slots__ = ()


def text(value: str | Html) -> Html:
    return value if isinstance(value, Html) else Html(escape(value))


def tag(name: str, *inside: str | Html, of: str = "") -> Html:
    """`<name class="of">…</name>`."""
    marked = f' class="{escape(of)}"' if of else ""
    return Html(f"<{name}{marked}>{''.join(text(one) for one in inside)}</{name}>")


def code(value: str) -> Html:
    """A code or an address, which may be broken only where it has to."""
    return tag("code", value) if value else Html("")


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str | Html]], *, of: str = "", wide: Sequence[int] = ()
) -> Html:
    """A table; `wide` gives the columns' shares of the width in percent."""
    columns = "".join(f'<col style="width:{share}%">' for share in wide)
    head = tag("thead", tag("tr", *(tag("th", one) for one in heads))) if any(heads) else Html("")
    body = tag("tbody", *(tag("tr", *(tag("td", one) for one in row)) for row in rows))
    group = Html(f"<colgroup>{columns}</colgroup>") if columns else Html("")
    return tag("table", group, head, body, of=of)


def section(title: str, *inside: str | Html) -> Html:
    return tag("section", tag("h2", title), *inside)


def page(title: str, *inside: str | Html) -> str:
    body = "\n".join(text(one) for one in inside)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>\n{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


_STYLE = """\
:root { --ink: #1c2430; --soft: #5a6675; --line: #d5dbe3; --band: #f4f6f9; --blocks: #a4161a; --ask: #8a5a00;
  --note: #37506b; --ready: #1b6e3c; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "Liberation Sans", sans-serif; }
main { max-width: 1060px; margin: 0 auto; padding: 32px 28px 64px; }
h1 { font-size: 27px; line-height: 1.2; margin: 0 0 6px; }
h2 { font-size: 19px; margin: 36px 0 10px; padding-bottom: 5px; border-bottom: 2px solid var(--ink); }
h3 { font-size: 15.5px; margin: 22px 0 8px; }
p { margin: 6px 0; max-width: 78ch; }
.lead { color: var(--soft); }
.small { font-size: 12.5px; color: var(--soft); }
code { font: 0.9em ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace; overflow-wrap: anywhere; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; margin: 8px 0 14px; font-size: 13.5px; }
th { text-align: left; background: var(--band); font-weight: 600; }
th, td { border: 1px solid var(--line); padding: 5px 8px; vertical-align: top; overflow-wrap: anywhere; }
thead { display: table-header-group; }
tr { break-inside: avoid; }
.badge { display: inline-block; padding: 1px 9px; border-radius: 9px; color: #fff; font-size: 12px; font-weight: 600;
  white-space: nowrap; }
.badge.blocks { background: var(--blocks); } .badge.ask { background: var(--ask); }
.badge.note { background: var(--note); }
.grade { display: inline-block; padding: 7px 16px; border-radius: 6px; color: #fff; font-size: 18px;
  font-weight: 600; }
.grade.blocks { background: var(--blocks); } .grade.ask { background: var(--ask); }
.grade.ready { background: var(--ready); }
.finding { border-left: 4px solid var(--line); padding: 2px 0 4px 14px; margin: 14px 0; break-inside: avoid; }
.finding.blocks { border-color: var(--blocks); } .finding.ask { border-color: var(--ask); }
.finding.note { border-color: var(--note); }
.sign { table-layout: fixed; break-inside: avoid; } .sign td { height: 46px; }
@media print { @page { size: A4; margin: 16mm 14mm; } body { font-size: 10.5pt; } main { max-width: none; padding: 0; }
  table { font-size: 9pt; } h2 { break-after: avoid; } h3 { break-after: avoid; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""
