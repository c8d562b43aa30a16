"""What a worker notes about a batch, and what others learn from that."""

from __future__ import annotations

import os

import pytest

from headrace_ray.ledger import Ledger, look_up


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path)
    yield ledger
    ledger.close()


def test_what_has_begun_and_what_has_ended_is_known(ledger, tmp_path):
    ledger.open(b"one")
    assert ledger.begin(0)
    ledger.end(0, b"reply")
    assert ledger.begin(1)
    found = look_up([b"one", b"two"], tmp_path)
    assert found == {b"one": ({0, 1}, {0: b"reply"})}


def test_what_has_been_looked_up_does_not_begin(ledger, tmp_path):
    ledger.open(b"one")
    assert ledger.begin(0)
    look_up([b"one"], tmp_path)
    ledger.end(0, b"reply")
    assert not ledger.begin(1)
    assert look_up([b"one"], tmp_path) == {b"one": ({0}, {0: b"reply"})}


def test_an_end_is_known_when_it_is_written(ledger, tmp_path):
    ledger.open(b"one")
    ledger.begin(0)
    ledger.end(0, b"reply")
    ledger.write()
    assert look_up([b"one"], tmp_path)[b"one"].ended == {0: b"reply"}


def test_a_look_at_another_batch_takes_nothing_away(ledger, tmp_path):
    ledger.open(b"one")
    ledger.begin(0)
    assert look_up([b"two"], tmp_path) == {}
    assert ledger.begin(1)


def test_the_next_batch_begins_anew(ledger, tmp_path):
    ledger.open(b"one")
    ledger.begin(0)
    look_up([b"one"], tmp_path)
    ledger.open(b"two")
    assert ledger.begin(0)
    assert look_up([b"one", b"two"], tmp_path) == {b"two": ({0}, {})}


def test_an_entry_that_was_cut_off_is_none(ledger, tmp_path):
    ledger.open(b"one")
    ledger.begin(0)
    ledger.end(0, b"reply")
    ledger.write()
    (path,) = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size - 2)
    assert look_up([b"one"], tmp_path) == {b"one": ({0}, {})}


def test_a_closed_ledger_leaves_no_file(tmp_path):
    Ledger(tmp_path).close()
    assert list(tmp_path.iterdir()) == []


def test_nothing_begins_that_cannot_be_noted(ledger):
    ledger.open(b"one")
    os.close(ledger._file)
    ledger._file = os.open(os.devnull, os.O_RDONLY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        ledger.begin(0)
