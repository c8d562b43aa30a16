from __future__ import annotations

import pickle
import traceback

import pytest

from headrace import Engine, Flow, config, context, task
from headrace.abc import SecretProvider
from headrace.exceptions import DefinitionTypeError, PluginNotFoundError, SecretError, SecretNotFoundError
from headrace.hashing import digest
from headrace.masking import MASK, mask
from headrace.plugins import SecretProviderSpec, hookimpl
from headrace.run_context import RunFrame
from headrace.secrets import Secret


class Vault(SecretProvider):
    """Knows what it was given; raises what it was given."""

    def __init__(self, **values: object) -> None:
        self.values = values
        self.asked: list[str] = []

    def find(self, name: str) -> object:
        self.asked.append(name)
        value = self.values.get(name)
        if isinstance(value, Exception):
            raise value
        return value


class ShelfProvider(SecretProvider):
    def __init__(self, shelf: str = "lower") -> None:
        self.shelf = shelf

    def find(self, name: str) -> object:
        return f"{name} of the {self.shelf} shelf"


class VaultPlugin:
    """Offers a provider, and is not installed."""

    @hookimpl
    def headrace_secret_providers(self):
        return [SecretProviderSpec(name="vault", factory=f"{__name__}:ShelfProvider", summary="")]


@task
def look_up():
    return Secret("TOKEN").get()


@pytest.fixture(autouse=True)
def plain_configuration(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config.reload()
    yield
    monkeypatch.undo()
    config.reload()


class TestLookup:
    def test_the_context_is_asked_first(self):
        vault = Vault(PASSWORD="of the vault")
        with context(secrets={"PASSWORD": "of the context"}):
            assert Secret("PASSWORD", providers={"vault": vault}).get() == "of the context"
        assert vault.asked == []

    def test_the_configuration_is_part_of_the_context(self):
        with config.set_temporary_config({"context.secrets.PASSWORD": "configured"}):
            assert Secret("PASSWORD").get() == "configured"
            with context(secrets={"OTHER": "x"}):
                assert Secret("PASSWORD").get() == "configured"

    def test_a_variable_of_the_configuration_holds_a_secret(self, monkeypatch):
        monkeypatch.setenv("HEADRACE__CONTEXT__SECRETS__Pass_word", "$of the variable")
        config.reload()
        assert Secret("Pass_word").get() == "$of the variable"

    def test_a_table_of_the_configuration_is_a_dictionary(self):
        with config.set_temporary_config({"context.secrets.DB": {"user": "u", "password": "hunter22"}}):
            assert Secret("DB").get() == {"user": "u", "password": "hunter22"}
        assert mask("hunter22") == MASK

    def test_providers_are_asked_in_order_until_one_knows(self):
        first, second, third = Vault(), Vault(TOKEN="found it"), Vault(TOKEN="too late")
        secret = Secret("TOKEN", providers={"first": first, "second": second, "third": third})
        assert secret.get() == "found it"
        assert (first.asked, second.asked, third.asked) == (["TOKEN"], ["TOKEN"], [])

    def test_environment_variables_are_asked_by_default(self, monkeypatch):
        monkeypatch.setenv("SOME_TOKEN", "of the environment")
        assert Secret("SOME_TOKEN").get() == "of the environment"

    def test_the_configuration_lists_providers_and_their_options(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SOME_TOKEN", "of the environment")
        (tmp_path / "SOME_TOKEN").write_text("of the folder\n")
        with config.set_temporary_config({"secrets.providers": ["file", "env"], "secrets.file.path": str(tmp_path)}):
            assert Secret("SOME_TOKEN").get() == "of the folder"

    def test_without_providers_only_the_context_is_asked(self, monkeypatch):
        monkeypatch.setenv("SOME_TOKEN", "of the environment")
        with config.set_temporary_config({"secrets.providers": []}), pytest.raises(SecretNotFoundError) as caught:
            Secret("SOME_TOKEN").get()
        assert caught.value.asked == ("context.secrets",)

    def test_a_provider_that_is_not_installed_is_named(self):
        with (
            config.set_temporary_config({"secrets.providers": ["vaultt"]}),
            pytest.raises(PluginNotFoundError, match="vaultt"),
        ):
            Secret("SOME_TOKEN").get()

    def test_exists(self):
        with context(secrets={"PASSWORD": "x", "NOTHING": None}):
            assert Secret("PASSWORD").exists()
            assert Secret("NOTHING").exists()
            assert not Secret("MISSING").exists()


class TestValues:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ('{"user": "u"}', {"user": "u"}),
            ("[1, 2]", [1, 2]),
            ("12", 12),
            ('"quoted"', "quoted"),
            ("null", None),
            ("plain", "plain"),
            ("NaN", "NaN"),
            ("-Infinity", "-Infinity"),
            ("", ""),
            ("[" * 100_000, "[" * 100_000),
            (17, 17),
            (b"bytes", b"bytes"),
        ],
    )
    def test_texts_that_are_json_are_decoded(self, text, value):
        found = Secret("X", providers={"vault": Vault(X=text)}).get()
        assert found == value
        assert type(found) is type(value)

    def test_values_are_masked_once_they_were_found(self):
        Secret("X", providers={"vault": Vault(X='{"token": "tok-en-91"}')}).get()
        assert mask('sent {"token": "tok-en-91"}') == f"sent {MASK}"
        assert mask("sent tok-en-91") == f"sent {MASK}"


