from __future__ import annotations

import asyncio
import copy
import datetime
import json
import math
import os
import pickle
import stat
import subprocess
import sys
import threading
import tomllib
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import config
from headrace.config import Config
from headrace.config._defaults import defaults
from headrace.config._kinds import _KINDS, kind_of
from headrace.config._layers import overlay
from headrace.exceptions import ConfigError


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def project(home: Path) -> Path:
    path = home / "project"
    path.mkdir()
    return path


def put(folder: Path, text: str) -> Path:
    path = folder / ".headrace" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def load(home: Path, cwd: Path | None = None, **variables: str) -> Config:
    """Load with nothing of the test's own environment, and with shorter names of variables."""
    environ = {"HOME": str(home), **{f"HEADRACE__{name}": text for name, text in variables.items()}}
    return config.load(environ, cwd=cwd or home)


class TestDefaults:
    def test_without_files_and_variables_the_defaults_hold(self, home):
        assert load(home).to_dict() == {
            "debug": False,
            "logging": {
                "level": "INFO",
                "format": "%(asctime)s %(levelname)-8s %(name)s: %(message)s",
                "datefmt": "%Y-%m-%d %H:%M:%S%z",
                "extra_loggers": [],
            },
            "flows": {"eager_edge_validation": False, "run_on_schedule": True},
            "tasks": {"defaults": {"max_retries": 0, "retry_delay": 0}},
            "engine": {
                "executor": "local",
                "executors": {},
                "keep_results": "auto",
                "kept_result_bytes": 1048576,
                "kept_total_bytes": 16777216,
                "cancel_grace": 10.0,
            },
            "history": {
                "record": False,
                "store": "sqlite:",
                "keep_days": 0,
                "keep_runs": 0,
                "max_mb": 0,
                "log_bytes_per_task": 1048576,
                "log_bytes_per_run": 67108864,
            },
            "results": {"store": "", "location": "", "serializer": "pickle"},
            "cache": {"url": "", "max_bytes": 0, "max_age": 0},
            "notify": {"urls": []},
            "secrets": {"providers": ["env"]},
            "plugins": {"allow": [], "disabled": [], "strict": False, "prefer": {}, "modules": []},
            "context": {"secrets": {}},
        }

    def test_every_default_fits_its_kind_and_every_kind_but_timeout_has_a_default(self, home):
        flat = {tuple(key.split(".")): load(home).get(key) for key in load(home).sources()}
        for path, value in flat.items():
            kind = kind_of(path)
            assert kind is not None, path
            assert kind.accepts(value), path
        tables = {("engine", "executors"), ("plugins", "prefer"), ("context", "secrets")}
        assert set(_KINDS) - set(flat) - tables == {("tasks", "defaults", "timeout")}

    def test_every_source_is_default(self, home):
        assert set(load(home).sources().values()) == {"default"}


