"""The group: what it lists, what it imports, how it says what is wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import headrace
from headrace.cli.root import headrace as root

COMMAND_MODULE = """
    import click
    from headrace.plugins import CommandSpec, hookimpl

    @hookimpl
    def headrace_commands():
        return [CommandSpec(name="bill", factory="acme_bill:bill", summary="Shows costs.")]

    @click.command()
    @click.option("--fail", default="")
    def bill(fail):
        if fail == "key":
            raise KeyError("no\\x1b[31m price")
        click.echo("42")
        return 7
"""
TALKATIVE = """
    @task
    def say(x):
        print("line", x)

    with Flow("talkative") as flow:
        say.map(list(range(3000)))
"""
COMMAND_ENTRY = "[headrace.commands]\nbill = acme_bill\n"


def test_the_version_is_that_of_the_package() -> None:
    result = CliRunner().invoke(root, ["--version"])
    assert (result.exit_code, result.output) == (0, f"headrace {headrace.__version__}\n")


def test_help_lists_every_command() -> None:
    output = CliRunner().invoke(root, ["--help"]).output
    for name in ("run", "visualize", "cache", "plugins", "config", "diagnostics", "completion"):
        assert f"\n  {name} " in output


@pytest.mark.parametrize("command", ["run", "visualize", "cache", "plugins", "config", "diagnostics", "completion"])
def test_every_command_has_help(command: str) -> None:
    result = CliRunner().invoke(root, [command, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")


@pytest.mark.parametrize("command", [["run"], ["visualize"], ["cache", "why"], ["diagnostics"], ["completion"]])
def test_examples_in_help_have_lines_of_their_own(command: list[str]) -> None:
    output = CliRunner().invoke(root, [*command, "--help"]).output
    assert "\\b" not in output
    assert len(re.findall(rf"^  (?:\w+: +)?headrace {' '.join(command)}\b", output, re.MULTILINE)) > 1


def test_the_module_is_the_command(cli) -> None:
    done = cli.apart("--version")
    assert (done.code, done.out) == (0, f"headrace {headrace.__version__}\n")


def test_an_unknown_command_names_the_nearest(cli) -> None:
    done = cli.here("rum")
    assert done.code == 2
    assert "No such command 'rum'. Did you mean 'run'?" in done.err


def test_help_imports_neither_plugins_nor_what_draws(cli) -> None:
    cli.distribution("acme-bill", COMMAND_ENTRY, acme_bill=COMMAND_MODULE)
    code = """
import contextlib, io, json, sys
from headrace.cli import main
with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
    main(["--help"])
