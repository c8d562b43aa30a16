"""Secrets, section 7.6 of the classic reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import Flow, Secret, config, context, task
from headrace_tasklib.secrets import EnvVarSecret, NamedSecret, SecretBase


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty home folder, which is the current one as well."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config.reload()
    yield tmp_path
    monkeypatch.undo()
    config.reload()


@task
def reveal(name):
    return Secret(name).get()


# Secret


def test_a_secret_is_looked_up_in_the_context():
    with context(secrets={"MY_KEY": "42 is the answer"}):
        assert Secret("MY_KEY").get() == "42 is the answer"
        assert Secret("MY_KEY").exists()


def test_the_user_file_holds_secrets(home):
    (home / ".headrace").mkdir()
    (home / ".headrace" / "config.toml").write_text('[context.secrets]\nMY_KEY = "of the file"\n')
    config.reload()
    assert Secret("MY_KEY").get() == "of the file"


def test_a_variable_holds_a_secret_whose_name_keeps_its_case(monkeypatch):
    monkeypatch.setenv("HEADRACE__CONTEXT__SECRETS__My_Key", "of the variable")
    config.reload()
    assert Secret("My_Key").get() == "of the variable"
    assert not Secret("my_key").exists()


def test_a_run_can_be_given_secrets():
    with Flow("f") as flow:
        found = reveal("MY_KEY")
    state = flow.run(context={"secrets": {"MY_KEY": "of the run"}})
    assert state.result[found].result == "of the run"


@pytest.mark.parametrize(
    ("stored", "value"),
    [('{"x": 42}', {"x": 42}), ("true", True), ("[1, 2]", [1, 2]), ("hello", "hello"), (123456, 123456), (None, None)],
)
def test_texts_that_are_json_are_decoded_and_other_values_pass_through(stored, value):
    with context(secrets={"MY_KEY": stored}):
        assert Secret("MY_KEY").get() == value


def test_a_secret_that_nobody_has_is_a_value_error():
    with pytest.raises(ValueError, match="There is no secret 'MY_KEY'"):
        Secret("MY_KEY").get()


def test_exists_asks_without_raising():
    assert not Secret("MY_KEY").exists()


def test_asking_while_a_flow_is_being_built_is_a_value_error():
    with context(secrets={"MY_KEY": "x"}), Flow("f"), pytest.raises(ValueError, match="while a flow is being built"):
        Secret("MY_KEY").get()


def test_a_missing_secret_fails_the_task_that_asks():
    with Flow("f") as flow:
        found = reveal("MY_KEY")
    assert isinstance(flow.run().result[found].result, ValueError)


# Departures


def test_values_do_not_show_in_log_lines_and_errors(caplog):
    @task
    def leak():
        value = Secret("MY_KEY").get()
        context.logger.warning("connecting with %s", value)
        raise RuntimeError(f"refused {value}")

    with Flow("f") as flow:
        leaked = leak()
    state = flow.run(context={"secrets": {"MY_KEY": "sesame-open-9"}})
    assert "sesame-open-9" not in caplog.text + str(state.result[leaked].message)
    assert "connecting with ********" in caplog.text


def test_a_provider_finds_what_the_context_does_not_have(home, monkeypatch):
    (home / "MY_KEY").write_text("of the provider")
    with config.set_temporary_config({"secrets.providers": ["file"], "secrets.file.path": str(home)}):
        assert Secret("MY_KEY").get() == "of the provider"


# Secret tasks


def test_a_named_secret_is_a_task_whose_result_is_the_value():
    """In the place of PrefectSecret."""
    with Flow("f") as flow:
        secret = NamedSecret("MY_KEY")()
    state = flow.run(context={"secrets": {"MY_KEY": "the value"}})
    assert state.result[secret].result == "the value"


def test_a_variable_that_is_not_set_is_none_or_on_request_an_error(monkeypatch):
    monkeypatch.delenv("MY_VARIABLE", raising=False)
    with Flow("f") as flow:
        quiet, loud = EnvVarSecret("MY_VARIABLE")(), EnvVarSecret("MY_VARIABLE", raise_if_missing=True)()
    state = flow.run()
    assert state.result[quiet].result is None
    assert isinstance(state.result[loud].result, ValueError)


def test_a_variable_is_cast(monkeypatch):
    monkeypatch.setenv("MY_VARIABLE", "1234")
    assert EnvVarSecret("MY_VARIABLE", cast=int).run() == 1234


def test_a_secret_task_takes_no_result_and_is_never_checkpointed():
    assert SecretBase().checkpoint is False
    with pytest.raises(ValueError, match="`result`"):
        SecretBase(result="file:results")


def test_the_value_of_a_secret_task_is_not_stored_with_the_results_of_the_flow(home):
    with Flow("f", results="file:kept") as flow:
        NamedSecret("MY_KEY")()
    flow.run(context={"secrets": {"MY_KEY": "the value"}})
    assert not (home / "kept").exists()


def test_a_secret_task_of_ones_own_is_a_task_with_run():
    class Own(SecretBase):
        def run(self):
            return "made up"

    with Flow("f") as flow:
        secret = Own()()
    assert flow.run().result[secret].result == "made up"
