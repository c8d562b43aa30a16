from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from headrace.exceptions import HistoryDamagedError, HistoryError
from headrace.history import Owner
from headrace.history.journal_files import JournalFile, claim, journal_paths, make_journal
from headrace.history.owners import this_process

HERE = this_process()
# A process that certainly is not there any more.
GONE = replace(HERE, boot="an earlier boot")
ELSEWHERE = replace(HERE, boot="another boot", host="another machine")

HOLD = """
import sys
from pathlib import Path
from headrace.history.journal_files import make_journal
from headrace.history.owners import this_process
file = make_journal(Path(sys.argv[1]), "run", this_process())
file.append(b"said")
print("made", flush=True)
sys.stdin.readline()
"""

# A file may have no more than so many bytes, as on a disk that is full.
FULL = """
import resource, signal, sys
from pathlib import Path
from headrace.exceptions import HistoryError
from headrace.history.journal_files import make_journal
from headrace.history.owners import this_process
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
first = make_journal(Path(sys.argv[1]), "run", this_process())
first.discard()
resource.setrlimit(resource.RLIMIT_FSIZE, (first.start + 25, resource.RLIM_INFINITY))
file = make_journal(Path(sys.argv[1]), "run", this_process())
for _ in range(2):
    file.append(b"0123456789")
for _ in range(2):
    try:
        file.append(b"0123456789")
    except HistoryError as error:
        print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
file.append(b"abcdefghij")
print(file.read(file.start, file.end - file.start).decode())
resource.setrlimit(resource.RLIMIT_FSIZE, (file.end, resource.RLIM_INFINITY))
file.give_up("No space left.")
"""


def made(folder: Path, owner: Owner = HERE, run_id: str = "run") -> JournalFile:
    return make_journal(folder, run_id, owner)


def claimed(path: Path, **options: bool) -> JournalFile:
    file = claim(path, HERE, **options)
    assert isinstance(file, JournalFile), file
    return file


