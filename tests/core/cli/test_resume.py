"""``headrace resume``: what runs again, what does not, and what is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HALVES = """
    from pathlib import Path

    def note(text):
        with open("side.log", "a") as log:
            log.write(text + "\\n")

    @task
    def half(x):
        note(f"half {x}")
        if x == 3 and not Path("mended").exists():
            raise ValueError("three is odd")
        return x / 2

    @task
    def total(xs, more):
        note("total")
        return sum(xs) + more

    @task
    def tell(x):
        note(f"told {x}")

    with Flow("halves") as flow:
        tell(total(half.map([2, 3, 4]), Parameter("more", default=1)))
"""


def notes(cli) -> list[str]:
    """Return what tasks noted since the last time."""
    log = cli.folder / "side.log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


@pytest.fixture
def failed(cli):
    """Return a command line after a run, ``first``, in which one of three children failed, and with that mended."""
    assert cli.here("run", cli.file(HALVES), "--run-name", "first", "-p", "more=10").code == 1
    assert notes(cli) == ["half 2", "half 3", "half 4"]
    (cli.folder / "mended").touch()
    return cli


def test_what_failed_runs_again_and_what_waited_for_it_with_the_same_parameters(failed) -> None:
    done = failed.here("resume")
    assert done.code == 0
    assert notes(failed) == ["half 3", "total", "told 14.5"]
    assert done.out.splitlines()[-1].startswith("✓ halves succeeded in ")


def test_both_runs_say_that_one_goes_on_from_the_other(failed) -> None:
    failed.here("resume", "first")
    last, first = json.loads(failed.here("runs", "--json").out)
    assert (last["resumed_from"], first["resumed_by"]) == (first["id"], last["id"])
    assert f"goes on from {first['id']}" in failed.here("show").out
    assert f"gone on with by {last['id']}" in failed.here("show", "first").out
    assert f"taken over from {first['id'][:8]}" in failed.here("show", "latest", "half").out


def test_what_is_taken_over_is_not_reported_as_waiting(failed) -> None:
    failed.here("resume")
    notes(failed)
    done = failed.here("resume")
    assert notes(failed) == []
    assert "waiting" not in done.out
    assert [line.split()[:3] for line in done.out.splitlines() if "before" in line] == [
        ["✓", "half", "3"],
        ["✓", "total", "succeeded"],
        ["✓", "tell", "succeeded"],
    ]


def test_the_document_says_what_was_taken_over(failed) -> None:
    failed.here("resume")
    done = failed.here("resume", "--json", "--from", "total")
    tasks = {task["name"]: task for task in json.loads(done.out)["tasks"]}
    assert tasks["half"]["taken_over"] is True
    assert tasks["half"]["children"] == {"total": 3, "states": {"Success": 3}}
    assert "taken_over" not in tasks["total"]


def test_a_task_runs_again_on_request_and_so_does_what_depends_on_it(failed) -> None:
    failed.here("resume")
    notes(failed)
    assert failed.here("resume", "--from", "total").code == 0
    assert notes(failed) == ["total", "told 14.5"]


def test_a_task_that_the_flow_does_not_have_cannot_run_again(failed) -> None:
    done = failed.here("resume", "--from", "totl")
    assert done.code == 2
    assert "Flow 'halves' has no task 'totl'." in done.err
    assert "Did you mean 'total'?" in done.err
    assert notes(failed) == []


def test_a_dry_run_tells_what_would_run_and_runs_nothing(failed) -> None:
    done = failed.here("resume", "--dry-run")
    assert done.code == 0
    assert done.out.splitlines() == [
        "TASK     REUSE   RUN  WHY",
        "half-1   2 of 3  1    1 of 3 children had not succeeded",
        "total-1  0 of 1  1    half-1 runs again",
        "tell-1   0 of 1  1    total-1 runs again",
    ]
    assert notes(failed) == []
    assert len(json.loads(failed.here("runs", "--json").out)) == 1


def test_a_dry_run_tells_what_a_request_adds(failed) -> None:
    lines = failed.here("resume", "--dry-run", "--from", "half").out.splitlines()
    assert lines[1].split() == ["half-1", "0", "of", "3", "?", "asked", "for"]


def test_a_dry_run_can_be_a_document(failed) -> None:
    done = json.loads(failed.here("resume", "--dry-run", "--json").out)
    assert done["tasks"][0] == {
        "slug": "half-1",
        "known": 3,
        "reused": 2,
        "runs": 1,
        "may_stay": 0,
        "skipped": 0,
        "left_out": 0,
        "why": "1 of 3 children had not succeeded",
    }
    assert (done["changed"], done["questions"]) == ([], [])
    assert notes(failed) == []


LOST = """
    from pathlib import Path

    def note(text):
        with open("side.log", "a") as log:
            log.write(text + "\\n")

    @task
    def make():
        note("make")
        return "x" * 40_000

    @task
    def size(text):
        note("size")
        return len(text)

    @task
    def letter(text, i):
        note(f"letter {i}")
        return text[i]

    @task
    def last(text):
        note("last")
        if not Path("mended").exists():
            raise ValueError("not mended")

    with Flow("lost") as flow:
        text = make()
        size(text)
        letter.map(unmapped(text), [1, 2])
        last(text)
