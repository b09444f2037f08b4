"""`/api/v1/reports`: figures as of a day or of a period, page by page as JSON or whole as CSV. Reads only.

With scope `staff`: a report is about the whole practice. Who holds a page's cursor reads on in the same figures, since
it keeps the entry of the books by which the first page was counted.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from ...db.unit import Tx
from ...ledger.store import head
from ...reports.frame import Report, Wish, asked, pinned, rows
from ...reports.registry import REPORTS, report_of
from ...reports.shown import about, as_csv, as_object, described
from . import paging
from .deps import STAFF, Deps, json_answer
from .paging import LIMIT, Cursor, Limit

_CSV = "text/csv"
_IN_MEMORY = 8_000_000  # bytes; a longer report is on the disk until it has been sent
AsOf = Annotated[str, Query(max_length=40, description="a business day, included; else today")]
Recorded = Annotated[
    str, Query(max_length=100, description="only what was known then: a day, a moment, an entry's number, a head")
]
From = Annotated[str, Query(alias="from", max_length=40, description="the first business day of a period")]
To = Annotated[str, Query(max_length=40, description="its last one, included; else today")]
By = Annotated[str, Query(max_length=200, description="split by these, with commas between")]


def reports_router(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/v1", tags=["reports"])

    @router.get("/reports")
    async def many(request: Request, limit: Limit = LIMIT, cursor: Cursor = "") -> Response:
        """Those that there are: what each counts, by what it can be split, its columns with their units."""
        await deps.client(request, STAFF)
        page = paging.asked(deps, "reports", request, limit, cursor)
        return json_answer(page.of_all(REPORTS.values(), lambda one: one.name, described))

    @router.get("/reports/{name}")
    async def one(
        name: str,
        request: Request,
        as_of: AsOf = "",
        recorded_by: Recorded = "",
        first: From = "",
        to: To = "",
        by: By = "",
        limit: Limit = LIMIT,
        cursor: Cursor = "",
    ) -> Response:
        """A page of its rows, with what they are. With `Accept: text/csv` all of them, as CSV (RFC 4180)."""
        await deps.client(request, STAFF)
        report, wish = report_of(name), Wish(as_of, recorded_by, first, to, tuple(by.split(",")) if by else ())
        if _CSV in request.headers.get("accept", ""):
            return await _whole(deps, report, wish)
        page = paging.asked(deps, "rows", request, limit, cursor, [str] * (3 + len(report.keys(wish.by))))

        def found(tx: Tx) -> dict[str, Any]:
            # The first page's day, entry and moment count for all: what comes in meanwhile is not in the next one.
            day, seq, moment, *last = page.after or ("", str(head(tx).seq), tx.now.isoformat())
            about_it = asked(tx, report, _of_day(report, wish, day), deps.tenant)
            about_it = pinned(about_it, int(seq), datetime.fromisoformat(moment))
            header, keys = report.header(about_it.by), len(report.keys(about_it.by))
            mine = list(rows(tx, report, about_it, after=last or None, limit=page.most))
            answer = page.answer(
                mine,
                lambda row: [about_it.day.isoformat(), seq, moment, *row[:keys]],
                lambda row: as_object(header, row),
            )
            return {**about(report, about_it), **answer}

        return json_answer(await deps.units.read(found))

    return router


def _of_day(report: Report, wish: Wish, day: str) -> Wish:
    if not day:
        return wish
    return replace(wish, last=day) if report.span == "period" else replace(wish, as_of=day)


async def _whole(deps: Deps, report: Report, wish: Wish) -> Response:
    with ExitStack() as closing:
        spool = closing.enter_context(SpooledTemporaryFile(_IN_MEMORY, "w+b"))
        await deps.units.read(_spooled, report, wish, deps, spool)
        closing.pop_all()
    headers = {"Content-Disposition": f'attachment; filename="{report.name}.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(_sent(spool), media_type=_CSV, headers=headers)


def _spooled(tx: Tx, report: Report, wish: Wish, deps: Deps, spool: SpooledTemporaryFile[bytes]) -> None:
    about_it = asked(tx, report, wish, deps.tenant)
    spool.seek(0)
    spool.truncate()
    spool.writelines(line.encode() for line in as_csv(report.header(about_it.by), rows(tx, report, about_it)))


async def _sent(spool: SpooledTemporaryFile[bytes]) -> AsyncIterator[bytes]:
    with spool:
        spool.seek(0)
        while chunk := spool.read(65_536):
            yield chunk
