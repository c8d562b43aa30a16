"""Columns as PostgreSQL reads them come back as they were."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace_postgres.arrays import arrays, clean, types_of

KINDS = "ilfbtx"
ROWS = st.tuples(
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.booleans(),
    st.none() | st.text() | st.sampled_from(["NULL", "null", "", '"', "\\", "{a,b}", ",", " ", "\0", "\\x00"]),
    st.none() | st.binary(),
)


@pytest.fixture(scope="module")
def connection(server: Any) -> Iterator[psycopg.Connection]:
    with server.connect() as connection:
        yield connection


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=20))
def test_rows_come_back(connection: psycopg.Connection, rows: list[tuple[Any, ...]]) -> None:
    """Only what no text in PostgreSQL has comes back as its escape. Columns with nothing in them may be left out."""
    if all(row[0] is None for row in rows):
        rows = [(number, *row[1:]) for number, row in enumerate(rows)]
    statement = f"SELECT * FROM unnest({types_of(KINDS)})".encode()
    found = connection.execute(statement, arrays(rows, KINDS)).fetchall()
    assert found == [(*row[:4], row[4] and clean(row[4]), row[5]) for row in rows]


@pytest.mark.parametrize("number", [math.inf, -math.inf, 0.1, 1e-320, 1795385033.4469135])
def test_moments_come_back_to_the_last_digit(connection: psycopg.Connection, number: float) -> None:
    assert connection.execute("SELECT (%s::float8[])[1]", arrays([(number,)], "f")).fetchone() == (number,)