class TestLayers:
    def test_a_file_is_merged_into_the_defaults_key_by_key(self, home):
        put(home, '[logging]\nlevel = "DEBUG"\n')
        loaded = load(home)
        assert loaded.logging.level == "DEBUG"
        assert loaded.logging.datefmt == "%Y-%m-%d %H:%M:%S%z"

    def test_project_wins_over_user_and_a_variable_over_both(self, home, project):
        user = put(home, "[tasks.defaults]\nmax_retries = 1\nretry_delay = 1\ntimeout = 1\n")
        file = put(project, "[tasks.defaults]\nmax_retries = 2\nretry_delay = 2\n")
        loaded = load(home, project, TASKS__DEFAULTS__MAX_RETRIES="3")
        assert loaded.tasks.defaults == {"max_retries": 3, "retry_delay": 2, "timeout": 1}
        sources = loaded.sources()
        assert sources["tasks.defaults.max_retries"] == "HEADRACE__TASKS__DEFAULTS__MAX_RETRIES"
        assert sources["tasks.defaults.retry_delay"] == str(file)
        assert sources["tasks.defaults.timeout"] == str(user)
        assert sources["debug"] == "default"

    def test_the_project_file_is_found_from_a_folder_below(self, home, project):
        put(project, "debug = true\n")
        below = project / "a" / "b"
        below.mkdir(parents=True)
        assert load(home, below).debug is True

    def test_the_nearest_project_file_is_the_only_one(self, home, project):
        put(project, "[mine]\nouter = 1\n")
        inner = project / "inner"
        inner.mkdir()
        put(inner, "[mine]\ninner = 1\n")
        assert load(home, inner).mine == {"inner": 1}

    def test_the_project_file_is_found_outside_of_home(self, home, tmp_path):
        put(tmp_path, "debug = true\n")
        assert load(home, home).debug is True

    def test_the_file_in_home_counts_as_the_users_only(self, home, project, tmp_path):
        put(home, "[mine]\na = 1\n")
        other = tmp_path / "other.toml"
        other.write_text("[mine]\nb = 1\n")
        assert load(home, project, USER_CONFIG_PATH=str(other)).mine == {"b": 1}

    def test_a_user_file_that_is_the_project_file_counts_once(self, home, project):
        file = put(project, "debug = true\n")
        loaded = load(home, project, USER_CONFIG_PATH=str(file))
        assert loaded.sources()["debug"] == str(file)

    @pytest.mark.parametrize("text", ["~/mine.toml", "../mine.toml"])
    def test_the_variable_for_the_user_file_takes_home_and_relative_paths(self, home, project, text):
        (home / "mine.toml").write_text("debug = true\n")
        loaded = load(home, project, USER_CONFIG_PATH=text)
        assert loaded.debug is True
        assert "user_config_path" not in loaded

    def test_an_empty_variable_for_the_user_file_is_as_good_as_none(self, home):
        put(home, "debug = true\n")
        assert load(home, USER_CONFIG_PATH="").debug is True

    def test_an_explicit_user_file_wins_over_the_variable(self, home, tmp_path):
        file = tmp_path / "explicit.toml"
        file.write_text("debug = true\n")
        environ = {"HOME": str(home), "HEADRACE__USER_CONFIG_PATH": "/does/not/exist"}
        assert config.load(environ, file, home).debug is True

    def test_arguments_are_left_as_they_were(self, home):
        environ = {"HOME": str(home), "HEADRACE__USER_CONFIG_PATH": "", "HEADRACE__DEBUG": "true"}
        before = dict(environ)
        config.load(environ, cwd=home)
        assert environ == before

    def test_an_empty_table_takes_nothing_away(self, home):
        put(home, "[engine.executors.threads]\nworkers = 2\n")
        put(home / "..", "[engine.executors]\n[engine.executors.dask]\n[logging]\n")
        loaded = load(home)
        assert loaded.engine.executors == {"threads": {"workers": 2}, "dask": {}}
        assert loaded.logging.level == "INFO"

    def test_a_value_and_a_table_replace_each_other_where_headrace_has_no_say(self, home, project):
        put(home, "[mine]\na = 1\n[mine.b]\nx = 1\n")
        put(project, "[mine]\nb = 2\n[mine.a]\ny = 1\n")
        assert load(home, project).mine == {"a": {"y": 1}, "b": 2}

    def test_a_removed_current_directory_has_no_project(self, home, tmp_path):
        script = "import os, sys; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); from headrace import config; "
        script += "print(config.debug)"
        gone = tmp_path / "gone"
        gone.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", script, str(gone)],
            env={**os.environ, "HOME": str(home)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout == "False\n"


class TestVariables:
    def test_names_are_lower_cased(self, home):
        loaded = load(home, Engine__EXECUTORS__Threads__WORKERS="8")
        assert loaded.engine.executors.threads.workers == 8

    def test_single_underscores_are_not_configuration(self, home):
        environ = {"HOME": str(home), "HEADRACE_PLUGINS": "x", "HEADRACE_DEBUG": "true", "XHEADRACE__DEBUG": "true"}
        assert config.load(environ, cwd=home).to_dict() == config.load({"HOME": str(home)}, cwd=home).to_dict()

    def test_secrets_keep_their_name_and_their_text(self, home):
        secrets = load(
            home,
            CONTEXT__SECRETS__Db_Password="pa$HOME${no.such}~1e5",
            CONTEXT__SECRETS__API__KEY="007",
            CONTEXT__SECRETS__PIN="1234",
        ).context.secrets
        assert secrets == {"Db_Password": "pa$HOME${no.such}~1e5", "API__KEY": "007", "PIN": "1234"}

    @pytest.mark.parametrize("name", ["", "__X", "A____B", "A__", "CONTEXT__SECRETS__"])
    def test_a_name_without_a_key_is_named_in_the_error(self, home, name):
        with pytest.raises(ConfigError, match=f"HEADRACE__{name} does not name"):
            config.load({"HOME": str(home), f"HEADRACE__{name}": "1"}, cwd=home)

    def test_two_variables_that_contradict_each_other_are_both_named(self, home):
        with pytest.raises(ConfigError, match="HEADRACE__MINE and HEADRACE__MINE__A set"):
            load(home, MINE="1", MINE__A="2")
        with pytest.raises(ConfigError, match="HEADRACE__MINE and HEADRACE__Mine set"):
            load(home, MINE="1", Mine="2")

    def test_a_variable_cannot_replace_a_section(self, home):
        with pytest.raises(ConfigError, match="logging in HEADRACE__LOGGING is 'DEBUG'; expected a table") as caught:
            load(home, LOGGING="DEBUG")
        assert "HEADRACE__LOGGING__KEY" in str(caught.value)


class TestTyping:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("true", True),
            ("TRUE", True),
            ("False", False),
            ("5", 5),
            ("-5", -5),
            ("1_000", 1000),
            ("2.5", 2.5),
            ("[1, 'a']", (1, "a")),
            ("(1, 2)", (1, 2)),
            ("{'a': {'b': 1}}", {"a": {"b": 1}}),
            ("{1, 2}", {1, 2}),
            ("{1: 2}", {1: 2}),
            ("'5'", "5"),
            ('"true"', "true"),
            ("None", None),
            ("none", "none"),
            ("", ""),
            ("plain", "plain"),
            ("two words", "two words"),
            ("007", "007"),
            ("1if", "1if"),
            ("[1,", "[1,"),
            ("...", "..."),
            ("f'{1}'", "f'{1}'"),
            ("__import__('os')", "__import__('os')"),
            ("(" * 5000, "(" * 5000),
            ("9" * 5000, "9" * 5000),
            (r"'\d'", r"\d"),
            ("2026-01-01", "2026-01-01"),
            ("file:/tmp/x", "file:/tmp/x"),
        ],
    )
    def test_text_becomes_a_value_alike_from_a_variable_and_from_a_toml_string(self, home, text, value):
        put(home, f"[mine]\nfile = {json.dumps(text)}\n")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loaded = load(home, MINE__VARIABLE=text)
        for found in (loaded.mine.variable, loaded.mine.file):
            assert found == value
            assert type(found) is type(value) or isinstance(found, Config | frozenset)

    def test_toml_values_keep_their_types(self, home):
        put(home, "[mine]\nday = 2026-01-02\nlist = ['5', 5, [true]]\n")
        assert load(home).mine == {"day": datetime.date(2026, 1, 2), "list": ("5", 5, (True,))}

    def test_a_key_that_holds_a_string_keeps_text_that_looks_like_something_else(self, home):
        loaded = load(home, RESULTS__STORE="123", ENGINE__KEEP_RESULTS="true", LOGGING__FORMAT="'%(message)s'")
        assert loaded.results.store == "123"
        assert loaded.engine.keep_results == "true"
        assert loaded.logging.format == "%(message)s"

    @pytest.mark.parametrize(("text", "value"), [("1", True), ("0", False), ("TRUE", True)])
    def test_a_flag_takes_digits_from_text(self, home, text, value):
        assert load(home, DEBUG=text).debug is value

    @pytest.mark.parametrize(
        ("toml", "key", "found", "expected"),
        [
            ('[tasks.defaults]\nmax_retries = "many"', "tasks.defaults.max_retries", "'many'", "a whole number"),
            ("[tasks.defaults]\nmax_retries = -1", "tasks.defaults.max_retries", "-1", "a whole number, 0 or more"),
            ("[tasks.defaults]\nmax_retries = 1.5", "tasks.defaults.max_retries", "1.5", "a whole number"),
            ("[tasks.defaults]\nmax_retries = true", "tasks.defaults.max_retries", "True", "a whole number"),
            ("[tasks.defaults]\nretry_delay = nan", "tasks.defaults.retry_delay", "nan", "a number of seconds"),
            ("[tasks.defaults]\ntimeout = inf", "tasks.defaults.timeout", "inf", "a number of seconds"),
            ("debug = 2", "debug", "2", "true or false"),
            ("debug = 1", "debug", "1", "true or false"),
            ("[notify]\nurls = 'mailto:me'", "notify.urls", "'mailto:me'", "a list of strings"),
            ("[plugins]\nallow = [1]", "plugins.allow", r"\[1\]", "a list of strings"),
            ("[logging]\nlevel = true", "logging.level", "True", "the name of a logging level"),
            ("[results]\nstore = 5", "results.store", "5", "a string"),
            ("logging = 5", "logging", "5", "a table"),
            ("[engine]\nexecutors = 'x'", "engine.executors", "'x'", "a table"),
            ("[engine.executors]\nthreads = 8", "engine.executors.threads", "8", "a table"),
            ("[tasks]\ndefaults = []", "tasks.defaults", r"\[\]", "a table"),
            ("[debug]\nx = 1", "debug", "a table", "true or false"),
            ("[debug]", "debug", "a table", "true or false"),
            ("[logging.level.x]\ny = 1", "logging.level", "a table", "the name of a logging level"),
        ],
    )
    def test_a_wrong_type_names_file_key_found_and_expected(self, home, toml, key, found, expected):
        file = put(home, toml)
        with pytest.raises(ConfigError, match=f"{key} in {file} is {found}; expected {expected}"):
            load(home)

    def test_a_wrong_type_names_the_variable(self, home):
        with pytest.raises(ConfigError, match="max_retries in HEADRACE__TASKS__DEFAULTS__MAX_RETRIES is 'many'"):
            load(home, TASKS__DEFAULTS__MAX_RETRIES="many")

    def test_false_is_the_classic_way_to_write_zero(self, home):
        put(home, "[tasks.defaults]\nmax_retries = false\nretry_delay = false\ntimeout = false\n")
        assert load(home).tasks.defaults == {"max_retries": 0, "retry_delay": 0, "timeout": 0}


