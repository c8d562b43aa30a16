"""``headrace config``, ``visualize``, ``diagnostics`` and ``completion``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

FLOW = """
    open("ran", "w").close()

    @task
    def load(path): ...

    @task
    def report(rows): ...

    with Flow("daily") as flow:
        report(load(Parameter("path", default="here")))
"""


def configured(cli, text: str) -> None:
    (cli.folder / ".headrace").mkdir()
    (cli.folder / ".headrace" / "config.toml").write_text(text)


def shown(cli, **variables: str) -> dict[str, dict[str, object]]:
    done = cli.apart("config", "show", "--json", **variables)
    return {row["key"]: row for row in json.loads(done.out)}


# config


def test_each_key_is_shown_with_its_source(cli) -> None:
    configured(cli, '[engine]\nexecutor = "threads"\n')
    found = shown(cli, HEADRACE__LOGGING__LEVEL="DEBUG")
    assert found["engine.executor"]["value"] == "threads"
    assert str(found["engine.executor"]["source"]).endswith("config.toml")
    assert (found["logging.level"]["value"], found["logging.level"]["source"]) == ("DEBUG", "HEADRACE__LOGGING__LEVEL")
    assert found["debug"] == {"key": "debug", "value": False, "source": "default", "known": True}


def test_secrets_are_masked(cli) -> None:
    configured(cli, '[context.secrets]\ntoken = "s3cr3t"\n')
    done = cli.apart("config", "show")
    assert "context.secrets.token" in done.out
    assert "s3cr3t" not in done.out


def test_unknown_keys_are_marked(cli) -> None:
    configured(cli, '[engine]\nexecuter = "threads"\n')
    done = cli.apart("config", "show")
    assert "engine.executer (unknown)" in done.out
    assert "misspelled" in done.err
    assert done.code == 0


def test_wrong_configuration_is_bad_input(cli) -> None:
    configured(cli, "[engine]\nexecutor = 3\n")
    done = cli.apart("config", "show")
    assert done.code == 2
    assert "engine.executor" in done.err


# visualize


def test_a_flow_is_drawn_as_a_tree(cli) -> None:
    done = cli.here("visualize", cli.file(FLOW))
    assert done.code == 0
    assert done.out.startswith("daily\n")
    assert "report" in done.out


def test_a_flow_is_drawn_for_mermaid(cli) -> None:
    assert "flowchart TD" in cli.here("visualize", cli.file(FLOW), "--format", "mermaid").out


@pytest.mark.parametrize(
    ("name", "beginning"), [("flow.svg", "<svg"), ("flow.mmd", "---"), ("flow.dot", "digraph"), ("flow.txt", "daily")]
)
def test_the_name_of_a_file_says_the_format(cli, name: str, beginning: str) -> None:
    done = cli.here("visualize", cli.file(FLOW), "-o", name)
    assert (done.code, done.out) == (0, "")
    assert beginning in Path(name).read_text(encoding="utf-8")[:100]


def test_other_formats_go_to_a_file(cli) -> None:
    done = cli.here("visualize", cli.file(FLOW), "--format", "mermeid")
    assert done.code == 2
    assert "add -o FILE. Did you mean 'mermaid'?" in done.err


def test_other_formats_need_graphviz(cli) -> None:
    done = cli.apart("visualize", cli.file(FLOW), "-o", "flow.png", PATH="")
    assert done.code != 0
    assert "Graphviz" in done.err
    assert not (cli.folder / "flow.png").exists()


def test_a_file_that_cannot_be_written_is_one_error(cli) -> None:
    done = cli.here("visualize", cli.file(FLOW), "-o", "nowhere/flow.svg")
    assert done.code == 1
    assert "No such file or directory" in done.err


# diagnostics


def diagnosed(cli, *arguments: str, **variables: str) -> dict[str, object]:
    done = cli.apart("diagnostics", *arguments, **variables)
    assert done.code == 0
    found: dict[str, object] = json.loads(done.out)
    return found


def test_diagnostics_without_a_flow_are_about_the_installation(cli) -> None:
    found = diagnosed(cli)
    assert found["headrace"]
    assert "flow" not in found


def test_diagnostics_of_a_file_tell_about_its_flow(cli) -> None:
    flow = diagnosed(cli, cli.file(FLOW))["flow"]
    assert isinstance(flow, dict)
    assert (flow["name"], flow["task_count"]) == ("daily", 3)


def test_diagnostics_name_secrets_only_on_request(cli) -> None:
    secret = {"HEADRACE__CONTEXT__SECRETS__BANK": "1234"}
    done = cli.apart("diagnostics", **secret)
    assert "BANK" not in done.out
    assert "HEADRACE__CONTEXT__SECRETS__BANK" in str(diagnosed(cli, "--include-secret-names", **secret)["environment"])


def test_diagnostics_of_a_file_that_is_not_there_end_with_2(cli) -> None:
    done = cli.here("diagnostics", "no.py")
    assert done.code == 2
    assert "There is no file 'no.py'." in done.err


# completion


def completed(cli, *words: str) -> list[str]:
    done = cli.apart(
        _HEADRACE_COMPLETE="bash_complete", COMP_WORDS=" ".join(["headrace", *words]), COMP_CWORD=str(len(words))
    )
    return [line.partition(",")[2] for line in done.out.splitlines() if line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_a_script(cli, shell: str) -> None:
    done = cli.here("completion", shell)
    assert done.code == 0
    assert "_HEADRACE_COMPLETE" in done.out


def test_commands_are_completed_without_importing_plugins(cli) -> None:
    cli.distribution("acme", "[headrace.commands]\nplan = acme_plan\n", acme_plan="raise SystemExit(9)")
    assert completed(cli, "pl") == ["plugins", "plan"]


def test_executors_are_completed(cli) -> None:
    assert completed(cli, "run", "flow.py", "--executor", "thr") == ["threads"]


def test_plugins_are_completed_with_and_without_their_kind(cli) -> None:
    assert completed(cli, "plugins", "info", "thr") == ["threads"]
    assert completed(cli, "plugins", "info", "executor:thr") == ["executor:threads"]


def test_parameters_are_completed_without_running_the_file(cli) -> None:
    file = cli.file(FLOW)
    assert completed(cli, "run", file, "-p", "pa") == ["path="]
    assert completed(cli, "run", file, "-p", "path=x") == []
    assert not (cli.folder / "ran").exists()


def test_a_file_that_is_not_python_completes_to_nothing(cli) -> None:
    cli.file("x = (")
    assert completed(cli, "run", "flow.py", "-p", "p") == []
