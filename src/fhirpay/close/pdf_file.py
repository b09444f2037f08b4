"""A close as PDF, to be printed and filed. Pure: made of the document alone, with its own moment and no clock, so the
same close is the same file each time it is printed with the same version of the library.

The fonts are those that every reader has (Helvetica). A character that they lack is written by its number, as in
`\\u0141`; the CSV has it as it is.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer
from reportlab.platypus import Table as Grid

from .sheet import Table, tables, title

_PAGE = landscape(A4)
_MARGIN = 36
_TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=7, leading=9, wordWrap="CJK")
_NAMES = ParagraphStyle("names", parent=_TEXT, fontName="Helvetica-Bold")
_SECTION = ParagraphStyle("section", fontName="Helvetica-Bold", fontSize=10, leading=14, spaceBefore=8)
_TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=14, leading=18)
_LINES = [
    ("GRID", (0, 0), (-1, -1), 0.25, colors.grey),
    ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ("TOPPADDING", (0, 0), (-1, -1), 1),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 1),
]


def render(document: Mapping[str, Any], close_hash: str) -> bytes:
    out = io.BytesIO()
    name = title(document)
    made = SimpleDocTemplate(
        out,
        pagesize=_PAGE,
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=_MARGIN,
        title=name,
        author="fhirpay",
        invariant=1,
    )
    flow: list[Flowable] = [Paragraph(_shown(name), _TITLE)]
    for table in tables(document, close_hash):
        flow += [Spacer(1, 6), Paragraph(_shown(table.title), _SECTION), _grid(table)]
    foot = f"{document.get('close', 'not signed')}  {close_hash}"

    def footer(canvas: Canvas, _: Any) -> None:
        canvas.setFont("Helvetica", 7)
        canvas.drawString(_MARGIN, 20, foot)
        canvas.drawRightString(_PAGE[0] - _MARGIN, 20, f"page {canvas.getPageNumber()}")

    made.build(flow, onFirstPage=footer, onLaterPages=footer)
    return out.getvalue()


def _grid(table: Table) -> Flowable:
    if not table.rows:
        return Paragraph("nothing", _TEXT)
    width = (_PAGE[0] - 2 * _MARGIN) / len(table.columns)
    widths = [width] * len(table.columns)
    if len(table.columns) == 2:
        widths = [160, _PAGE[0] - 2 * _MARGIN - 160]
    rows = [[Paragraph(_shown(one), _NAMES) for one in table.columns]]
    rows += [[Paragraph(_shown(one), _TEXT) for one in row] for row in table.rows]
    return Grid(rows, colWidths=widths, repeatRows=1, splitInRow=1, style=_LINES)  # a row may be longer than a page


def _shown(text: str) -> str:
    """For a paragraph of ours: no markup, and what the font lacks by its number."""
    return escape("".join(one if _has(one) else f"\\u{ord(one):04x}" for one in text))


def _has(character: str) -> bool:
    try:
        character.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return character.isprintable()
