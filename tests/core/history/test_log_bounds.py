from __future__ import annotations

from pathlib import Path

import pytest

from headrace.history.encoding import LOGGED, encode_began, encode_logged, entries
from headrace.history.journal_files import JournalFile, claim, make_journal
from headrace.history.log_bounds import LogBounds, append_tails, shortened
from headrace.history.owners import this_process
from headrace.history.records import Owner


def entry(number: int, node: int = 0, size: int = 1000) -> bytes:
    return encode_logged(node, -1, 1, 10.0, 20, "etl", f"{number} {'x' * size}")


@pytest.fixture
def file(tmp_path: Path):
    made = make_journal(tmp_path, "run", this_process())
    yield made
    made.close()


@pytest.fixture
def bounds(file: JournalFile) -> LogBounds:
    made = LogBounds(file, file.append)
    made.set(200_000, 1_000_000)
    return made


def texts(file: JournalFile) -> list[str]:
    data = file.read(file.start, file.end - file.start)
    return [said[6].split(" x")[0] for kind, _, said in entries(data) if kind == LOGGED]


def tails(file: JournalFile) -> list[Path]:
    return sorted(file.path.parent.glob("*.tail"))


def test_little_is_kept_as_it_is(file, bounds):
    for number in range(10):
        bounds.add(0, -1, entry(number))
    bounds.finish(0, -1)
    assert texts(file) == [str(number) for number in range(10)]
    assert tails(file) == []


def test_of_much_the_beginning_and_the_end_are_kept(file, bounds):
    for number in range(1000):
        bounds.add(0, -1, entry(number))
    head = texts(file)
    assert head[:3] == ["0", "1", "2"]
    assert head[-1].startswith("... This task run logs more than 195.312 kB")
    assert sum(path.stat().st_size for path in tails(file)) < 140_000
    bounds.finish(0, -1)
    found = texts(file)[len(head) :]
    assert found == [str(number) for number in range(1000 - len(found), 1000)]
    assert 64 <= len(found) <= 140
    assert tails(file) == []


def test_task_runs_do_not_share_a_bound(file, bounds):
    for number in range(1000):
        bounds.add(0, -1, entry(number))
    bounds.add(1, -1, entry(7))
    assert texts(file)[-1] == "7"


def test_beyond_the_bound_of_the_run_only_the_end_of_all_is_kept(file, bounds):
    bounds.set(10_000_000, 100_000)
    for number in range(500):
        bounds.add(number, -1, entry(number, node=number))
        bounds.finish(number, -1)
    assert len(tails(file)) <= 2
    bounds.finish_all()
    assert texts(file)[-64:] == [str(number) for number in range(436, 500)]
    assert tails(file) == []


def test_a_bound_of_nothing_keeps_the_end(file, bounds):
    bounds.set(0, 0)
    bounds.add(0, -1, entry(1))
    bounds.finish_all()
    assert texts(file)[1:] == ["1"]


def left_behind(file: JournalFile, bounds: LogBounds) -> JournalFile:
    """Return the journal as whoever sweeps has it."""
    bounds.close()
    dead = Owner(pid=file.owner.pid, started="0", boot="another", namespace=None, host=file.owner.host)
    file.close()
    text = file.path.read_bytes().replace(f'"boot": "{file.owner.boot}"'.encode(), b'"boot": "another"')
    file.path.write_bytes(text)
    assert dead.boot == "another"
    found = claim(file.path, this_process())
    assert isinstance(found, JournalFile)
    return found


def test_what_a_dead_owner_left_is_appended_once(file, bounds):
    for number in range(1000):
        bounds.add(0, -1, entry(number))
    swept = left_behind(file, bounds)
    append_tails(swept)
    append_tails(swept)
    found = texts(swept)
    assert found[-64:] == [str(number) for number in range(936, 1000)]
    assert len(found) == len(set(found))
    assert tails(swept) == []
    swept.close()


def test_it_is_appended_after_the_last_whole_entry(file, bounds):
    for number in range(1000):
        bounds.add(0, -1, entry(number))
    file.append(encode_began(5, -1, 1, 10.0)[:-3])
    with tails(file)[-1].open("ab") as tail:
        tail.write(entry(5000)[:-3])
    swept = left_behind(file, bounds)
    append_tails(swept)
    assert texts(swept)[-1] == "999"
    assert all(kind for kind, _, _ in entries(swept.read(swept.start, swept.end - swept.start)))
    swept.close()


def test_a_run_does_not_take_the_end_of_another(file, bounds, tmp_path):
    other = make_journal(tmp_path, "run-2", this_process())
    theirs = LogBounds(other, other.append)
    theirs.set(0, 0)
    theirs.add(0, -1, entry(1))
    append_tails(file)
    theirs.finish_all()
    assert texts(other)[1:] == ["1"]
    other.close()


def test_of_a_long_text_the_middle_goes():
    assert shortened("short") == "short"
    found = shortened("a" * 50_000 + "b" * 50_000)
    assert found.startswith("aaa")
    assert found.endswith("bbb")
    assert "67232 characters are left out" in found
