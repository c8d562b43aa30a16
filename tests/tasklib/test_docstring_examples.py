"""The example in the docstring of every prebuilt task, run as it stands."""

from __future__ import annotations

import doctest
import functools
import http.server
import inspect
import threading

import pytest

from headrace_tasklib import http as http_tasks
from headrace_tasklib import shell as shell_tasks
from headrace_tasklib import sql as sql_tasks

HOST = "http://data.example.org"
CLASSES = [
    shell_tasks.ShellTask,
    http_tasks.HttpTask,
    http_tasks.HttpDownload,
    sql_tasks.SqlQuery,
    sql_tasks.SqlExecute,
    sql_tasks.SqlScript,
    sql_tasks.SqlLoad,
]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def host(tmp_path):
    """The URL of a server with the files that the examples ask for."""
    (tmp_path / "stations.json").write_text('["Seattle", "Spokane"]')
    (tmp_path / "weather.csv").write_text("date,precipitation\n2012-01-01,0.0\n")
    handler = functools.partial(QuietHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_example_runs(cls, host, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    text = (inspect.getdoc(cls) or "").replace(HOST, host)
    example = doctest.DocTestParser().get_doctest(text, {}, cls.__name__, None, None)
    report: list[str] = []
    results = doctest.DocTestRunner().run(example, out=report.append)
    assert results.attempted > 0
    assert results.failed == 0, "".join(report)
