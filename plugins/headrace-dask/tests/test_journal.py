"""What a worker leaves for its nanny to read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from headrace_dask import journal
from headrace_dask.journal import Journal, last_of

ADDRESS = "tcp://127.0.0.1:1234"


@pytest.fixture
def worker(tmp_path: Path) -> SimpleNamespace:
    (tmp_path / "worker-1").mkdir()
    return SimpleNamespace(local_directory=str(tmp_path / "worker-1"), address=ADDRESS)


@pytest.fixture
def nanny(tmp_path: Path) -> SimpleNamespace:
    return SimpleNamespace(local_directory=str(tmp_path))


def test_what_was_begun_and_done_is_read_once(worker: SimpleNamespace, nanny: SimpleNamespace, tmp_path: Path) -> None:
    """Of the tickets that were asked for; then the files are gone."""
    written = Journal.open(worker, "token")
    for ticket in range(5):
        written.begin(ticket)
    written.end(0, b"zero")
    written.end(1, b"one")
    assert last_of(ADDRESS, "token", [0, 3, 4, 9], nanny) == ([0, 3, 4], [b"zero"])
    assert last_of(ADDRESS, "token", [0, 3, 4, 9], nanny) == ([], [])
    assert list(tmp_path.glob("headrace-*")) == []


def test_a_worker_that_began_nothing_left_no_journal(nanny: SimpleNamespace) -> None:
    assert last_of(ADDRESS, "token", [1], nanny) == ([], [])


def test_runs_and_workers_do_not_share_a_journal(worker: SimpleNamespace, nanny: SimpleNamespace) -> None:
    Journal.open(worker, "one").begin(1)
    other = SimpleNamespace(**{**vars(worker), "address": "tcp://127.0.0.1:9"})
    Journal.open(other, "one").begin(2)
    Journal.open(worker, "two").begin(3)
    assert last_of(ADDRESS, "one", range(9), nanny) == ([1], [])


def test_journals_do_not_grow_for_ever(
    worker: SimpleNamespace, nanny: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done last is there, what was done long before is not."""
    monkeypatch.setattr(journal, "_BEGUN", 100)
    monkeypatch.setattr(journal, "_DONE_BYTES", 10_000)
    written = Journal.open(worker, "token")
    for ticket in range(1_000):
        written.begin(ticket)
        written.end(ticket, b"x" * 100)
    assert sum(path.stat().st_size for path in tmp_path.glob("headrace-*")) < 30_000
    begun, done = last_of(ADDRESS, "token", range(1_000), nanny)
    assert sorted(begun) == list(range(900, 1_000))
    assert 50 < len(done) < 300


def test_a_message_that_was_cut_off_is_left_out(
    worker: SimpleNamespace, nanny: SimpleNamespace, tmp_path: Path
) -> None:
    """A worker may die while it writes."""
    written = Journal.open(worker, "token")
    written.end(1, b"whole")
    written.end(2, b"cut off")
    (path,) = tmp_path.glob("*.done")
    path.write_bytes(path.read_bytes()[:-3])
    assert last_of(ADDRESS, "token", [1, 2], nanny)[1] == [b"whole"]


def test_closing_removes_the_files(worker: SimpleNamespace, tmp_path: Path) -> None:
    written = Journal.open(worker, "token")
    written.begin(1)
    written.close()
    assert list(tmp_path.glob("headrace-*")) == []