class TestReplacing:
    def load(self, home: Path, toml: str, **environ: str) -> Config:
        put(home, toml)
        return config.load({"HOME": str(home), **environ}, cwd=home)

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("$NAME", "seattle"),
            ("${NAME}", "seattle"),
            ("a-$NAME-${NAME}b", "a-seattle-seattleb"),
            ("$NUMBER", 8),
            ("${NUMBER}0", 80),
            ("[1, $NUMBER]", (1, 8)),
            ("$UNSET", "$UNSET"),
            ("${UNSET}/x", "${UNSET}/x"),
            ("${UNSET:-1.5}", "${UNSET:-1.5}"),
            ("$", "$"),
            ("$5", "$5"),
            ("a}b{c", "a}b{c"),
            ("${NAME", "${NAME"),
            ("$NAME${", "seattle${"),
            ("${}", "${}"),
            ("$DOLLAR", "$NAME ${mine.x}"),
            ("a~", "a~"),
        ],
    )
    def test_variables_of_the_environment(self, home, text, value):
        toml = f"[mine]\nx = {json.dumps(text)}\n"
        loaded = self.load(home, toml, NAME="seattle", NUMBER="8", DOLLAR="$NAME ${mine.x}")
        assert loaded.mine.x == value

    def test_a_leading_tilde_is_the_home_directory(self, home):
        loaded = self.load(home, '[mine]\na = "~"\nb = "~/x"\nc = ["~/y"]\nd = "~nobody-has-this-name/z"\n')
        assert loaded.mine == {"a": str(home), "b": f"{home}/x", "c": (f"{home}/y",), "d": "~nobody-has-this-name/z"}

    def test_a_sole_reference_keeps_the_type_and_a_mixed_one_is_read_again(self, home):
        loaded = self.load(
            home,
            "[a]\nn = 5\nl = [1]\nt = \"'5'\"\nday = 2026-01-01\n"
            '[b]\nn = "${a.n}"\nl = "${a.l}"\nt = "${a.t}"\nday = "${a.day}"\nmixed = "${a.n}0"\ntext = "<${a.l}>"\n',
        )
        day = datetime.date(2026, 1, 1)
        assert loaded.b == {"n": 5, "l": (1,), "t": "5", "day": day, "mixed": 50, "text": "<[1]>"}

    def test_references_nest_chain_and_cross_layers(self, home, project):
        put(home, '[which]\nname = "east"\n[east]\nurl = "e"\n[west]\nurl = "${east.url}w"\n')
        put(project, '[which]\nname = "west"\n[mine]\nurl = "${${which.name}.url}!"\n')
        assert load(home, project).mine.url == "ew!"
        assert load(home, project, EAST__URL="env").mine.url == "envw!"

    def test_a_top_level_key_needs_no_section(self, home):
        assert self.load(home, '[mine]\nx = "${debug}"\n').mine.x is False

    def test_references_in_lists_are_followed_and_the_strings_stay_strings(self, home):
        loaded = self.load(home, '[a]\nn = 5\n[mine]\nx = ["${a.n}", "<${a.n}>", "7", {y = "${a.n}"}]\n')
        assert loaded.mine.x == (5, "<5>", "7", {"y": 5})

    def test_an_unknown_key_is_named_with_its_place_and_the_nearest(self, home):
        with pytest.raises(ConfigError) as caught:
            self.load(home, '[mine]\nx = "${tasks.default.max_retries}"\n')
        text = str(caught.value)
        assert "mine.x in" in text
        assert str(home / ".headrace" / "config.toml") in text
        assert "${tasks.default.max_retries}" in text
        assert "Did you mean ${tasks.defaults.max_retries}?" in text

    def test_an_unknown_key_in_a_variable_names_the_variable(self, home):
        with pytest.raises(ConfigError, match=r"mine\.x in HEADRACE__MINE__X refers to \$\{zzzz\.qqqq\}"):
            load(home, MINE__X="${zzzz.qqqq}")

    @pytest.mark.parametrize("name", ["engine", "tasks.defaults", "engine.executors"])
    def test_a_table_cannot_be_referred_to(self, home, name):
        with pytest.raises(ConfigError, match=rf"refers to \$\{{{name}\}}, which is a table"):
            self.load(home, f'[mine]\nx = "${{{name}}}"\n')

    @pytest.mark.parametrize(
        ("toml", "circle"),
        [
            ('[a]\nx = "${a.x}"\n', "a.x -> a.x"),
            ('[a]\nx = "${b.x}"\n[b]\nx = "1${c.x}"\n[c]\nx = ["${a.x}"]\n', "a.x -> b.x -> c.x -> a.x"),
            ('[a]\nx = "${${a.y}}"\ny = "a.x"\n', "a.x -> a.x"),
        ],
    )
    def test_a_circle_is_spelled_out(self, home, toml, circle):
        with pytest.raises(ConfigError, match=f"in a circle: {circle} "):
            self.load(home, toml)

    def test_a_chain_without_end_in_sight_is_an_error_of_its_own(self, home):
        links = "\n".join(f'k{n} = "${{a.k{n + 1}}}"' for n in range(2000))
        with pytest.raises(ConfigError, match="too many steps"):
            self.load(home, f"[a]\n{links}\nk2000 = 1\n")

    def test_a_quoted_key_with_a_dot_can_be_referred_to(self, home):
        assert self.load(home, '["a.b"]\nc = 1\n[mine]\nx = "${a.b.c}"\n').mine.x == 1


