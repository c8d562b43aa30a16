"""``headrace plugins``."""

from __future__ import annotations

import json

BROKEN = "raise RuntimeError('broken \\x1b[31mto pieces')"
EXECUTOR = """
    from headrace.abc import Executor
    from headrace.plugins import ExecutorSpec, hookimpl

    @hookimpl
    def headrace_executors():
        return [ExecutorSpec(name="acme", factory="acme_executor:Acme", summary="For tests.")]

    class Acme(Executor):
        "Runs nothing."
        capacity = 1

        def __init__(self, workers: int = 3) -> None: ...

        def submit(self, work, deliver): ...
"""
ONLY_OTHERS = {"HEADRACE__PLUGINS__DISABLED": '["headrace"]'}
ENTRY = "[headrace.executors]\nacme = acme_executor\n"


def test_the_list_names_kind_distribution_and_version(cli) -> None:
    cli.distribution("acme", ENTRY, acme_executor=EXECUTOR)
    out = cli.apart("plugins", "list").out
    row = next(line for line in out.splitlines() if " acme " in line)
    assert row.split() == ["executor", "acme", "acme", "1.0", "allowed"]


def test_the_list_imports_nothing(cli) -> None:
    cli.distribution("acme", ENTRY, acme_executor=BROKEN)
    done = cli.apart("plugins", "list")
    assert done.code == 0
    assert " acme " in done.out


def test_the_list_can_be_limited_to_a_kind(cli) -> None:
    found = json.loads(cli.here("plugins", "list", "--kind", "store", "--json").out)
    assert {each["kind"] for each in found} == {"store"}
    assert {each["name"] for each in found} >= {"file", "memory"}
    assert all(each["bundled"] and each["allowed"] for each in found)


def test_an_unknown_kind_is_bad_usage(cli) -> None:
    assert cli.here("plugins", "list", "--kind", "engine").code == 2


def test_the_list_says_what_is_blocked_and_why(cli) -> None:
    cli.distribution("acme", ENTRY, acme_executor=EXECUTOR)
    done = cli.apart("plugins", "list", "--json", HEADRACE_PLUGINS="none")
    [found] = [each for each in json.loads(done.out) if each["name"] == "acme"]
    assert not found["allowed"]
    assert found["detail"] == "HEADRACE_PLUGINS=none does not allow it"


def test_the_table_fits_80_columns(cli) -> None:
    terminal = cli.on_terminal("plugins", "list")
    assert terminal.end() == 0
    assert max(map(len, terminal.text.splitlines())) <= 80


def test_a_plugin_says_what_it_takes(cli) -> None:
    cli.distribution("acme", ENTRY, acme_executor=EXECUTOR)
    out = cli.apart("plugins", "info", "executor:acme").out
    assert "acme, executor of acme 1.0" in out
    assert "Runs nothing." in out
    row = next(line for line in out.splitlines() if line.startswith("workers"))
    assert row.split()[-1] == "3"


def test_what_a_plugin_says_is_available_as_json(cli) -> None:
    found = json.loads(cli.here("plugins", "info", "threads", "--json").out)
    assert (found["kind"], found["options"][0]["name"]) == ("executor", "workers")


def test_an_unknown_plugin_names_the_nearest(cli) -> None:
    done = cli.here("plugins", "info", "thread")
    assert done.code == 2
    assert "Did you mean 'threads'?" in done.err


def test_an_unknown_kind_names_the_nearest(cli) -> None:
    assert "Did you mean 'executor'?" in cli.here("plugins", "info", "executer:threads").err


def test_a_name_that_two_kinds_have_is_asked_about(cli) -> None:
    cli.distribution("acme", "[headrace.executors]\nhttp = acme_executor\n", acme_executor=EXECUTOR)
    done = cli.apart("plugins", "info", "http")
    assert done.code == 2
    assert "executor:http, task:http" in done.err


def test_a_blocked_plugin_is_not_loaded_to_be_described(cli) -> None:
    cli.distribution("acme", ENTRY, acme_executor="open('loaded', 'w').close()")
    done = cli.apart("plugins", "info", "acme", HEADRACE_PLUGINS="none")
    assert done.code == 2
    assert "does not allow it" in done.err
    assert not (cli.folder / "loaded").exists()


def test_the_doctor_is_content_with_what_comes_along(cli) -> None:
    done = cli.here("plugins", "doctor", "--json")
    found = json.loads(done.out)
    assert done.code == 0, found
    assert all(each["ok"] and each["api"] == 1 for each in found["plugins"])


def test_the_doctor_finds_what_is_broken(cli) -> None:
    cli.distribution("acme", ENTRY, acme_executor=BROKEN)
    done = cli.apart("plugins", "doctor", **ONLY_OTHERS)
    assert done.code == 1
    assert "executor:acme " in done.out
    assert "RuntimeError: broken" in done.out
    assert "\x1b" not in done.out
    assert "Traceback" not in done.out + done.err


def test_metadata_that_cannot_be_read_is_reported(cli) -> None:
    cli.distribution("acme", "[headrace.executors]\n= acme_executor\n")
    assert "cannot be read" in cli.apart("plugins", "list").err
    assert cli.apart("plugins", "doctor", **ONLY_OTHERS).code == 1
