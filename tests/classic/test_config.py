"""Configuration, section 10.1 of the classic reference."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from headrace import Flow, Task, config, task


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty home folder, which is the current one as well."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    config.reload()
    yield tmp_path
    monkeypatch.undo()
    config.reload()


def configured(home: Path, text: str) -> None:
    """Write the user's file and read the configuration again."""
    (home / ".headrace").mkdir(exist_ok=True)
    (home / ".headrace" / "config.toml").write_text(text)
    config.reload()


# Layers


def test_the_user_file_is_merged_over_the_defaults(home):
    configured(home, '[logging]\nlevel = "DEBUG"\n')
    assert config.logging.level == "DEBUG"
    assert config.logging.datefmt == "%Y-%m-%d %H:%M:%S%z"


def test_a_variable_wins_over_the_user_file(home, monkeypatch):
    monkeypatch.setenv("HEADRACE__LOGGING__LEVEL", "ERROR")
    configured(home, '[logging]\nlevel = "DEBUG"\n')
    assert config.logging.level == "ERROR"


def test_a_variable_names_another_user_file(home, monkeypatch):
    (home / "mine.toml").write_text("[flows]\nrun_on_schedule = false\n")
    monkeypatch.setenv("HEADRACE__USER_CONFIG_PATH", "~/mine.toml")
    config.reload()
    assert config.flows.run_on_schedule is False


def test_names_of_variables_have_double_underscores_and_become_lower_case(monkeypatch):
    monkeypatch.setenv("HEADRACE__TASKS__DEFAULTS__MAX_RETRIES", "3")
    config.reload()
    assert config.tasks.defaults.max_retries == 3


def test_below_the_secrets_names_keep_their_case(monkeypatch):
    monkeypatch.setenv("HEADRACE__CONTEXT__SECRETS__My_Secret", "x")
    config.reload()
    assert list(config.context.secrets) == ["My_Secret"]


# Values


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("False", False), ("5", 5), ("1.5", 1.5), ("[1, 2]", (1, 2)), ("'5'", "5"), ("word", "word")],
)
@pytest.mark.parametrize("where", ["variable", "file"])
def test_texts_become_values_in_variables_and_files_alike(home, monkeypatch, where, text, value):
    if where == "variable":
        monkeypatch.setenv("HEADRACE__MINE__KEY", text)
        config.reload()
    else:
        configured(home, f'[mine]\nkey = "{text}"\n')
    assert config.mine.key == value
    assert type(config.mine.key) is type(value)


def test_variables_of_the_environment_and_the_home_folder_are_filled_in(home, monkeypatch):
    monkeypatch.setenv("STAGE", "test")
    configured(home, '[mine]\none = "$STAGE"\ntwo = "a ${STAGE} b"\nthree = "~/x"\n')
    assert (config.mine.one, config.mine.two, config.mine.three) == ("test", "a test b", f"{home}/x")


def test_a_variable_that_is_not_set_stays_as_it_is_written(home, monkeypatch):
    """A departure: it becomes empty in the classic engine."""
    monkeypatch.delenv("NO_SUCH_THING", raising=False)
    configured(home, '[mine]\nkey = "a $NO_SUCH_THING"\n')
    assert config.mine.key == "a $NO_SUCH_THING"


def test_keys_refer_to_each_other_by_names_that_may_be_made_of_others(home):
    configured(home, '[mine]\nuse = "two"\none.url = "a"\ntwo.url = "b"\nchosen = "${mine.${mine.use}.url}"\n')
    assert config.mine.chosen == "b"


def test_a_reference_that_stands_alone_keeps_the_type(home):
    configured(home, '[mine]\nnumber = 5\ncopy = "${mine.number}"\ntext = "is ${mine.number}"\n')
    assert (config.mine.copy, config.mine.text) == (5, "is 5")


def test_a_reference_to_nothing_is_an_error_that_names_the_nearest(home):
    """A departure: it becomes an empty text in the classic engine."""
    (home / ".headrace").mkdir()
    (home / ".headrace" / "config.toml").write_text('[mine]\nkey = "${logging.levle}"\n')
    with pytest.raises(ValueError, match=r"Did you mean \$\{logging\.level\}"):
        config.reload()


def test_keys_may_be_called_like_methods(home):
    """A departure: the classic engine refuses them."""
    configured(home, '[mine]\nkeys = "x"\nGet = "y"\n')
    assert (config.mine["keys"], config.mine.Get) == ("x", "y")


# Reading and changing


def test_keys_are_attributes_and_items():
    found = config.current()
    assert config.engine.executor == found["engine"]["executor"] == found.get("engine.executor") == "local"


def test_a_temporary_change_names_a_dotted_key_and_ends_with_the_block():
    with config.set_temporary_config({"tasks.defaults.max_retries": 7}):
        assert config.tasks.defaults.max_retries == 7
    assert config.tasks.defaults.max_retries == 0


# Defaults that are the same


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("debug", False),
        ("logging.level", "INFO"),
        ("logging.datefmt", "%Y-%m-%d %H:%M:%S%z"),
        ("logging.extra_loggers", ()),
        ("flows.eager_edge_validation", False),
        ("flows.run_on_schedule", True),
        ("tasks.defaults.max_retries", False),
        ("tasks.defaults.retry_delay", False),
        ("tasks.defaults.timeout", None),
    ],
)
def test_a_default_is_the_classic_one(key, value):
    assert config.get(key) == value


@pytest.mark.parametrize("key", ["backend", "cloud", "server", "home_dir", "flows.checkpointing", "flows.defaults"])
def test_what_belongs_to_a_server_or_was_replaced_has_no_key(key):
    assert config.get(key) is None


# What the keys do


def test_defaults_of_tasks_are_those_of_tasks_that_say_nothing():
    with config.set_temporary_config(
        {"tasks.defaults.max_retries": 2, "tasks.defaults.retry_delay": 30, "tasks.defaults.timeout": 60}
    ):
        plain, own = Task(), Task(max_retries=0)
    assert (plain.max_retries, plain.timeout, own.max_retries) == (2, 60, 0)
    assert plain.retry_delay == timedelta(seconds=30)


def test_eager_edge_validation_notices_a_cycle_when_the_edge_is_added():
    with config.set_temporary_config({"flows.eager_edge_validation": True}), Flow("f") as flow:
        one, two = Task(name="one"), Task(name="two")
        flow.add_edge(one, two)
        with pytest.raises(ValueError, match="cycle"):
            flow.add_edge(two, one)


def test_the_executor_is_chosen_by_name_and_its_options_stand_beside_it():
    """A departure: the classic key holds the path of a class."""
    import threading

    with Flow("f") as flow:
        where = task(lambda: threading.current_thread().name, name="where")()
    with config.set_temporary_config({"engine.executor": "threads", "engine.executors.threads.workers": 1}):
        assert flow.run().result[where].result == "headrace-worker-0"


def test_the_section_for_the_context_fills_the_context(home):
    configured(home, '[context]\nstage = "test"\n')
    from headrace import context

    assert context.stage == "test"