class TestBadFiles:
    def test_malformed_toml_tells_file_line_column_and_text(self, home):
        file = put(home, "debug = true\n[tasks.defaults]\nmax_retries 3\n")
        with pytest.raises(ConfigError) as caught:
            load(home)
        text = str(caught.value)
        assert f"{file}, line 3, column 13 is not TOML: Expected '=' after a key" in text
        assert "in 'max_retries 3'" in text
        assert "Correct the line" in text
        assert isinstance(caught.value.__cause__, tomllib.TOMLDecodeError)

    def test_a_file_that_ends_too_early_tells_its_last_line(self, home):
        put(home, "debug = true\nx = [1,")
        with pytest.raises(ConfigError, match=r"line 2, column 8 is not TOML"):
            load(home)

    @pytest.mark.parametrize(
        "toml",
        [
            "[context.secrets]\n\nDB = hunter2\n",
            "context.secrets.DB = hunter2\n",
            "[context]\nsecrets = {A = hunter2}\n",
        ],
    )
    def test_a_malformed_secret_is_not_shown(self, home, toml):
        put(home, toml)
        with pytest.raises(ConfigError) as caught:
            load(home)
        assert "hunter2" not in str(caught.value)

    def test_a_byte_order_mark_is_accepted(self, home):
        put(home, "\ufeffdebug = true\n")
        assert load(home).debug is True

    def test_bytes_that_are_not_utf8_are_located(self, home):
        put(home, "").write_bytes(b'x = "\xff"')
        with pytest.raises(ConfigError, match=r"is not UTF-8 text: byte 5 is 0xff"):
            load(home)

    def test_a_directory_in_place_of_the_file_cannot_be_read(self, home):
        (home / ".headrace" / "config.toml").mkdir(parents=True)
        with pytest.raises(ConfigError, match=r"config\.toml cannot be read: Is a directory"):
            load(home)

    def test_nesting_without_end_is_an_error_of_its_own(self, home):
        put(home, f"x = {'[' * 5000}{']' * 5000}\n")
        with pytest.raises(ConfigError):
            load(home)

    @pytest.mark.parametrize("make", [None, Path.mkdir])
    def test_a_named_user_file_must_be_a_file(self, home, tmp_path, make):
        path = tmp_path / "named"
        if make:
            make(path)
        found = "a directory" if make else "nothing"
        with pytest.raises(ConfigError, match=f"HEADRACE__USER_CONFIG_PATH names .*{path}.* there is {found}"):
            load(home, USER_CONFIG_PATH=str(path))
        with pytest.raises(ConfigError, match=f"there is {found}"):
            config.load({"HOME": str(home)}, path, home)


