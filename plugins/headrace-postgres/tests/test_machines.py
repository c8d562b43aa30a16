"""One history and several machines: what one may conclude of the runs of another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from headrace.exceptions import HistoryError, RunOwnedError
from headrace.history import UNMAPPED, Owner
from headrace.history.owners import this_process
from headrace.testing.history._base import a_run, a_task, shown, succeed
from headrace_postgres.store import PostgresRunStore

HERE = this_process()
THERE = Owner(pid=17, started="1", boot="another-boot", namespace="pid:[2]", host="there")


@pytest.fixture
def there(url_of: Callable[..., str], tmp_path: Path) -> Iterator[PostgresRunStore]:
    """A store as another machine has it, whose journals lie on its own disk."""
    disk = tmp_path / "there"
    disk.mkdir()
    with PostgresRunStore(_on(url_of(tmp_path), disk), owner=lambda: THERE) as store:
        yield store


@pytest.fixture
def here(url_of: Callable[..., str], tmp_path: Path) -> Iterator[PostgresRunStore]:
    disk = tmp_path / "here"
    disk.mkdir()
    with PostgresRunStore(_on(url_of(tmp_path), disk)) as store:
        yield store


def _on(url: str, disk: Path) -> str:
    return url.replace("journals=" + str(disk.parent), "journals=" + str(disk))


class Away:
    """The disk of another machine cannot be reached from this one, and its process does not run here."""

    def __init__(self, disk: Path) -> None:
        self._disk, self._hidden = disk, disk.with_name("hidden")

    def __enter__(self) -> None:
        self._disk.rename(self._hidden)

    def __exit__(self, *exc: object) -> None:
        self._hidden.rename(self._disk)


def test_a_run_elsewhere_is_alive_as_long_as_its_process_is_connected(
    here: PostgresRunStore, there: PostgresRunStore, tmp_path: Path
) -> None:
    """Nothing that anybody says here changes that."""
    run = a_run()
    journal = there.begin(run, [a_task()])
    with Away(tmp_path / "there"):
        assert here.is_alive(run.id) is True
        assert list(here.sweep()) == list(here.sweep(foreign=True)) == []
        assert here.check() == []
        with pytest.raises(RunOwnedError):
            here.delete(run.id)
        with pytest.raises(RunOwnedError):
            here.begin(a_run(resumed_from=run.id), [])
        with pytest.raises(HistoryError, match="goes on"):
            here.repair()
    succeed(journal)
    journal.ended("Success", None, 12.0)
    assert here.is_alive(run.id) is False


def test_a_run_elsewhere_whose_process_is_not_connected_may_be_alive(
    here: PostgresRunStore, there: PostgresRunStore, tmp_path: Path
) -> None:
    """Its link may be broken; so it is left alone, and shown by a check."""
    run = a_run()
    journal = there.begin(run, [a_task()])
    journal.began(0, UNMAPPED, 1, 10.0)
    journal.flush()
    there._writer().presence.close()
    with Away(tmp_path / "there"):
        assert here.is_alive(run.id) is None
        assert list(here.sweep()) == []
        (finding,) = here.check()
        assert run.id in finding.what
        assert "there" in finding.what
        assert not finding.repairable
    journal.finished(0, UNMAPPED, 1, "Success", None, 10.0, 11.0)
    journal.ended("Success", None, 12.0)
    assert here.run(run.id).state == "Success"


def test_a_run_elsewhere_is_dead_when_somebody_says_so(
    here: PostgresRunStore, there: PostgresRunStore, tmp_path: Path
) -> None:
    run = a_run()
    journal = there.begin(run, [a_task()])
    succeed(journal)
    journal.began(1, UNMAPPED, 1, 10.0)
    journal.flush()
    there.close()
    with Away(tmp_path / "there"):
        (swept,) = here.sweep(foreign=True)
        assert (swept.id, swept.state, swept.cause) == (run.id, "Crashed", "unknown")
        assert "there" in (swept.message or "")
        assert shown(here, run.id) == [(0, UNMAPPED, "Success"), (1, UNMAPPED, "Crashed")]
        assert list(here.sweep(foreign=True)) == []
        resumed = a_run(resumed_from=run.id)
        here.begin(resumed, [a_task()]).ended("Success", None, 13.0)
    assert here.check() == []


def test_an_owner_that_was_taken_for_dead_is_told_when_it_comes_back(
    here: PostgresRunStore, there: PostgresRunStore, tmp_path: Path
) -> None:
    """So that no two processes record one run; others of the same process go on."""
    run, other = a_run(), a_run()
    journal, unconcerned = there.begin(run, [a_task()]), there.begin(other, [a_task()])
    journal.began(0, UNMAPPED, 1, 10.0)
    journal.flush()
    there._writer().presence.release(run.id)
    with Away(tmp_path / "there"):
        assert [each.id for each in here.sweep(foreign=True)] == [run.id]
    succeed(unconcerned)
    journal.finished(0, UNMAPPED, 1, "Success", None, 10.0, 11.0)
    with pytest.raises(HistoryError, match="taken|took this process for dead") as caught:
        journal.flush()
    assert "foreign=True" in (caught.value.hint or "")
    with pytest.raises(HistoryError):
        journal.began(0, 1, 1, 12.0)
    journal.abandon()
    unconcerned.ended("Success", None, 12.0)
    assert here.run(other.id).state == "Success"
    assert (here.run(run.id).state, shown(here, run.id)) == ("Crashed", [(0, UNMAPPED, "Crashed")])


def test_what_a_machine_that_comes_back_has_in_its_journal_is_taken_in(
    here: PostgresRunStore, there: PostgresRunStore, tmp_path: Path
) -> None:
    """What is final stays: the run has crashed, and so have the task runs of which nothing else was known."""
    run = a_run()
    journal: Any = there.begin(run, [a_task()])
    journal.began(0, UNMAPPED, 1, 10.0)
    journal.flush()
    recorder = there._writer().recorder
    recorder._journals.remove(journal)
    succeed(journal, node=1)
    journal.finished(0, UNMAPPED, 1, "Success", None, 10.0, 11.0)
    journal.file.close()
    there._writer().presence.release(run.id)
    with Away(tmp_path / "there"):
        here.sweep(foreign=True)
    assert list(there.sweep()) == []
    assert shown(here, run.id) == [(0, UNMAPPED, "Crashed"), (1, UNMAPPED, "Success")]
    assert here.run(run.id).counts == {"Crashed": 1, "Success": 1}
    assert list(tmp_path.rglob("*.journal")) == []
    assert here.check() == []


def test_a_machine_of_the_same_name_is_another_one(
    here: PostgresRunStore, url_of: Callable[..., str], tmp_path: Path
) -> None:
    """Containers often share a name; a different boot means a restart only if the journal is here."""
    disk = tmp_path / "there"
    disk.mkdir()
    namesake = replace(HERE, boot="another-boot")
    with PostgresRunStore(_on(url_of(tmp_path), disk), owner=lambda: namesake) as there:
        run = a_run()
        journal = there.begin(run, [a_task()])
        with Away(disk):
            assert here.is_alive(run.id) is True
            assert list(here.sweep(foreign=True)) == []
            there._writer().presence.release(run.id)
            assert here.is_alive(run.id) is None
            assert list(here.sweep()) == []
        journal.ended("Success", None, 12.0)


def test_a_run_from_before_a_restart_of_this_machine_is_swept(
    here: PostgresRunStore, url_of: Callable[..., str], tmp_path: Path
) -> None:
    before = replace(HERE, boot="the-boot-before")
    with PostgresRunStore(_on(url_of(tmp_path), tmp_path / "here"), owner=lambda: before) as store:
        run = a_run()
        journal = store.begin(run, [a_task()])
        succeed(journal)
    # A machine that restarts lets nobody say that he gives up.
    (file,) = tmp_path.rglob(f"{run.id}.journal")
    said = b"Its process gave it up."
    file.write_bytes(file.read_bytes().replace(said, b" " * len(said)))
    assert here.is_alive(run.id) is False
    (swept,) = here.sweep()
    assert (swept.id, swept.cause, swept.counts) == (run.id, "restarted", {"Success": 1})


def test_any_project_of_a_machine_sees_that_a_run_is_dead(
    here: PostgresRunStore, url_of: Callable[..., str], tmp_path: Path
) -> None:
    """Where its journal is, is in the database."""
    disk = tmp_path / "another project"
    disk.mkdir()
    with PostgresRunStore(_on(url_of(tmp_path), disk)) as store:
        run = a_run()
        journal = store.begin(run, [a_task()])
        succeed(journal)
        assert here.is_alive(run.id) is True
        journal.abandon()
        assert here.is_alive(run.id) is False
        assert [each.id for each in here.sweep()] == [run.id]
        assert shown(here, run.id) == [(0, UNMAPPED, "Success")]
        assert list(disk.rglob("*.journal")) == []


def test_a_request_reaches_a_run_elsewhere(here: PostgresRunStore, there: PostgresRunStore, tmp_path: Path) -> None:
    run = a_run()
    journal = there.begin(run, [a_task()])
    with Away(tmp_path / "there"):
        here.request_cancel(run.id, "enough")
    assert journal.cancel_request() == "enough"


def test_slots_are_shared_by_machines(here: PostgresRunStore, there: PostgresRunStore, tmp_path: Path) -> None:
    """Those of a machine that is not connected stay taken, until somebody says that it is dead."""
    here.set_limit("api", 1)
    mine, hers = here.begin(a_run(), [a_task()]), there.begin(a_run(), [a_task()])
    assert hers.take_slots(0, 0, ["api"])
    assert not mine.take_slots(0, 1, ["api"])
    there.close()
    with Away(tmp_path / "there"):
        assert not mine.take_slots(0, 1, ["api"])
        here.sweep(foreign=True)
        assert mine.take_slots(0, 1, ["api"])


@pytest.mark.parametrize("path", ["planted/empty", "planted/{id}.journal", "planted/{live}/other.journal", "relative"])
def test_no_path_in_the_database_makes_us_touch_another_file(
    here: PostgresRunStore, there: PostgresRunStore, tmp_path: Path, path: str
) -> None:
    """An empty file would be taken for a journal that was just made, and removed."""
    run = a_run()
    there.begin(run, [a_task()])
    there.close()
    planted = tmp_path / path.format(id=run.id, live=there._address.live.name)
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.touch()
    here._server.write(lambda it: it.execute("UPDATE runs SET journal = %s", (str(planted),)))
    with Away(tmp_path / "there"):
        assert here.is_alive(run.id) is None
        assert list(here.sweep()) == []
        here.check()
        here.sweep(foreign=True)
    assert planted.exists()