"""


@pytest.fixture
def lost(cli):
    """Return a command line after a run, ``first``, of which a large result has been lost that others had read."""
    assert cli.here("run", cli.file(LOST), "--run-name", "first").code == 1
    shutil.rmtree(cli.folder / ".headrace" / "results")
    (cli.folder / "mended").touch()
    notes(cli)
    return cli


def test_a_dry_run_tells_what_may_stay(lost) -> None:
    made, *others = lost.here("resume", "--dry-run").out.splitlines()[1:]
    assert made.startswith("make-1    0 of 1  1    its result is lost: ")
    assert others == [
        "size-1    0 of 1  1    make-1 runs again; stays if called with the same",
        "letter-1  0 of 2  ?    make-1 runs again; 2 children stay if called with the same",
        "last-1    0 of 1  1    make-1 runs again",
    ]
    tasks = json.loads(lost.here("resume", "--dry-run", "--json").out)["tasks"]
    assert [task["may_stay"] for task in tasks] == [0, 1, 2, 0]


def test_what_stays_is_reported_as_everything_that_was_taken_over(lost) -> None:
    done = lost.here("resume", "--json")
    assert (done.code, notes(lost)) == (0, ["make", "last"])
    tasks = {task["name"]: task for task in json.loads(done.out)["tasks"]}
    assert {name: (task["state"], task.get("taken_over")) for name, task in tasks.items()} == {
        "make": ("Success", None),
        "size": ("Success", True),
        "letter": ("Success", None),
        "last": ("Success", None),
    }
    first = json.loads(lost.here("runs", "--json").out)[-1]["id"]
    assert lost.here("show", "latest", "size").out.count(f"from run {first}") == 1


def test_what_stays_is_not_reported_as_waiting(lost) -> None:
    done = lost.here("resume")
    assert "waiting" not in done.out
    assert [line.split() for line in done.out.splitlines() if "before" in line] == [
        ["✓", "size", "succeeded", "before"]
    ]


def test_one_task_can_run_alone_and_what_depends_on_it_later(failed) -> None:
    assert failed.here("resume", "--only", "half").code == 0
    assert notes(failed) == ["half 2", "half 3", "half 4"]
    assert failed.here("resume").code == 0
    assert notes(failed) == ["total", "told 14.5"]


def test_a_plus_stands_for_what_depends_on_a_task(failed) -> None:
    failed.here("resume")
    notes(failed)
    assert failed.here("resume", "--only", "total+").code == 0
    assert notes(failed) == ["total", "told 14.5"]


def test_only_what_failed_can_run(failed) -> None:
    assert failed.here("resume", "--rerun-failed").code == 0
    assert notes(failed) == ["half 3", "total", "told 14.5"]


def test_selections_exclude_each_other(failed) -> None:
    done = failed.here("resume", "--rerun-failed", "--only", "half")
    assert (done.code, notes(failed)) == (2, [])
    assert "takes one" in done.err


def test_a_run_is_resumed_once(failed) -> None:
    failed.here("resume", "first")
    notes(failed)
    done = failed.here("resume", "first")
    assert done.code == 2
    assert "was resumed already" in done.err
    assert notes(failed) == []


def test_a_run_that_fails_again_can_be_resumed_again(failed) -> None:
    (failed.folder / "mended").unlink()
    assert failed.here("resume").code == 1
    (failed.folder / "mended").touch()
    notes(failed)
    assert failed.here("resume").code == 0
    assert notes(failed) == ["half 3", "total", "told 14.5"]


def test_the_executor_is_the_one_that_is_named_now(failed) -> None:
    assert failed.here("resume", "--executor", "threads", "-o", "workers=2").code == 0
    assert notes(failed) == ["half 3", "total", "told 14.5"]


SEEING = """
    @task
    def see():
        with open("side.log", "a") as log:
            log.write(context.region + "\\n")
        raise ValueError

    with Flow("seeing") as flow:
        see()