class TestView:
    def test_attributes_items_and_dotted_keys_agree(self, home):
        loaded = load(home)
        assert loaded.tasks.defaults.max_retries == 0
        assert loaded["tasks"]["defaults"]["max_retries"] == 0
        assert loaded.get("tasks.defaults.max_retries") == 0
        assert loaded.tasks.get("defaults.max_retries") == 0

    @pytest.mark.parametrize("key", ["nope", "tasks.nope", "debug.nope", "tasks.defaults.nope", "", ".", "tasks."])
    def test_get_returns_the_default_for_what_is_not_there(self, home, key):
        assert load(home).get(key) is None
        assert load(home).get(key, 7) == 7

    def test_a_missing_key_names_the_nearest(self, home):
        loaded = load(home)
        with pytest.raises(AttributeError, match=r"has no key 'taks'\. Did you mean 'tasks'"):
            _ = loaded.taks
        with pytest.raises(
            KeyError, match=r"table 'tasks\.defaults' has no key 'max_retry'\. Did you mean 'max_retries'\?"
        ):
            loaded.tasks.defaults["max_retry"]
        assert not hasattr(loaded, "taks")

    def test_keys_that_clash_with_methods_are_read_by_item(self, home):
        put(home, "[mine]\nget = 1\nkeys = 2\nitems = 3\nvalues = 4\nto_dict = 5\n_values = 6\n__class__ = 7\n")
        mine = load(home).mine
        assert [mine[key] for key in mine] == [1, 2, 3, 4, 5, 6, 7]
        assert mine.to_dict()["to_dict"] == 5
        assert list(mine.values()) == [1, 2, 3, 4, 5, 6, 7]

    def test_keys_with_dots_in_them(self, home):
        put(home, '[plugins.prefer.executors]\n"a.b" = "dist"\n')
        loaded = load(home)
        assert loaded.plugins.prefer.executors["a.b"] == "dist"
        assert loaded.get("plugins.prefer.executors.a.b") == "dist"

    def test_a_table_can_be_passed_as_keyword_arguments(self, home):
        assert dict(**load(home, ENGINE__EXECUTORS__THREADS__WORKERS="8").engine.executors.threads) == {"workers": 8}

    def test_nothing_can_be_changed(self, home):
        loaded = load(home)
        for change in (
            lambda: setattr(loaded.logging, "level", "DEBUG"),
            lambda: delattr(loaded.logging, "level"),
            lambda: setattr(loaded, "_values", {}),
        ):
            with pytest.raises(AttributeError, match="set_temporary_config"):
                change()
        with pytest.raises(TypeError, match=r"set_temporary_config\({'logging.level': ...}\)"):
            loaded.logging["level"] = "DEBUG"
        with pytest.raises(TypeError, match="HEADRACE__LOGGING__LEVEL"):
            del loaded.logging["level"]
        with pytest.raises(AttributeError):
            loaded.notify.urls.append("x")
        assert loaded.logging.level == "INFO"

    def test_to_dict_is_a_copy(self, home):
        loaded = load(home)
        plain = loaded.to_dict()
        plain["logging"]["level"] = "DEBUG"
        plain["notify"]["urls"].append("x")
        assert loaded.logging.level == "INFO"
        assert loaded.notify.urls == ()

    def test_copies_are_the_same_and_pickling_is_refused(self, home):
        loaded = load(home)
        assert copy.copy(loaded) is loaded
        assert copy.deepcopy(loaded.logging) is loaded.logging
        with pytest.raises(TypeError, match="may hold secrets"):
            pickle.dumps(loaded)

    def test_views_compare_as_mappings(self, home):
        assert load(home) == load(home)
        assert load(home).flows == {"eager_edge_validation": False, "run_on_schedule": True}
        assert load(home) != load(home, DEBUG="true")

    def test_dir_offers_the_keys(self, home):
        assert {"max_retries", "get"} <= set(dir(load(home).tasks.defaults))

    def test_sources_of_a_table_are_full_keys(self, home):
        loaded = load(home, LOGGING__LEVEL="DEBUG")
        assert loaded.logging.sources()["logging.level"] == "HEADRACE__LOGGING__LEVEL"

    def test_a_table_written_as_a_literal_has_one_source(self, home):
        assert load(home, MINE__A="{'b': {'c': 1}}").sources()["mine.a.b.c"] == "HEADRACE__MINE__A"


