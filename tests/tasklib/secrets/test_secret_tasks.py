from __future__ import annotations

import json

import pytest

from headrace import Flow, context, task
from headrace.exceptions import DefinitionTypeError, SecretNotFoundError, TaskDefinitionError
from headrace.masking import MASK, mask
from headrace.states import Success
from headrace.tasks import Task
from headrace_tasklib.secrets import EnvVarSecret, NamedSecret, SecretBase


@task
def length(text):
    return len(text)


def result_of(made: Task, **options):
    with Flow("f") as flow:
        secret = made()
    state = flow.run(**options)
    return state.result[secret]


class TestSecretBase:
    @pytest.mark.parametrize(
        "options",
        [{"result": "memory:"}, {"target": "x"}, {"checkpoint": True}, {"cache_for": 1}, {"serializer": "json"}],
        ids=str,
    )
    @pytest.mark.parametrize("kind", [SecretBase, NamedSecret, EnvVarSecret])
    def test_what_would_store_the_value_is_refused(self, kind, options):
        with pytest.raises(ValueError, match=f"does not take `{next(iter(options))}`"):
            kind(**options)
        with pytest.raises(TaskDefinitionError):
            kind().copy(**options)

    def test_the_result_is_not_stored(self, tmp_path):
        with Flow("f", results=f"file:{tmp_path}") as flow:
            counted = length(NamedSecret("PASSWORD")())
        state = flow.run(context={"secrets": {"PASSWORD": "correct horse"}})
        assert state.result[counted].result == 13
        stored = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(stored) == 1
        assert not any(b"horse" in path.read_bytes() for path in stored)

    def test_other_options_are_those_of_every_task(self):
        made = NamedSecret("A", tags=["x"], max_retries=1, retry_delay=0)
        assert (made.name, made.tags, made.max_retries, made.checkpoint) == ("A", {"x"}, 1, False)


class TestNamedSecret:
    def test_it_takes_the_value_from_the_context(self):
        state = result_of(NamedSecret("A"), context={"secrets": {"A": '{"x": 1}'}})
        assert state.result == {"x": 1}

    def test_the_name_may_come_from_upstream(self):
        @task
        def name():
            return "A"

        with Flow("f") as flow:
            secret = NamedSecret()(name=name())
        assert flow.run(context={"secrets": {"A": "value of A"}}).result[secret].result == "value of A"

    def test_missing_fails_with_those_that_were_asked(self):
        state = result_of(NamedSecret("MISSING_SECRET"))
        assert state.is_failed()
        assert isinstance(state.result, SecretNotFoundError)

    def test_run_works_without_a_flow(self):
        with context(secrets={"A": "value of A"}):
            assert NamedSecret("A").run() == "value of A"
            assert NamedSecret().run("A") == "value of A"

    def test_without_a_name_it_says_what_is_missing(self):
        with pytest.raises(DefinitionTypeError, match="NamedSecret needs `name`"):
            NamedSecret().run()


class TestEnvVarSecret:
    def test_it_returns_the_text_and_masks_it(self, monkeypatch):
        monkeypatch.setenv("SOME_PIN", "004711")
        assert EnvVarSecret("SOME_PIN").run() == "004711"
        assert mask("pin 004711") == f"pin {MASK}"

    def test_cast_makes_something_else_of_it(self, monkeypatch):
        monkeypatch.setenv("SOME_PIN", '{"a": 1}')
        assert EnvVarSecret("SOME_PIN", cast=json.loads).run() == {"a": 1}

    def test_a_missing_variable_is_none_unless_asked_otherwise(self, monkeypatch):
        monkeypatch.delenv("SOME_PIN", raising=False)
        assert EnvVarSecret("SOME_PIN", cast=int).run() is None
        with pytest.raises(ValueError, match="Set the variable SOME_PIN"):
            EnvVarSecret("SOME_PIN", raise_if_missing=True).run()

    def test_cast_has_to_be_callable(self):
        with pytest.raises(DefinitionTypeError, match="cast"):
            EnvVarSecret("A", cast="int")  # type: ignore[arg-type]


def test_a_run_that_takes_states_over_looks_the_secret_up_anew() -> None:
    with Flow("f") as flow:
        secret = NamedSecret("TOKEN")()
    earlier = {secret: Success(result="an old token")}
    state = flow.run(task_states=earlier, context={"secrets": {"TOKEN": "a new token"}})
    assert state.result[secret].result == "a new token"