"""


def test_the_settings_are_those_of_the_run_before(cli) -> None:
    options = ("--executor", "threads", "-o", "workers=3", "--context", "region=north", "--results", "file:own")
    cli.here("run", cli.file(SEEING), *options, "--run-name", "first")
    cli.here("resume")
    assert notes(cli) == ["north", "north"]
    last, first = json.loads(cli.here("runs", "--json").out)
    assert (last["name"], last["results"]) == ("first.2", "file:own")
    assert last["details"]["settings"] == first["details"]["settings"] | {
        "context": last["details"]["settings"]["context"],
        "scheduled_start_time": last["details"]["settings"]["scheduled_start_time"],
    }
    assert last["details"]["settings"]["executor_options"] == {"workers": "3"}


def test_another_executor_does_not_get_options_that_were_meant_for_the_first(cli) -> None:
    cli.here("run", cli.file(SEEING), "--executor", "threads", "-o", "workers=3", "--context", "region=north")
    assert cli.here("resume", "--executor", "local").code == 1
    assert notes(cli) == ["north", "north"]


def test_other_parameters_are_refused(failed) -> None:
    done = failed.here("resume", "-p", "more=11")
    assert (done.code, notes(failed)) == (2, [])
    assert "Parameter 'more' is as run 'first' recorded it, and cannot be given another value." in done.err


ASKING = """
    from pathlib import Path

    @task(resume="ask")
    def pay():
        with open("side.log", "a") as log:
            log.write("paid\\n")
        if not Path("mended").exists():
            raise ValueError("the line is dead")

    with Flow("paying") as flow:
        pay()
