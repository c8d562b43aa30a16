"""What is configured as a secret is not in the history, whether or not a task has asked for it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from headrace import Engine, Flow, Parameter, config, context, task
from headrace.engine.recorded_runs import open_history
from headrace.exceptions import HistoryError
from headrace.plugins import FlowRunInfo, hookimpl

CANARY = "canary-0123456789"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_parameter_that_is_a_configured_secret_is_not_kept(folder: Path) -> None:
    @task
    def use(value: str) -> int:
        return len(value)

    with Flow("telling") as flow:
        use(Parameter("value"))
    with config.set_temporary_config({"context.secrets": {"TOKEN": CANARY}}):
        assert flow.run(value=f"https://user:{CANARY}@example.org", record=True).is_successful()
    files = [path for path in (folder / ".headrace").rglob("*") if path.is_file()]
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    with Engine() as engine, open_history(True, engine) as store:
        assert store.run("latest").state == "Success"


def tell() -> list[str]:
    return [CANARY, "and more"]


def pass_on(value: object) -> object:
    return value


def use(value: object) -> object:
    print("printed", value)
    context.logger.warning("logged %s", value)
    if value == CANARY:
        raise ValueError(f"raised {value}")
    return value


def forget(value: object) -> None:
    """Return nothing."""


def check(state: object, inputs: object, parameters: object) -> bool:
    return False


@pytest.mark.parametrize("executor", ["local", "threads", "processes"])
def test_a_secret_parameter_is_nowhere(
    folder: Path, executor: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with Flow("telling") as flow:
        value = task(pass_on, cache_for=60, cache_validator=check)("plain", upstream_tasks=[Parameter("other", "kept")])
        task(use)(Parameter("value", secret=True), upstream_tasks=[value])
        task(forget)(Parameter("number", type=int, secret=True))
    state = flow.run(value=CANARY, number=918273, record=True, executor=executor)
    assert state.is_failed()
    files = [path for path in (folder / ".headrace").rglob("*") if path.is_file()]
    held = [path.read_bytes() for path in files]
    assert any(b"kept" in data for data in held)
    assert [data for data in held if CANARY.encode() in data or pickle.dumps(918273)[-5:-1] in data] == []
    assert CANARY not in caplog.text
    assert "logged ********" in caplog.text
    with Engine() as engine, open_history(True, engine) as store:
        run = store.run("latest")
        assert run.details["parameters_not_kept"] == {"value": "it is a secret", "number": "it is a secret"}
        texts = [record.text for record in store.logs(run.id)]
    assert "printed ********" in texts


def test_a_secret_parameter_is_given_again(folder: Path) -> None:
    with Flow("telling") as flow:
        result = task(pass_on)(Parameter("value", secret=True))
    flow.run(value=CANARY, record=True)
    with pytest.raises(HistoryError, match=r"'value' of run .* was not kept: it is a secret.*-p value=VALUE"):
        flow.resume()
    assert flow.resume(parameters={"value": CANARY}, again=["pass_on"]).result[result].result == CANARY


def test_whoever_watches_is_not_told_a_secret_parameter() -> None:
    class Watcher:
        @hookimpl
        def headrace_flow_state_changed(self, run: FlowRunInfo) -> None:
            told.append(run.parameters)

    told: list[object] = []
    with Flow("telling") as flow:
        task(pass_on)(Parameter("value", secret=True))
        Parameter("other", default=1)()
    with Engine(plugins=[Watcher()]) as engine:
        assert flow.run(value=CANARY, engine=engine).is_successful()
    assert told[0] == {"value": "********", "other": 1}


@pytest.mark.parametrize("executor", ["local", "threads", "processes"])
def test_a_result_with_a_secret_parameter_is_not_kept(folder: Path, executor: str) -> None:
    with Flow("telling") as flow:
        task(pass_on)(task(pass_on)(Parameter("value", secret=True)))
    assert flow.run(value=CANARY, record=True, executor=executor).is_successful()
    files = [path for path in (folder / ".headrace").rglob("*") if path.is_file()]
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("executor", ["local", "threads", "processes"])
def test_a_result_with_a_configured_secret_is_not_kept_whoever_asked_for_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, executor: str
) -> None:
    monkeypatch.setenv("HEADRACE__CONTEXT__SECRETS__TOKEN", CANARY)
    with Flow("telling") as flow:
        task(pass_on)(task(pass_on)(task(tell)()))
    with config.set_temporary_config({"context.secrets": {"TOKEN": CANARY}}):
        assert flow.run(record=True, executor=executor).is_successful()
    files = [path for path in (folder / ".headrace").rglob("*") if path.is_file()]
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