print(json.dumps([out.getvalue(), sorted(sys.modules)]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=cli.environment(), capture_output=True, text=True, check=True, timeout=20
    )
    output, modules = json.loads(done.stdout)
    assert "bill  About acme-bill." in output
    packages = {name.partition(".")[0] for name in modules}
    assert not packages & {"acme_bill", "rich", "pluggy", "headrace_plugins", "headrace_tasklib"}


def test_a_command_of_a_plugin_runs(cli) -> None:
    cli.distribution("acme-bill", COMMAND_ENTRY, acme_bill=COMMAND_MODULE)
    done = cli.apart("bill")
    assert (done.code, done.out) == (0, "42\n")


def test_a_command_of_a_plugin_that_is_blocked_does_not_exist(cli) -> None:
    cli.distribution("acme-bill", COMMAND_ENTRY, acme_bill=COMMAND_MODULE)
    done = cli.apart("bill", HEADRACE_PLUGINS="none")
    assert done.code == 2
    assert "No such command 'bill'" in done.err


def test_a_plugin_cannot_take_the_name_of_a_command(cli) -> None:
    cli.distribution("acme-run", "[headrace.commands]\nrun = acme_run\n", acme_run="raise SystemExit(9)")
    done = cli.apart("run", "--help")
    assert done.code == 0
    assert "FILE[:FLOW]" in done.out


def test_a_broken_command_is_one_error_and_the_others_work(cli) -> None:
    cli.distribution("acme-bill", COMMAND_ENTRY, acme_bill="import not_there_at_all")
    done = cli.apart("bill")
    assert done.code == 2
    assert "The command 'bill' of acme-bill 1.0 could not be loaded" in done.err
    assert "Traceback" not in done.err
    assert cli.apart("plugins", "list").code == 0


def test_what_is_no_click_command_is_said(cli) -> None:
    cli.distribution("acme-bill", COMMAND_ENTRY, acme_bill=COMMAND_MODULE.replace("@click", "#@click"))
    assert "expected a click.Command" in cli.apart("bill").err


def test_an_unexpected_error_is_one_line_without_escape_sequences(cli) -> None:
    cli.distribution("acme-bill", COMMAND_ENTRY, acme_bill=COMMAND_MODULE)
    done = cli.apart("bill", "--fail", "key")
    assert done.code == 1
    assert done.err.splitlines() == [
        "Error: headrace stopped on something it did not expect: KeyError: 'no\\x1b[31m price'",
        "Run it again with --traceback to see where.",
    ]


def test_the_whole_traceback_is_shown_on_request(cli) -> None:
    cli.distribution("acme-bill", COMMAND_ENTRY, acme_bill=COMMAND_MODULE)
    assert "Traceback (most recent call last)" in cli.apart("--traceback", "bill", "--fail", "key").err


def test_malformed_configuration_is_bad_input_and_help_works(cli) -> None:
    (cli.folder / ".headrace").mkdir()
    (cli.folder / ".headrace" / "config.toml").write_text("a = [")
    done = cli.apart("plugins", "list")
    assert done.code == 2
    assert "config.toml" in done.err
    assert "Traceback" not in done.err
    assert cli.apart("--help").code == 0


@pytest.mark.parametrize("command", [["show", "--all"], ["logs"], ["runs", "--json"], ["export"]])
def test_whoever_has_read_enough_of_any_command_hears_no_complaint(cli, command: list[str]) -> None:
    """It ends with 0, so that a script with `pipefail` goes on."""
    cli.here("run", cli.file(TALKATIVE), "--quiet")
    with cli.start(*command, PYTHONUNBUFFERED="1") as process:
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="There is no /dev/full here.")
def test_output_that_cannot_be_written_is_said(cli) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "headrace", "runs", "--json"],
            cwd=cli.folder,
            env=cli.environment(PYTHONUNBUFFERED=""),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "Standard output cannot be written: No space left on device.\n")


@pytest.mark.parametrize("executor", ["local", "processes"])
def test_standard_files_may_be_closed(cli, executor: str) -> None:
    """As a daemon's often are: a file of the history must not get the number of standard output."""
    cli.file(TALKATIVE)
    command = f"{sys.executable} -m headrace run flow.py --executor {executor} <&- >&- 2>&-"
    done = subprocess.run(["sh", "-c", command], cwd=cli.folder, env=cli.environment(), timeout=40, check=False)
    assert done.returncode == 0
    assert cli.here("doctor").code == 0
    assert "line 1" in cli.here("logs").out


@pytest.mark.parametrize(
    "configured", ["", '[cache]\nurl = "file:größer"\n[history]\nstore = "sqlite:größer.db"\n'], ids=["default", "urls"]
)
def test_a_folder_may_have_a_name_that_the_locale_does_not_know(cli, configured: str) -> None:
    folder = cli.folder / "größe"
    (folder / ".headrace").mkdir(parents=True)
    (folder / ".headrace" / "config.toml").write_text(configured, encoding="utf-8")
    cached = TALKATIVE.replace("@task", "@task(cache_for=60)").replace("3000", "2")
    (folder / cli.file(cached)).write_text((cli.folder / "flow.py").read_text())
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for command in (["run", "flow.py", "--quiet"], ["runs"], ["resume"], ["doctor"], ["cache", "ls"]):
        done = subprocess.run(
            [sys.executable, "-m", "headrace", *command],
            cwd=folder,
            env=cli.environment(**plain),
            capture_output=True,
            timeout=20,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
    assert (folder / "größer").exists() == (folder / "größer.db").exists() == bool(configured)
