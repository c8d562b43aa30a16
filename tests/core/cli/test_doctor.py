"""``headrace doctor``: what it shows, what it finds, and what it puts right."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

LARGE = """
    @task
    def made(): return "x" * 200_000

    with Flow("large") as flow:
        made()
"""


@pytest.fixture
def project(cli) -> Path:
    """Return the project's folder, with one run in its history."""
    cli.here("run", cli.file(LARGE), "--quiet", "--run-name", "first")
    return cli.folder / ".headrace"


def found(cli, *options: str) -> list[dict[str, object]]:
    done = cli.here("doctor", "--json", *options)
    document = json.loads(done.out)
    assert done.code == (1 if document["findings"] else 0)
    return document["findings"]


def the_only(cli, *options: str) -> dict[str, object]:
    (only,) = found(cli, *options)
    return only


def test_where_all_is_well_it_says_so(cli, project: Path) -> None:
    done = cli.here("doctor")
    assert done.code == 0
    assert done.out.rstrip().endswith("Nothing is wrong.")
    facts = {line[:16].strip(): line[16:].strip() for line in done.out.splitlines()}
    assert {
        "headrace",
        "Python",
        "SQLite",
        "journal mode",
        "project folder",
        "history",
        "file system",
        "free space",
        "key",
        "configuration",
        "plugins",
        "runs that go on",
    } <= facts.keys()
    assert facts["history"] == str(project / "history" / "runs.db")
    assert facts["key"].endswith("mode 600")


def test_where_there_is_nothing_it_makes_nothing(cli) -> None:
    done = cli.here("doctor", "--repair", "--yes")
    assert done.code == 0
    assert "which is not there yet" in done.out
    assert not (cli.folder / ".headrace").exists()


def test_the_reason_for_the_journal_mode_is_shown(cli, project: Path) -> None:
    facts = json.loads(cli.here("doctor", "--json").out)["facts"]
    mode = facts["journal mode"]
    assert mode == "write-ahead log" or mode.startswith("rollback journal: ")


def test_a_run_that_goes_on_is_named_and_nothing_is_wrong_with_that(cli) -> None:
    file = cli.file("""
        import time
        from pathlib import Path

        @task
        def wait():
            Path("begun").touch()
            while not Path("end").exists():
                time.sleep(0.01)

        with Flow("waiting") as flow:
            wait()
    """)
    with cli.start("run", file, "--run-name", "under way") as process:
        while not (cli.folder / "begun").exists():
            assert process.poll() is None
            time.sleep(0.01)
        seen = json.loads(cli.here("doctor", "--json").out)
        refused = cli.here("doctor", "--repair", "--yes")
        (cli.folder / "end").touch()
        process.communicate()
    assert (seen["live"], seen["findings"]) == (["under way"], [])
    assert refused.code == 0


@pytest.mark.skipif(os.name != "posix", reason="kills a process")
def test_a_run_whose_process_died_is_found_and_its_end_is_written(cli) -> None:
    file = cli.file("""
        import os, signal

        @task
        def end(): os.kill(os.getpid(), signal.SIGKILL)

        with Flow("deadly") as flow:
            end()
    """)
    assert cli.apart("run", file).code == -signal.SIGKILL
    assert "is dead, and the end of the run is not written" in str(the_only(cli)["what"])
    done = cli.here("doctor", "--repair", "--yes")
    assert done.code == 0
    assert "The end of 1 runs was written" in done.out
    assert found(cli) == []


@pytest.fixture
def foreign(cli, project: Path) -> str:
    """Return a run that a process on another machine has begun, of which nothing else is known."""
    path = project / "history" / "runs.db"
    with closing(sqlite3.connect(path)) as history, history:
        (owner,) = history.execute("SELECT owner FROM runs").fetchone()
        away = json.dumps({**json.loads(owner), "host": "elsewhere", "boot": "another"})
        history.execute("UPDATE runs SET owner = ?, state = 'Running', ended = NULL, message = NULL", (away,))
    return "first"


def test_a_run_of_another_machine_is_named_and_left_alone(cli, foreign: str) -> None:
    only = the_only(cli)
    assert f"'{foreign}'" in str(only["what"])
    assert "elsewhere" in str(only["what"])
    assert "headrace doctor --foreign" in str(only["hint"])
    assert cli.here("doctor", "--repair", "--yes").code == 1
    assert json.loads(cli.here("runs", "--json").out)[0]["state"] == "Running"