class TestWriting:
    def test_what_is_appended_can_be_read_at_once(self, tmp_path):
        file = made(tmp_path)
        file.append(b"one")
        file.append(b"two")
        assert file.read(file.start, 6) == b"onetwo"
        assert file.read(file.start + 3, 2) == b"tw"
        file.close()
        assert file.end == file.start + 6 == file.path.stat().st_size

    def test_it_is_the_only_file_that_is_made(self, tmp_path):
        file = made(tmp_path)
        assert list(journal_paths(tmp_path)) == [file.path] == list(tmp_path.iterdir())
        file.discard()
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.skipif(os.name == "nt", reason="permissions are not like that there")
    def test_nobody_else_may_read_it(self, tmp_path):
        with_file = made(tmp_path)
        assert with_file.path.stat().st_mode & 0o777 == 0o600
        with_file.close()

    def test_there_are_no_two_of_one_run(self, tmp_path):
        first = made(tmp_path)
        first.append(b"mine")
        with pytest.raises(HistoryError, match="run"):
            made(tmp_path)
        assert b"mine" in first.path.read_bytes()
        assert len(list(tmp_path.iterdir())) == 1
        first.close()

    def test_a_missing_folder_is_an_error_that_names_the_file(self, tmp_path):
        with pytest.raises(HistoryError, match=str(tmp_path / "none" / "run.journal")):
            made(tmp_path / "none")

    def test_closing_it_twice_is_nothing(self, tmp_path):
        file = made(tmp_path)
        file.close()
        file.close()

    @pytest.mark.skipif(sys.platform == "win32", reason="no limits there")
    def test_why_its_owner_gave_it_up_can_be_read(self, tmp_path):
        file = made(tmp_path)
        file.append(b"said")
        file.give_up("The disk\nis full: «ö».")
        file.close()
        found = claimed(file.path)
        assert found.given_up == "The disk is full: «ö»."
        assert (found.run_id, found.owner, found.start) == ("run", HERE, file.start)
        assert found.read(found.start, 100) == b"said"

    def test_one_that_nobody_gave_up_says_nothing(self, tmp_path):
        made(tmp_path).close()
        assert claimed(tmp_path / "run.journal").given_up == ""

    def test_of_a_long_reason_the_end_is_kept(self, tmp_path):
        file = made(tmp_path)
        file.give_up("ö" * 1000 + ": No space left on device.")
        file.close()
        assert claimed(file.path).given_up.endswith("öö: No space left on device.")

    def test_giving_up_one_that_is_gone_makes_none(self, tmp_path):
        file = made(tmp_path)
        file.discard()
        file.give_up("Too late.")
        assert list(tmp_path.iterdir()) == []

    def test_a_full_disk_takes_an_entry_as_a_whole_or_not_at_all(self, tmp_path):
        done = subprocess.run(
            [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
        )
        first, second, written = done.stdout.splitlines()
        assert first == second
        assert str(tmp_path / "run.journal") in first
        assert written == "01234567890123456789abcdefghij"


class TestClaiming:
    def test_the_journal_of_a_dead_owner_can_be_taken_over(self, tmp_path):
        file = made(tmp_path, GONE)
        file.append(b"said")
        file.close()
        found = claimed(file.path)
        assert (found.run_id, found.owner, found.read(found.start, 100)) == ("run", GONE, b"said")
        assert (found.start, found.end) == (file.start, file.end)
        found.close()

    def test_a_journal_that_its_owner_has_locked_is_alive(self, tmp_path):
        file = made(tmp_path)
        assert claim(file.path, HERE) == "alive"
        file.close()

    def test_one_that_was_interrupted_says_so(self, tmp_path):
        for name, why in (("a", "Interrupted again.\n"), ("b", "x" * 1000), ("c", "")):
            file = make_journal(tmp_path, name, HERE)
            file.give_up(why, interrupted=True)
            file.close()
            found = claimed(file.path)
            assert (found.interrupted, found.given_up) == (True, why.strip()[-(400 - len("interrupted:")) :])
            found.close()

    def test_one_that_a_living_owner_has_given_up_can_be_taken_over(self, tmp_path):
        file = made(tmp_path)
        file.close()
        claimed(file.path).close()

    def test_it_is_free_as_soon_as_its_owner_is_killed(self, tmp_path):
        with subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            assert claim(tmp_path / "run.journal", HERE) == "alive"
            process.kill()
            process.wait()
            file = claimed(tmp_path / "run.journal")
            assert file.read(file.start, 4) == b"said"
            assert set(file.read(file.start + 4, file.end)) <= {0}
            file.close()

    def test_the_lock_of_a_dead_owner_is_waited_for_and_then_overruled(self, tmp_path):
        """A process that the owner had forked may have it, for as long as it likes."""
        file = made(tmp_path, GONE)
        began = time.monotonic()
        found = claim(file.path, HERE, patience=0.1)
        assert isinstance(found, JournalFile)
        assert time.monotonic() - began >= 0.1
        found.close()
        file.close()

    def test_one_that_is_not_there_is_gone(self, tmp_path):
        assert claim(tmp_path / "run.journal", HERE) == "gone"
        assert claim(tmp_path / "none" / "run.journal", HERE) == "gone"

    def test_an_owner_on_another_machine_is_dead_where_its_lock_would_be_seen(self, tmp_path):
        """A folder that is not on a network was on the other machine's disk, or in a container that is gone."""
        file = made(tmp_path, ELSEWHERE)
        file.close()
        claimed(file.path).close()

    @pytest.mark.parametrize(
        "content", [b"", b"headrace-jou", b"headrace-journal 1\n", b'headrace-journal 1\n{"run": "a']
    )
    def test_what_was_begun_and_never_used_just_goes(self, tmp_path, content):
        """Its process was killed before anything could be said."""
        path = tmp_path / "run.journal"
        path.write_bytes(content)
        assert claim(path, HERE) == "gone"
        assert list(tmp_path.iterdir()) == []

    def test_whoever_makes_one_and_whoever_sweeps_do_not_hinder_each_other(self, tmp_path):
        stop = threading.Event()
        seen: set[str] = set()

        def sweep() -> None:
            while not stop.is_set():
                seen.update(str(claim(path, HERE)) for path in journal_paths(tmp_path))

        thread = threading.Thread(target=sweep)
        thread.start()
        for number in range(300):
            file = made(tmp_path, run_id=str(number))
            file.append(b"said")
            assert b"said" in file.path.read_bytes()
            file.discard()
        stop.set()
        thread.join()
        assert seen <= {"alive", "gone"}

    @pytest.mark.parametrize(
        "content",
        [b"?", b"headrace-journal 2\n{}\n", b"\0" * 5000, b"headrace-journal 1\n[1]\n"],
        ids=["other", "later", "zeros", "no owner"],
    )
    def test_a_file_that_is_no_journal_is_left_alone(self, tmp_path, content):
        path = tmp_path / "run.journal"
        path.write_bytes(content)
        with pytest.raises(HistoryDamagedError, match=str(path)):
            claim(path, HERE)
        assert path.read_bytes() == content

    def test_one_that_cannot_be_understood_is_set_aside(self, tmp_path):
        file = made(tmp_path)
        file.append(b"?")
        aside = file.set_aside()
        assert [path.name for path in tmp_path.iterdir()] == ["run.damaged"] == [aside.name]
        assert list(journal_paths(tmp_path)) == []


def test_journals_of_a_folder_that_is_not_there_are_none(tmp_path):
    assert list(journal_paths(tmp_path / "none")) == []


def test_other_files_are_no_journals(tmp_path):
    for name in (".run.tmp", "run.damaged", "notes.txt"):
        (tmp_path / name).touch()
    assert list(journal_paths(tmp_path)) == []
