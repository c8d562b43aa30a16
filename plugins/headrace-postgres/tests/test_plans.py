"""Looking at a history takes no longer because it is long: no question is answered by going through a whole table."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.history import LogQuery, RunQuery, TaskRunQuery
from headrace.testing.history._base import a_run
from headrace_postgres import reading, statements
from headrace_postgres.store import PostgresRunStore


class Plans:
    """Stands for a connection: keeps how the server goes about each statement, and hands it on."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.scanned: list[str] = []
        self.sorted: list[str] = []

    def execute(self, statement: Any, parameters: Any = (), **options: Any) -> Any:
        text = statement if isinstance(statement, bytes) else statement.encode()
        self._connection.execute("SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off")
        (found,) = self._connection.execute(b"EXPLAIN (FORMAT json) " + text, parameters).fetchone()
        self._note(found[0]["Plan"])
        return self._connection.execute(text, parameters, **options)

    def _note(self, plan: dict[str, Any]) -> None:
        if plan["Node Type"] == "Seq Scan":
            self.scanned.append(plan["Relation Name"])
        if plan["Node Type"] == "Sort":
            self.sorted.append(json.dumps(plan["Sort Key"]))
        for each in plan.get("Plans", ()):
            self._note(each)


@pytest.fixture
def plans(url_of: Callable[..., str], tmp_path: Path) -> Iterator[Any]:
    with PostgresRunStore(url_of(tmp_path)) as store:
        for number in range(3):
            store.begin(a_run(name=f"run {number}"), []).ended("Success", None, 12.0)
        with store._server.lease() as connection:
            yield Plans(connection)
            connection.close()


@pytest.mark.parametrize(
    "query",
    [RunQuery(), RunQuery(flow_name="etl"), RunQuery(parent="a"), RunQuery(nested=True)],
    ids=["all", "of a flow", "inside", "nested"],
)
def test_listing_runs(plans: Any, query: RunQuery) -> None:
    reading.runs_page(plans, query, None, 50)
    reading.runs_page(plans, query, 3, 50)
    assert plans.scanned == []


@pytest.mark.parametrize("name", ["latest", "run 1", "0000", "nothing"])
def test_finding_a_run(plans: Any, name: str) -> None:
    with contextlib.suppress(LookupError):
        reading.find_run(plans, name, "here")
    assert plans.scanned == []


@pytest.mark.parametrize(
    "query",
    [TaskRunQuery(), TaskRunQuery(node=3), TaskRunQuery(node=3, children=True), TaskRunQuery(children=False)],
    ids=["all", "of a task", "children", "no children"],
)
def test_listing_task_runs(plans: Any, query: TaskRunQuery) -> None:
    for after in (None, (3, 500)):
        reading.task_runs_page(plans, 1, query, after, 50)
    assert (plans.scanned, plans.sorted) == ([], [])


def test_looking_at_one_task_run(plans: Any) -> None:
    reading.task_run(plans, 1, 0, -1)
    reading.attempts(plans, 1, 0, -1)
    reading.notes(plans, 1, 0, -1)
    reading.tasks(plans, 1)
    reading.attempts_page(plans, 1, reading.BEGINNING, 50)
    reading.notes_page(plans, 1, reading.BEGINNING, 50)
    assert (plans.scanned, plans.sorted) == ([], [])


@pytest.mark.parametrize("query", [LogQuery(), LogQuery(node=1), LogQuery(node=1, map_index=2), LogQuery(after=7)])
def test_looking_at_logs(plans: Any, query: LogQuery) -> None:
    reading.logs_page(plans, 1, query, query.after, 50)
    assert plans.scanned == []


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (statements.OPEN_RUNS, {"run": None}),
        (statements.RESUMED_BY, ("a",)),
        (statements.CRASH_TASK_RUNS, ("why", 12.0, 1)),
        (statements.OWN_LOCATIONS, {"run": 1}),
        *((statement, {"run": 1}) for statement in statements.FORGET),
    ],
)
def test_sweeping_and_forgetting(plans: Any, statement: str, parameters: Any) -> None:
    plans.execute(statement, parameters)
    assert plans.scanned == []