class TestUnknownKeys:
    def test_those_in_sections_of_headrace_are_kept_and_listed(self, home):
        put(home, "debgu = true\n[tasks.defaults]\nmax_retry = 1\n[logging.extra]\nx = 1\n[engine.executor_options]\n")
        loaded = load(home)
        assert loaded.tasks.defaults.max_retry == 1
        assert set(loaded.unknown_keys()) == {"debgu", "tasks.defaults.max_retry", "logging.extra.x"}

    def test_what_others_may_own_is_not_listed(self, home):
        put(
            home,
            "[slack]\nurl = 'x'\n[context]\nteam = 'a'\n[context.secrets]\nA = '1'\n[tasks.defaults]\ntimeout = 1\n"
            "[engine.executors.dask]\naddress = 'x'\n[plugins.prefer.executors]\ndask = 'x'\n",
        )
        assert load(home).unknown_keys() == ()

    @pytest.mark.parametrize("section", ["task", "Logging", "plugin"])
    def test_a_section_that_is_nearly_one_of_headraces_is_listed(self, home, section):
        put(home, f"[{section}]\nx = 1\n")
        assert load(home).unknown_keys() == (f"{section}.x",)


class TestSecrets:
    def test_they_do_not_show_in_repr_or_masked(self, home):
        put(home, '[context.secrets]\nA = "hunter2"\nN = 4711\nL = ["hunter2"]\n[context.secrets.sub]\nB = "hunter2"\n')
        loaded = load(home, CONTEXT__SECRETS__C="hunter2")
        for view in (loaded, loaded.context, loaded.context.secrets, loaded.context.secrets.sub):
            for text in (repr(view), str(view), f"{view}", repr(view.to_dict(masked=True))):
                assert "hunter2" not in text
                assert "4711" not in text
                assert "********" in text
        assert loaded.to_dict(masked=True)["context"]["secrets"].keys() == {"A", "N", "L", "sub", "C"}
        assert loaded.context.secrets.A == "hunter2"
        assert loaded.to_dict()["context"]["secrets"]["C"] == "hunter2"

    def test_values_made_from_them_do_not_show_either(self, home):
        put(
            home,
            '[context.secrets]\nPW = "hunter2"\n[results]\nstore = "s3://${context.secrets.PW}@x"\n'
            '[mine]\na = "${results.store}/y"\nb = ["${mine.a}"]\nc = "${debug}"\n',
        )
        loaded = load(home)
        assert loaded.mine.b == ("s3://hunter2@x/y",)
        assert "hunter2" not in repr(loaded)
        assert "hunter2" not in repr(loaded.mine)
        assert loaded.to_dict(masked=True)["mine"] == {"a": "********", "b": "********", "c": False}
        assert "hunter2" not in repr(overlay(loaded, {"debug": True}))

    def test_a_secret_in_a_file_is_replaced_and_stays_a_string(self, home):
        put(home, '[context.secrets]\nA = "$PIN"\nB = "1e5"\nC = "x${context.secrets.A}"\n')
        loaded = config.load({"HOME": str(home), "PIN": "0815"}, cwd=home)
        assert loaded.context.secrets == {"A": "0815", "B": "1e5", "C": "x0815"}

    @pytest.mark.parametrize(
        ("toml", "variables"),
        [
            ('[context.secrets]\nA = "${hunter2.hunter2}"\n', {}),
            ('[context]\nsecrets = "hunter2"\n', {}),
            ('context = "hunter2"\n', {}),
            ("", {"CONTEXT__SECRETS": "hunter2"}),
            ("", {"CONTEXT": "{'secrets': {'A': 'hunter2'}}"}),
            ('[context.secrets]\nA = "hunter2"\n[tasks.defaults]\nmax_retries = "${context.secrets.A}"\n', {}),
        ],
    )
    def test_errors_do_not_show_them(self, home, toml, variables):
        put(home, toml)
        with pytest.raises(ConfigError) as caught:
            load(home, **variables)
        assert "hunter2" not in str(caught.value)