def test_a_machine_that_is_gone_is_said_to_be(cli, foreign: str) -> None:
    done = cli.here("doctor", "--foreign", "--yes")
    assert done.code == 0
    assert f"{foreign}\n  Is recorded as Crashed." in done.out
    assert json.loads(cli.here("runs", "--json").out)[0]["state"] == "Crashed"


def test_that_a_machine_is_gone_is_not_believed_without_a_question(cli, foreign: str) -> None:
    assert cli.here("doctor", "--foreign").code == 2
    assert json.loads(cli.here("runs", "--json").out)[0]["state"] == "Running"


def test_a_damaged_history_is_found_and_what_can_be_is_saved(cli, project: Path) -> None:
    path = project / "history" / "runs.db"
    damaged = path.read_bytes()
    path.write_bytes(b"\0" * 100 + damaged[100:])
    only = the_only(cli)
    assert "is no SQLite database" in str(only["what"])
    assert only["repairable"] is True
    done = cli.here("doctor", "--repair", "--yes")
    assert done.code == 0
    assert "Saved what could be read of it: 1 runs" in done.out
    assert "This is what was there before." in done.out
    aside = min(path.parent.glob("runs.db.damaged-*"), key=lambda each: len(each.name))
    assert aside.read_bytes()[100:] == damaged[100:]
    assert "first" in cli.here("runs").out


def test_an_empty_file_is_found(cli, project: Path) -> None:
    (project / "history" / "runs.db").write_bytes(b"")
    assert "is an empty file" in str(the_only(cli)["what"])


def test_a_result_that_is_missing_is_named(cli, project: Path) -> None:
    (result,) = (project / "results").rglob("*.result")
    result.unlink()
    only = the_only(cli)
    assert only["place"] == str(result)
    assert str(only["what"]).endswith("is missing.")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-1] + b"?", "is damaged: its digest does not match"),
        (lambda data: data[:100], "is damaged: its digest does not match"),
        (lambda data: b"", "is damaged: its digest does not match"),
    ],
    ids=["changed", "cut short", "empty"],
)
def test_a_result_that_was_changed_is_found_by_a_deep_look(cli, project: Path, change, said: str) -> None:
    (result,) = (project / "results").rglob("*.result")
    result.write_bytes(change(result.read_bytes()))
    assert found(cli) == []
    assert said in str(the_only(cli, "--deep")["what"])


def test_a_result_that_somebody_put_there_is_found_by_a_deep_look(cli, project: Path) -> None:
    from headrace.envelope import seal

    (result,) = (project / "results").rglob("*.result")
    result.write_bytes(seal(b"a pickle of somebody else's"))
    assert "is not the one that its run recorded" in str(the_only(cli, "--deep")["what"])


def test_many_results_are_counted(cli, project: Path) -> None:
    cli.here("run", cli.file(LARGE.replace("made()\n", "made.map([None] * 15)\n").replace("made():", "made(_):")), "-q")
    for result in (project / "results").rglob("*.result"):
        result.unlink()
    seen = found(cli)
    assert len(seen) == 11
    assert str(seen[-1]["what"]).startswith("6 more results")


@pytest.mark.skipif(os.name != "posix", reason="permissions are not like that there")
def test_a_key_that_others_can_read_is_found_and_closed(cli, project: Path) -> None:
    key = project / "history" / "key"
    key.chmod(0o644)
    assert "Others may read the key" in str(the_only(cli)["what"])
    assert cli.here("doctor", "--repair", "--yes").code == 0
    assert key.stat().st_mode & 0o777 == 0o600


