"""What goes wrong in an experiment is noticed, counted and told."""

from __future__ import annotations

import json
import sys

import pytest
from tests.faults import leftovers
from tests.faults.__main__ import main
from tests.faults.campaign import HANGS, LEFT, run_trials
from tests.faults.fakes import KNOWN
from tests.faults.sidelog import wait_until

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes under /proc")


def tally(name, *, seed=1, count=1):
    said: list[str] = []
    return run_trials(KNOWN[name], "processes", seed=seed, count=count, say=said.append), "\n".join(said)


def test_each_trial_has_the_next_seed_and_what_all_found_is_added_up():
    found, said = tally("FINE", seed=5, count=2)
    assert (found.trials, found.failed, said) == (2, 0, "")
    assert found.findings.counts["apples"] == 5 + 6
    assert found.findings.worst["waited"] == 0.6


def test_a_broken_invariant_fails_its_trial_and_says_how_to_see_it_again():
    found, said = tally("BROKEN", seed=2, count=2)
    assert (found.trials, found.failed) == (2, 1)
    assert "odd: 3" in said
    assert "what it printed" in said
    assert "python -m tests.faults BROKEN --executor processes --seed 3 --count 1" in said


def test_a_process_that_ends_in_an_error_fails_its_trial():
    found, said = tally("RAISING")
    assert found.failed == 1
    assert "RuntimeError: out of luck" in said


def test_a_process_that_never_ends_is_a_hang_and_shows_where():
    found, said = tally("HANGING")
    assert (found.failed, found.findings.counts[HANGS]) == (1, 1)
    assert "in inside" in said


def test_a_process_that_is_left_behind_is_found_and_killed():
    found, said = tally("LEAVING")
    assert (found.failed, found.findings.counts[LEFT]) == (1, 1)
    pid = int(said.partition(f"{LEFT}: ")[2].split()[0])
    assert wait_until(lambda: not leftovers.is_running(pid), 5)


def test_the_command_prints_a_row_for_each_experiment_and_tells_by_its_exit_code_if_one_broke(capsys, tmp_path):
    file = tmp_path / "figures.json"
    assert main(["fine", "--count", "1"], KNOWN) == 0
    assert main(["FINE", "BROKEN", "--count", "2", "--json", str(file)], KNOWN) == 1
    row = capsys.readouterr().out.splitlines()[-1]
    assert [cell.strip() for cell in row.split("|")][1:8] == ["BROKEN", "processes", "2", "1", "0", "0", "odd 1"]
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [each["trials"] for each in found["experiments"]] == [2, 2]
    assert found["machine"]["seed"] == "1"


def test_an_executor_that_an_experiment_is_not_for_is_refused(capsys):
    assert main(["FINE", "--executor", "threads"], KNOWN) == 1
    assert "FINE is not for threads, but for processes." in capsys.readouterr().err


def test_an_unknown_experiment_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["C99"], KNOWN)
    assert "there is no experiment 'C99'; there are FINE" in capsys.readouterr().err