"""


@pytest.fixture
def unpaid(cli):
    """Return a command line after a run whose only task failed and wants to be asked."""
    cli.here("run", cli.file(ASKING), "--run-name", "first")
    (cli.folder / "mended").touch()
    notes(cli)
    return cli


def test_who_is_to_be_asked_and_is_not_there_stops_the_resume(unpaid) -> None:
    done = unpaid.apart("resume")
    assert (done.code, notes(unpaid)) == (2, [])
    assert "Task 'pay-1' wants to be asked before it runs again: it was Failed when run 'first' ended." in done.err
    assert "`--rerun pay-1`; or go on without it: `--skip pay-1`" in done.err
    assert unpaid.here("resume", "--dry-run").out.splitlines()[-1].startswith("pay-1 wants to be asked")


def test_a_task_that_was_under_way_when_its_process_died_is_asked_about(cli) -> None:
    dying = ASKING.replace(
        'raise ValueError("the line is dead")', "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert cli.apart("run", cli.file(dying)).code == -9
    (cli.folder / "mended").touch()
    assert notes(cli) == ["paid"]
    done = cli.here("resume")
    assert (done.code, notes(cli)) == (2, [])
    assert "Task 'pay-1' wants to be asked before it runs again: it was Crashed when run" in done.err
    assert cli.here("resume", "--rerun", "pay").code == 0
    assert notes(cli) == ["paid"]


@pytest.mark.parametrize(("option", "paid"), [("--rerun", ["paid"]), ("--skip", [])])
def test_an_answer_can_be_given_beforehand(unpaid, option: str, paid: list[str]) -> None:
    assert unpaid.here("resume", option, "pay").code == 0
    assert notes(unpaid) == paid


@pytest.mark.parametrize(("answer", "code", "paid"), [("rerun", 0, ["paid"]), ("skip", 0, []), ("stop", 2, [])])
def test_at_a_terminal_it_is_asked(unpaid, answer: str, code: int, paid: list[str]) -> None:
    terminal = unpaid.on_terminal("resume")
    terminal.wait_for("Run it again?")
    terminal.type(answer + "\n")
    assert terminal.end() == code
    assert notes(unpaid) == paid


def test_of_two_who_resume_at_once_one_does(failed) -> None:
    both = [failed.start("resume", "first") for _ in range(2)]
    ends = []
    for process in both:
        with process:
            _, err = process.communicate(timeout=60)
            ends.append((process.returncode, err))
    assert sorted(code for code, _ in ends) == [0, 2]
    (refusal,) = [err for code, err in ends if code == 2]
    assert "was resumed already" in refusal
    assert notes(failed) == ["half 3", "total", "told 14.5"]


def test_the_flow_is_found_from_another_folder(failed, monkeypatch: pytest.MonkeyPatch) -> None:
    (failed.folder / "below").mkdir()
    monkeypatch.chdir(failed.folder / "below")
    assert failed.here("resume", "--dry-run").code == 0


def test_a_module_is_found_again(cli) -> None:
    cli.file(HALVES, "halving.py")
    assert cli.apart("run", "-m", "halving:flow").code == 1
    (cli.folder / "mended").touch()
    notes(cli)
    assert cli.apart("resume").code == 0
    assert notes(cli) == ["half 3", "total", "told 5.5"]


# What is refused


def test_a_run_that_was_not_recorded_leaves_nothing_to_resume(cli) -> None:
    cli.here("run", cli.file(HALVES), "--no-record")
    notes(cli)
    done = cli.here("resume")
    assert done.code == 2
    assert "It has no runs." in done.err
    assert notes(cli) == []


def test_the_nearest_names_are_said_of_a_run_that_is_not_there(failed) -> None:
    done = failed.here("resume", "frist")
    assert done.code == 2
    assert "There is no run 'frist'" in done.err
    assert "The nearest: first" in done.err


@pytest.mark.parametrize("options", [[], ["--dry-run"]])
def test_a_file_that_is_not_there_any_more_is_named(failed, options: list[str]) -> None:
    (failed.folder / "flow.py").rename(failed.folder / "moved.py")
    done = failed.here("resume", *options)
    assert done.code == 2
    assert f"The flow of run 'first' came from {failed.folder / 'flow.py'}, and there is no such file" in done.err
    assert "`headrace run FILE`" in done.err


def changed(cli) -> None:
    path: Path = cli.folder / "flow.py"
    path.write_text(path.read_text().replace("return x / 2", "return x / 2 + 100"))


def test_code_that_has_changed_is_refused(failed) -> None:
    changed(failed)
    done = failed.here("resume")
    assert done.code == 2
    assert "The code of 'half-1' has changed since run 'first'." in done.err
    assert "--accept-changes" in done.err
    assert notes(failed) == []


def test_code_that_has_changed_runs_again_if_that_is_accepted(failed) -> None:
    changed(failed)
    assert failed.here("resume", "--dry-run").out.splitlines()[1].endswith("its code has changed")
    assert failed.here("resume", "--accept-changes").code == 0
    assert notes(failed) == ["half 2", "half 3", "half 4", "total", "told 314.5"]


def test_the_run_of_a_script_cannot_be_resumed_and_the_error_says_why(cli) -> None:
    file = cli.file(HALVES + '\n    if __name__ == "__main__":\n        flow.run(record=True)\n')
    subprocess.run([sys.executable, file], check=True, env=cli.environment(), cwd=cli.folder, capture_output=True)
    assert len(json.loads(cli.here("runs", "--json").out)) == 1
    done = cli.here("resume")
    assert done.code == 2
    assert "was not started by `headrace run`" in done.err
    assert "`flow.resume('" in done.err
    assert "`headrace run FILE`" in done.err