class TestCurrent:
    @pytest.fixture(autouse=True)
    def own_process_config(self, home, monkeypatch):
        for name in [name for name in os.environ if name.startswith("HEADRACE__")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("HOME", str(home))
        monkeypatch.chdir(home)
        config.reload()
        yield
        monkeypatch.undo()
        config.reload()

    def test_the_module_stands_for_the_current_configuration(self):
        assert config.flows.run_on_schedule is True
        assert config.debug is False
        assert config["logging"]["level"] == "INFO"  # type: ignore[index]
        assert config.get("engine.executor") == "local"
        assert "engine" in config  # type: ignore[operator]
        assert config.to_dict() == config.current().to_dict()
        assert config.sources()["debug"] == "default"
        assert config.unknown_keys() == ()

    def test_no_key_hides_behind_a_name_of_the_module(self):
        assert not set(defaults()) & set(vars(config))

    def test_dir_lists_functions_and_sections(self):
        assert {"load", "current", "engine", "tasks"} <= set(dir(config))

    def test_the_names_in_all_exist(self):
        assert all(hasattr(config, name) for name in config.__all__)
        assert config.__all__ == sorted(config.__all__)

    def test_a_missing_key_is_an_attribute_error_and_an_item_a_key_error(self):
        with pytest.raises(AttributeError, match="Did you mean 'tasks'"):
            _ = config.taks
        with pytest.raises(KeyError, match="Did you mean 'tasks'"):
            config["taks"]  # type: ignore[index]
        with pytest.raises(AttributeError, match="no attribute '__wrapped__'"):
            _ = config.__wrapped__

    def test_a_key_cannot_be_assigned_to_the_module(self):
        with pytest.raises(AttributeError, match="set_temporary_config"):
            config.debug = True
        assert config.debug is False

    def test_it_is_read_once_until_reload(self, monkeypatch):
        assert config.debug is False
        monkeypatch.setenv("HEADRACE__DEBUG", "true")
        assert config.debug is False
        assert config.reload().debug is True
        assert config.debug is True

    def test_an_error_is_raised_again_at_every_access(self, home):
        put(home, "x 1")
        for _ in range(2):
            with pytest.raises(ConfigError):
                config.reload()
            with pytest.raises(ConfigError):
                _ = config.debug

    def test_a_temporary_change_nests_and_ends(self):
        with config.set_temporary_config({"tasks.defaults.max_retries": 1, "mine.x": [1]}) as changed:
            assert changed is config.current()
            assert config.tasks.defaults.max_retries == 1
            assert config.tasks.defaults.retry_delay == 0
            assert config.mine.x == (1,)
            with config.set_temporary_config({"tasks.defaults": {"max_retries": 2}}):
                assert config.tasks.defaults == {"max_retries": 2, "retry_delay": 0}
                assert config.mine.x == (1,)
            assert config.tasks.defaults.max_retries == 1
            assert config.sources()["tasks.defaults.max_retries"] == "set_temporary_config"
        assert config.tasks.defaults.max_retries == 0
        assert "mine" not in config.current()

    def test_a_temporary_change_ends_with_an_exception(self):
        with pytest.raises(ZeroDivisionError), config.set_temporary_config({"debug": True}):
            _ = 1 / 0
        assert config.debug is False

    def test_temporary_values_are_taken_as_they_are(self):
        with config.set_temporary_config({"mine.x": "${a.b} $HOME 5", "mine.y": "5", "results.store": "true"}):
            assert config.mine == {"x": "${a.b} $HOME 5", "y": "5"}
            assert config.results.store == "true"

    def test_a_change_of_the_original_mapping_is_not_seen(self):
        urls = ["a"]
        with config.set_temporary_config({"notify.urls": urls}):
            urls.append("b")
            assert config.notify.urls == ("a",)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"tasks.defaults.max_retries": "many"}, "max_retries in set_temporary_config is 'many'"),
            ({"logging": 5}, "logging in set_temporary_config is 5; expected a table"),
            ({"logging.level.x": 5}, "logging.level in set_temporary_config is a table"),
            ({"": 5}, "'', given to set_temporary_config, is not a dotted key"),
            ({"a..b": 5}, "'a..b', given"),
        ],
    )
    def test_a_wrong_temporary_change_changes_nothing(self, values, message):
        before = config.current()
        with pytest.raises(ConfigError, match=message), config.set_temporary_config(values):
            pytest.fail("the block must not run")
        assert config.current() is before

    def test_a_temporary_secret_does_not_show(self):
        with config.set_temporary_config({"context.secrets": {"A": "hunter2"}}):
            assert "hunter2" not in repr(config.current())
            assert config.context.secrets.A == "hunter2"

    def test_threads_do_not_see_each_others_changes(self):
        barrier = threading.Barrier(4)
        seen: dict[int, list[int]] = {}

        def work(number: int) -> None:
            with config.set_temporary_config({"tasks.defaults.max_retries": number}):
                barrier.wait(5)
                seen[number] = [config.tasks.defaults.max_retries]
                barrier.wait(5)
            seen[number].append(config.tasks.defaults.max_retries)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == {number: [number, 0] for number in range(1, 5)}

    def test_asyncio_tasks_do_not_see_each_others_changes(self):
        async def work(number: int) -> int:
            with config.set_temporary_config({"tasks.defaults.max_retries": number}):
                await asyncio.sleep(0)
                return config.tasks.defaults.max_retries

        async def main() -> list[int]:
            return await asyncio.gather(*(work(number) for number in range(5)))

        assert asyncio.run(main()) == [0, 1, 2, 3, 4]


