"""Pages of a list come to the whole list, in its order, whatever is added while somebody reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Column, MetaData, String, Table, create_engine, insert, select

from fhirpay.db.keyset import page
from fhirpay.db.types import UtcDateTime

_START = datetime(2026, 11, 20, tzinfo=UTC)
_LIST = Table("list", MetaData(), Column("at", UtcDateTime), Column("id", String, primary_key=True))
_KEYS = st.tuples(st.integers(0, 3), st.integers(0, 99))


@given(st.lists(_KEYS, unique_by=lambda key: key[1], max_size=25), st.lists(_KEYS), st.integers(1, 4), st.booleans())
def test_pages_come_to_the_whole_whatever_is_added_meanwhile(
    first: list[tuple[int, int]], later: list[tuple[int, int]], limit: int, newest: bool
) -> None:
    engine = create_engine("sqlite://")
    _LIST.metadata.create_all(engine)
    rows = [{"at": _START + timedelta(microseconds=at), "id": f"{id:02d}"} for at, id in (*first, *later)]
    there, more = rows[: len(first)], rows[len(first) :]
    with engine.begin() as connection:
        for row in there:
            connection.execute(insert(_LIST).values(row))
        seen: list[tuple[datetime, str]] = []
        after = None
        for _ in range(len(rows) + 1):  # each page but the last shows a row more
            if more:
                connection.execute(insert(_LIST).prefix_with("OR IGNORE").values(more.pop()))
            columns = (_LIST.c.at, _LIST.c.id)
            found = list(connection.execute(page(select(_LIST), columns, after, limit, newest=newest)))
            seen += [(row.at, row.id) for row in found]
            if len(found) < limit:
                break
            after = (found[-1].at, found[-1].id)
    assert seen == sorted(set(seen), reverse=newest)
    assert {(row["at"], row["id"]) for row in there} <= set(seen)