class TestTheNameOnly:
    def test_nothing_shows_a_value(self):
        with context(secrets={"PASSWORD": "hunter-of-two"}):
            secret = Secret("PASSWORD")
            secret.get()
            shown = f"{secret} {secret!r} {secret!s:>40} {[secret]} {pickle.dumps(secret)!r}"
        assert "Secret('PASSWORD')" in shown
        assert "hunter" not in shown

    def test_two_of_one_name_are_equal(self):
        assert Secret("A") == Secret("A") != Secret("B")
        assert len({Secret("A"), Secret("A"), Secret("B")}) == 2
        assert pickle.loads(pickle.dumps(Secret("A"))) == Secret("A")
        assert digest(Secret("A")) == digest(Secret("A")) != digest(Secret("B"))

    @pytest.mark.parametrize("name", ["", "  "])
    def test_a_blank_name_is_refused(self, name):
        with pytest.raises(ValueError, match="needs a name"):
            Secret(name)

    def test_a_name_is_a_text(self):
        with pytest.raises(DefinitionTypeError, match="bytes"):
            Secret(b"A")  # type: ignore[arg-type]


class TestErrors:
    def test_missing_lists_who_was_asked(self):
        secret = Secret("MISSING", providers={"one": Vault(), "two": Vault()})
        with pytest.raises(ValueError, match=r"no secret 'MISSING'. Asked: context.secrets, one, two.") as caught:
            secret.get()
        assert isinstance(caught.value, LookupError)
        assert "HEADRACE__CONTEXT__SECRETS__MISSING" in str(caught.value)

    def test_asking_while_a_flow_is_built_is_refused(self):
        with context(secrets={"PASSWORD": "x"}), Flow("f"):
            for ask in (Secret("PASSWORD").get, Secret("PASSWORD").exists):
                with pytest.raises(ValueError, match="while a flow is being built"):
                    ask()

    def test_a_provider_that_fails_is_named_and_its_words_are_not_repeated(self):
        broken, after = Vault(X=RuntimeError("the value is hunter-of-two")), Vault(X="y")
        with pytest.raises(
            SecretError, match="provider 'broken' could not be asked for secret 'X': RuntimeError"
        ) as caught:
            Secret("X", providers={"broken": broken, "after": after}).get()
        assert "hunter" not in str(caught.value)
        assert after.asked == []

    def test_no_message_and_no_traceback_holds_another_value(self):
        with context(secrets={"OTHER": "hunter-of-two"}), pytest.raises(SecretNotFoundError) as caught:
            Secret("MISSING", providers={}).get()
        assert "hunter" not in "".join(traceback.format_exception(caught.value))


class TestInARun:
    """A plugin given to an engine, which is not installed, offers a provider."""

    @pytest.fixture
    def engine(self):
        settings = {**config.current().to_dict(), "secrets": {"providers": ["vault"], "vault": {"shelf": "upper"}}}
        return Engine(plugins=[VaultPlugin()], config=settings)

    @pytest.mark.parametrize("executor", ["local", "threads"])
    def test_the_plugins_and_the_configuration_of_the_engine_that_drives_the_run_count(self, engine, executor):
        with Flow("f") as flow:
            found = look_up()
        state = flow.run(engine=engine, executor=executor)
        assert state.result[found].result == "TOKEN of the upper shelf"

    def test_coroutines_ask_the_same_engine(self, engine):
        @task
        async def look_up_later():
            return Secret("TOKEN").get()

        with Flow("f") as flow:
            found = look_up_later()
        assert flow.run(engine=engine).result[found].result == "TOKEN of the upper shelf"

    def test_state_handlers_ask_the_same_engine(self, engine):
        told = []
        with Flow("f", state_handlers=[lambda flow, old, new: told.append(Secret("TOKEN").exists())]) as flow:
            look_up()
        flow.run(engine=engine)
        assert told == [True, True]

    def test_a_flow_inside_asks_the_engine_around_it(self, engine):
        with Flow("inner") as inner:
            look_up()
        with Flow("outer") as outer:
            found = inner()
        assert outer.run(engine=engine).result[found].result == "TOKEN of the upper shelf"

    def test_a_flow_inside_with_an_engine_of_its_own_asks_that(self, engine):
        with Flow("inner") as inner:
            look_up()
        own = {**config.current().to_dict(), "secrets": {"providers": []}}

        @task
        def run_it():
            return inner.run(engine=Engine(config=own)).is_failed()

        with Flow("outer") as outer:
            failed = run_it()
        assert outer.run(engine=engine).result[failed].result is True

    def test_secrets_that_were_configured_for_the_run_reach_its_threads(self):
        with Flow("f") as flow:
            found = look_up()
        with config.set_temporary_config({"context.secrets.TOKEN": "for this run"}):
            assert flow.run(executor="threads").result[found].result == "for this run"

    def test_what_travels_to_another_process_leaves_the_engine_behind(self, engine):
        frame = RunFrame({"flow_name": "f"}, None, 5.0, engine)
        again = pickle.loads(pickle.dumps(frame))
        assert (again.engine, again.values, again.began) == (None, {"flow_name": "f"}, 5.0)


def test_a_task_looks_a_secret_up_where_it_runs():
    @task
    def use(secret):
        return len(secret.get())

    with Flow("f") as flow:
        length = use(Secret("PASSWORD"))
    state = flow.run(context={"secrets": {"PASSWORD": "correct horse"}})
    assert state.result[length].result == 13
