"""Looking at a history takes no longer because it is long: no question is answered by going through a whole table."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from pathlib import Path

import pytest

from headrace.history import LogQuery, RunQuery, TaskRunQuery
from headrace.testing.history._base import a_run
from headrace_plugins.sqlite import reading, statements
from headrace_plugins.sqlite.store import SQLiteRunStore


class Plans:
    """Stands for a connection: keeps how SQLite goes about each statement, and hands it on."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.steps: list[str] = []

    def execute(self, statement: str, parameters=()):
        self.steps += [row[3] for row in self._connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
        return self._connection.execute(statement, parameters)


@pytest.fixture
def plans(tmp_path: Path):
    with SQLiteRunStore(f"sqlite:{tmp_path}/runs.db") as store:
        for number in range(3):
            store.begin(a_run(name=f"run {number}"), []).ended("Success", None, 12.0)
        with store._database.reader() as connection:
            yield Plans(connection)


def scanned(plans: Plans) -> list[str]:
    """Return the tables that were gone through, but for runs in the order in which they are listed."""
    assert plans.steps
    return [step for step in plans.steps if re.match(r"SCAN (?!runs$)", step) or "TEMP B-TREE" in step]


@pytest.mark.parametrize(
    "query",
    [
        RunQuery(),
        RunQuery(flow_name="etl"),
        RunQuery(parent="a"),
        RunQuery(nested=True),
        RunQuery(states=frozenset({"Failed"})),
    ],
    ids=["all", "of a flow", "inside", "nested", "failed"],
)
def test_listing_runs(plans, query):
    reading.runs_page(plans, query, None, 50)
    reading.runs_page(plans, query, 3, 50)
    assert scanned(plans) == []


@pytest.mark.parametrize("name", ["latest", "run 1", "0000", "nothing"])
def test_finding_a_run(plans, name):
    with contextlib.suppress(LookupError):
        reading.find_run(plans, name, "here")
    assert scanned(plans) == []


@pytest.mark.parametrize(
    "query",
    [
        TaskRunQuery(),
        TaskRunQuery(node=3),
        TaskRunQuery(node=3, children=True),
        TaskRunQuery(children=False),
        TaskRunQuery(states=frozenset({"Failed"})),
    ],
    ids=["all", "of a task", "children", "no children", "failed"],
)
def test_listing_task_runs(plans, query):
    for after in (None, (3, 500)):
        reading.task_runs_page(plans, 1, query, after, 50)
    assert scanned(plans) == []
    assert all("PRIMARY KEY" in step for step in plans.steps)


def test_a_page_begins_where_the_last_one_ended(plans):
    reading.task_runs_page(plans, 1, TaskRunQuery(), (3, 500), 50)
    assert plans.steps == ["SEARCH task_runs USING PRIMARY KEY (run=? AND (node,map_index)>(?,?))"]


@pytest.mark.parametrize(
    "query",
    [LogQuery(), LogQuery(node=3), LogQuery(node=3, map_index=5), LogQuery(level=30), LogQuery(node=3, level=30)],
    ids=["all", "of a task", "of a child", "of a level", "of a task and level"],
)
def test_looking_at_logs(plans, query):
    for after in (None, 500):
        reading.logs_page(plans, 1, query, after, 50)
    assert scanned(plans) == []
    assert all("USING INDEX logs_by" in step and "position>?" in step for step in plans.steps[1::2])


def test_looking_at_one_task_run(plans):
    reading.task_run(plans, 1, 0, -1)
    reading.attempts(plans, 1, 0, -1)
    reading.notes(plans, 1, 0, -1)
    reading.tasks(plans, 1)
    assert scanned(plans) == []


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (statements.OPEN_RUNS, ()),
        (statements.RESUMED_BY, ("a",)),
        (statements.CRASH_TASK_RUNS, ("why", 12.0, 1)),
        (statements.OWN_LOCATIONS, {"run": 1}),
        *((statement, {"run": 1}) for statement in statements.FORGET),
    ],
)
def test_sweeping_and_forgetting(tmp_path, statement, parameters):
    with SQLiteRunStore(f"sqlite:{tmp_path}/runs.db") as store:
        store.begin(a_run(), []).ended("Success", None, 12.0)
    connection = sqlite3.connect(tmp_path / "runs.db")
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    connection.close()
    assert steps
    assert [step for step in steps if re.match(r"SCAN (?!runs USING INDEX open_runs|own|\()", step)] == []
