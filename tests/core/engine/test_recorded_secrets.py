"""What is configured as a secret is not in the history, whether or not a task has asked for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import Engine, Flow, Parameter, config, task
from headrace.engine.recorded_runs import open_history

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