def test_a_key_in_the_environment_takes_the_place_of_the_file(
    cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_KEY", (project / "history" / "key").read_text().strip())
    (project / "history" / "key").unlink()
    done = cli.here("doctor", "--deep")
    assert (done.code, "the variable HEADRACE_KEY" in done.out) == (0, True), done.out
    monkeypatch.setenv("HEADRACE_KEY", "nothing")
    assert "The variable HEADRACE_KEY has no key" in str(the_only(cli)["what"])


def test_a_key_that_is_none_is_found(cli, project: Path) -> None:
    (project / "history" / "key").write_text("nothing")
    assert "has no key" in str(the_only(cli)["what"])


def test_a_key_that_is_missing_is_found_and_none_is_made(cli, project: Path) -> None:
    (project / "history" / "key").unlink()
    assert "is missing, so recorded values cannot be read" in str(the_only(cli)["what"])
    assert not (project / "history" / "key").exists()


def test_runs_that_were_sealed_with_another_key_are_found_until_it_is_back(
    cli, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = project / "history" / "key"
    before = key.read_text()
    cli.here("run", "flow.py", "--quiet", "--run-name", "second")
    key.unlink()
    done = cli.here("run", "flow.py", "--quiet", "--run-name", "third")
    assert done.code == 0
    problem = the_only(cli)
    assert problem["place"] == str(key)
    assert problem["what"] == (
        "What was recorded of run 'second', and of 1 earlier ones is not sealed with this key, so it cannot be read."
    )
    assert "HEADRACE_KEY" in str(problem["hint"])
    monkeypatch.setenv("HEADRACE_KEY", before.strip())
    assert "What was recorded of run 'third' is not sealed" in str(the_only(cli)["what"])


def test_leftovers_are_found_when_they_are_a_day_old_and_removed(cli, project: Path) -> None:
    left = project / "results" / ".abc.tmp"
    left.write_text("half")
    assert found(cli) == []
    os.utime(left, (0, 0))
    assert the_only(cli)["place"] == str(left)
    assert cli.here("doctor", "--repair", "--yes").code == 0
    assert not left.exists()


def test_a_journal_that_was_set_aside_is_named_and_stays(cli, project: Path) -> None:
    aside = project / "history" / "runs.db.live" / "some.damaged"
    aside.write_text("?")
    assert the_only(cli)["place"] == str(aside)
    assert cli.here("doctor", "--repair", "--yes").code == 1
    assert aside.exists()


def test_a_broken_configuration_is_found_and_the_rest_is_looked_at(cli, project: Path) -> None:
    (project / "config.toml").write_text("[history\n")
    done = cli.apart("doctor", "--json")
    seen = json.loads(done.out)
    assert done.code == 1
    assert [finding["place"] for finding in seen["findings"]] == [str(project / "config.toml")]
    assert seen["facts"]["configuration"] == str(project / "config.toml")
    assert seen["facts"]["history"] == str(project / "history" / "runs.db")


def test_a_value_of_the_wrong_kind_is_found(cli, project: Path) -> None:
    (project / "config.toml").write_text('[history]\nkeep_runs = "many"\n')
    (finding,) = json.loads(cli.apart("doctor", "--json").out)["findings"]
    assert "keep_runs" in finding["what"]


def test_a_plugin_that_cannot_be_loaded_is_found(cli) -> None:
    cli.distribution("bad-plugin", "[headrace.executors]\nbad = bad_module", bad_module="raise RuntimeError('no')")
    seen = json.loads(cli.apart("doctor", "--json").out)
    (finding,) = seen["findings"]
    assert finding["place"] == "plugin executor:bad"
    assert "no" in finding["what"]
    assert "bad-plugin" in finding["hint"]


def test_a_history_that_no_plugin_offers_is_found(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE__HISTORY__STORE", "sqlit:runs.db")
    done = cli.apart("doctor")
    assert done.code == 1
    assert "sqlit" in done.out


def test_a_history_in_a_folder_that_is_not_there_is_found(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE__HISTORY__STORE", "sqlite:nowhere/runs.db")
    done = cli.apart("doctor")
    assert done.code == 1
    assert f"{cli.folder / 'nowhere'} does not exist, and should be a folder." in done.out
    assert not (cli.folder / "nowhere").exists()


def test_where_there_is_nobody_to_ask_repairing_needs_a_word(cli, project: Path) -> None:
    done = cli.here("doctor", "--repair")
    assert done.code == 2
    assert "--yes" in done.err


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_on_a_terminal_it_asks(cli, project: Path, answer: str, code: int) -> None:
    key = project / "history" / "key"
    key.chmod(0o644)
    terminal = cli.on_terminal("doctor", "--repair")
    terminal.wait_for("Put right what can be? [y/N]")
    os.write(terminal._master, answer.encode())
    assert terminal.end() == code
    assert (key.stat().st_mode & 0o777 == 0o600) is (code == 0)


def test_a_missing_place_is_found_where_a_file_is_in_its_way(cli) -> None:
    (cli.folder / ".headrace").write_text("a file")
    seen = found(cli)
    assert "should be a folder" in str(seen[0]["what"])
    assert seen[0]["hint"]
