"""``headrace cache``."""

from __future__ import annotations

import json

import pytest

FLOW = """
    @task(cache_for=3600)
    def load(day, pages=1):
        return day

    @task(cache_for=3600)
    def use(x): ...

    @task
    def plain(): ...

    with Flow("daily") as flow:
        use(load(Parameter("day"), pages=2))
        plain()
        load.map([1, 2], task_args={"name": "many"})
"""


@pytest.fixture
def file(cli) -> str:
    name: str = cli.file(FLOW)
    for day in ("mon", "tue"):
        assert cli.here("run", name, "-p", f"day={day}").code == 0
    return name


def listed(cli, *arguments: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(cli.here("cache", "ls", "--json", *arguments).out)
    return found


def explained(cli, *arguments: str) -> tuple[object, dict[str, str]]:
    found = json.loads(cli.here("cache", "why", *arguments, "--json").out)
    return found["hit"], {finding["field"]: finding["verdict"] for finding in found["findings"]}


def test_what_is_cached_is_listed(cli, file) -> None:
    assert sorted(str(entry["bucket"]) for entry in listed(cli)) == ["load", "load", "many", "many", "use", "use"]
    assert [entry["bucket"] for entry in listed(cli, "use")] == ["use", "use"]
    text = cli.here("cache", "ls").out
    assert "in 59 min" in text
    assert "load" in text


def test_an_empty_cache_says_so_and_makes_nothing(cli) -> None:
    assert cli.here("cache", "ls").out == "Nothing is cached.\n"
    assert list(cli.folder.iterdir()) == []


def test_a_hit_is_explained(cli, file) -> None:
    hit, fields = explained(cli, file, "load", "-p", "day=mon")
    assert hit is True
    assert fields == {
        "code": "same",
        "argument 'day'": "same",
        "argument 'pages'": "same",
        "validator": "same",
    }


def test_a_miss_names_the_argument_that_changed(cli, file) -> None:
    hit, fields = explained(cli, file, "load", "-p", "day=wed")
    assert hit is False
    assert [field for field, verdict in fields.items() if verdict == "changed"] == ["argument 'day'"]
    done = cli.here("cache", "why", file, "load", "-p", "day=wed")
    assert "different from the nearest entry in argument 'day'" in done.out


def test_a_miss_names_changed_code(cli, file) -> None:
    cli.file(FLOW.replace("return day", "return str(day)"))
    hit, fields = explained(cli, file, "load", "-p", "day=mon")
    assert (hit, fields["code"], fields["argument 'day'"]) == (False, "changed", "same")


def test_what_other_tasks_return_is_not_known(cli, file) -> None:
    hit, fields = explained(cli, file, "use", "-p", "day=mon")
    assert (hit, fields["argument 'x'"]) == (None, "unknown")
    assert "comes from task 'load'" in cli.here("cache", "why", file, "use", "-p", "day=mon").out


def test_a_missing_parameter_is_not_known(cli, file) -> None:
    hit, fields = explained(cli, file, "load")
    assert (hit, fields["argument 'day'"]) == (None, "unknown")


def test_a_child_is_chosen_by_its_index(cli, file) -> None:
    assert explained(cli, file, "many", "--index", "1")[0] is True
    assert explained(cli, file, "many")[0] is None


def test_a_bucket_explains_why_its_newest_entry_was_computed(cli, file) -> None:
    hit, fields = explained(cli, "use")
    assert (hit, fields["argument 'x'"], fields["code"]) == (False, "changed", "same")


def test_explaining_runs_nothing(cli, file) -> None:
    cli.file(FLOW.replace("return day", "raise SystemExit"))
    assert cli.here("cache", "why", file, "load", "-p", "day=mon").code == 0


@pytest.mark.parametrize(("name", "said"), [("lod", "Did you mean 'load'?"), ("plain", "not cached")])
def test_a_task_that_is_not_there_or_not_cached_is_a_usage_error(cli, file, name, said) -> None:
    done = cli.here("cache", "why", file, name)
    assert done.code == 2
    assert said in done.err


def test_a_bucket_is_removed(cli, file) -> None:
    assert cli.here("cache", "rm", "load", "many").out == "Removed 2 from 'load'.\nRemoved 2 from 'many'.\n"
    assert {entry["bucket"] for entry in listed(cli)} == {"use"}


def test_a_bucket_that_is_not_there_is_an_error_that_names_the_nearest(cli, file) -> None:
    done = cli.here("cache", "rm", "lod")
    assert done.code == 1
    assert "Did you mean 'load'?" in done.err


def test_pruning_removes_what_has_expired(cli) -> None:
    name = cli.file(FLOW.replace("cache_for=3600)\n    def use", "cache_for=0.001)\n    def use"))
    cli.here("run", name, "-p", "day=mon")
    assert cli.here("cache", "prune").out.startswith("Removed 1 expired")
    assert {entry["bucket"] for entry in listed(cli)} == {"load", "many"}


def test_pruning_keeps_to_the_configured_limits(cli, file) -> None:
    (cli.folder / ".headrace" / "config.toml").write_text("[cache]\nmax_bytes = 1000\n")
    done = cli.apart("cache", "prune", "--json")
    assert {removed["why"] for removed in json.loads(done.out)} == {"space"}
    assert 0 < len(listed(cli)) < 6
    (cli.folder / ".headrace" / "config.toml").write_text("[cache]\nmax_age = 0.001\n")
    assert cli.apart("cache", "prune").out.startswith("Removed 0 expired, ")
    assert listed(cli) == []


def test_entries_of_another_project_are_one_warning(cli, file) -> None:
    (cli.folder / ".headrace" / "history" / "key").unlink()
    for command in ["ls"], ["why", "load"], ["why", file, "load", "-p", "day=mon"]:
        done = cli.here("cache", *command)
        assert done.code == 0
        assert "was not written by this project" in done.err
        assert done.err.count("more of that kind") == 1
        assert "HEADRACE_KEY" in done.err
    assert cli.here("cache", "ls").out == "Nothing is cached.\n"
    assert not (cli.folder / ".headrace" / "history" / "key").exists()


def test_damage_is_a_warning(cli, file) -> None:
    path = next((cli.folder / ".headrace" / "cache" / "use").iterdir())
    path.write_bytes(b"no")
    done = cli.here("cache", "ls")
    assert (done.code, done.out.count("use")) == (0, 2)
    assert "damaged" in done.err


def test_the_configured_cache_is_looked_through(cli, file) -> None:
    (cli.folder / ".headrace" / "config.toml").write_text('[cache]\nurl = "file:elsewhere"\n')
    assert cli.apart("cache", "ls").out == "Nothing is cached.\n"