class TestCost:
    def run(self, home: Path, script: str, **variables: str) -> str:
        environ = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path), **variables}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environ, cwd=home, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def test_importing_reads_nothing(self, home):
        put(home, "not toml")
        assert self.run(home, "import headrace.config; from headrace import config; dir(config); print('ok')") == "ok"

    def test_reading_defaults_imports_no_parser(self, home):
        script = (
            "import sys; from headrace import config; assert config.flows.run_on_schedule;"
            "print([name for name in ('tomllib', 'toml', 'ast', 'logging', 'pathlib', 'headrace.config._layers')"
            " if name in sys.modules])"
        )
        assert self.run(home, script) == "[]"

    def test_a_plain_variable_imports_no_parser(self, home):
        script = (
            "import sys; from headrace import config; assert config.logging.level == 'DEBUG';"
            "print([name for name in ('tomllib', 'toml', 'logging') if name in sys.modules])"
        )
        assert self.run(home, script, HEADRACE__LOGGING__LEVEL="DEBUG") == "[]"


# In keys, the library that writes breaks backslashes and what does not print: those are refused.
keys = st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters="\\"), max_size=8)
plain = (
    st.text(st.characters(codec="utf-8"), max_size=20)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.dates()
    | st.datetimes()
    | st.times()
)
lists = st.lists(plain | st.lists(plain, max_size=3), max_size=4)
tables = st.recursive(
    st.dictionaries(keys, plain | lists, max_size=4), lambda inner: st.dictionaries(keys, plain | inner, max_size=3)
)


class TestWrite:
    @given(tables)
    def test_what_is_written_is_read_back_the_same(self, tmp_path_factory, values):
        path = tmp_path_factory.getbasetemp() / "round-trip.toml"
        config.write(path, values)
        assert tomllib.loads(path.read_text("utf-8")) == values

    @given(st.recursive(plain | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
    def test_anything_else_is_written_right_or_refused(self, tmp_path_factory, value):
        path = tmp_path_factory.getbasetemp() / "anything.toml"
        path.write_text("untouched = true\n")
        try:
            config.write(path, {"key": value})
        except ConfigError:
            assert path.read_text() == "untouched = true\n"
        else:
            assert tomllib.loads(path.read_text("utf-8")) == {"key": value}

    def test_a_configuration_can_be_written_and_read(self, home):
        put(home, '[logging]\nlevel = "DEBUG"\n')
        path = home / "copy.toml"
        config.write(path, load(home))
        assert config.load({"HOME": str(home)}, path, home) == load(home)

    def test_nan_is_written(self, tmp_path):
        config.write(tmp_path / "x.toml", {"x": math.nan})
        assert math.isnan(tomllib.loads((tmp_path / "x.toml").read_text())["x"])

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ({"a": {"b": None}}, "'a.b' cannot be written: TOML has no NoneType"),
            ({"a": [1, {2}]}, "'a' cannot be written: TOML has no set"),
            ({"a": b"x"}, "TOML has no bytes"),
            ({"a": {1: 2}}, "'a.1' cannot be written: TOML keys are strings"),
            ({"a": [{"b": {}}]}, "'a.b' cannot be written: it would be read back as something else"),
            ({"a": [{"b": 1}, 2]}, "cannot be written as TOML: TypeError"),
            ({"a\x01": 1}, "it would be read back as something else"),
            ({"a\\\x80": 1}, "cannot be written as TOML: TOMLDecodeError"),
            ({"a": "\ud800"}, "cannot be written as TOML: UnicodeEncodeError"),
        ],
    )
    def test_what_would_be_written_wrongly_is_refused_and_the_file_stays(self, tmp_path, values, message):
        path = tmp_path / "config.toml"
        path.write_text("debug = true\n")
        with pytest.raises(ConfigError, match=message):
            config.write(path, values)
        assert path.read_text() == "debug = true\n"
        assert [file.name for file in tmp_path.iterdir()] == ["config.toml"]

    def test_a_secret_is_not_shown_when_it_is_refused(self, tmp_path):
        with pytest.raises(ConfigError) as caught:
            config.write(tmp_path / "x.toml", {"context": {"secrets": {"A": b"hunter2"}}})
        assert "hunter2" not in str(caught.value)

    def test_values_that_hold_themselves_are_refused(self, tmp_path):
        circle: list[object] = []
        circle.append(circle)
        with pytest.raises(ConfigError, match="nested too deeply"):
            config.write(tmp_path / "x.toml", {"a": circle})

    def test_folders_are_made_and_a_new_file_is_its_owners(self, tmp_path):
        path = tmp_path / "a" / "b.toml"
        config.write(path, {})
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_an_existing_file_keeps_its_permissions_and_a_link_stays_a_link(self, tmp_path):
        target = tmp_path / "target.toml"
        target.write_text("")
        target.chmod(0o644)
        link = tmp_path / "link.toml"
        link.symlink_to(target)
        config.write(link, {"debug": True})
        assert link.is_symlink()
        assert target.read_text() == "debug = true\n"
        assert stat.S_IMODE(target.stat().st_mode) == 0o644

    def test_a_path_that_cannot_be_written_is_named(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(ConfigError, match="cannot be written: "):
            config.write(tmp_path / "file" / "x.toml", {})
        (tmp_path / "folder").mkdir()
        with pytest.raises(ConfigError, match="cannot be written: "):
            config.write(tmp_path / "folder", {})
        assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "folder"]
