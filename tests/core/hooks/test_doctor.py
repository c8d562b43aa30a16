from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from headrace.exceptions import PluginLoadError
from headrace.hooks.doctor import describe, examine
from headrace.hooks.scan import PluginRecord


def only(site: Any) -> PluginRecord:
    [record] = site.records()
    assert isinstance(record, PluginRecord)
    return record


def test_sound_plugin_is_measured_and_has_no_problems(site: Any) -> None:
    site.add_executor("headrace-one", "one", "doc_one")
    found = examine(only(site))
    assert found.ok
    assert found.problems == ()
    assert found.hooks == ("headrace_executors",)
    assert found.api == 1
    assert found.import_ms is not None
    assert found.import_ms > 0


def test_modules_that_a_plugin_pulls_in_are_counted(site: Any) -> None:
    site.add_executor("headrace-one", "one", "doc_one")
    lean = examine(only(site)).module_count
    (site.folder / "doc_extra.py").write_text("")
    source = site.folder / "doc_one.py"
    source.write_text("import doc_extra, wave\n" + source.read_text())
    fat = examine(only(site)).module_count
    assert lean == 1
    assert fat is not None
    assert fat >= 3


def test_examination_imports_nothing_here(site: Any) -> None:
    site.add_executor("headrace-one", "one", "doc_one")
    examine(only(site))
    assert "doc_one" not in sys.modules


def test_modules_in_the_current_folder_are_not_those_of_the_same_name_elsewhere(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add_executor("headrace-one", "one", "doc_one")
    current = tmp_path / "current"
    current.mkdir()
    (current / "json.py").write_text("raise SystemExit('imported by mistake')")
    monkeypatch.chdir(current)
    assert examine(only(site)).ok


def test_diagnosis_can_be_written_as_json(site: Any) -> None:
    site.add_executor("headrace-one", "one", "doc_one")
    found = json.loads(json.dumps(examine(only(site)).to_dict()))
    assert (found["ok"], found["kind"], found["record"]["distribution"]) == (True, "executor", "headrace-one")


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (
            "import missing_library",
            "Importing 'doc_bad' raised ModuleNotFoundError: No module named 'missing_library'.",
        ),
        ("import os; os._exit(9)", "The interpreter that loaded it ended with code 9."),
        ("raise SystemExit('not today')", "not today"),
        ("from headrace.plugins import hookimpl\n@hookimpl\ndef headrace_executor(): ...", "Did you mean"),
        ("from headrace.plugins import hookimpl\n@hookimpl\ndef headrace_executors(): return []", "returned nothing"),
        ("HEADRACE_API = 99", "written for plugin interface 99"),
    ],
)
def test_broken_plugin_is_reported_and_not_raised(site: Any, module: str, problem: str) -> None:
    site.add("headrace-bad", "[headrace.executors]\nbad = doc_bad\n", doc_bad=module)
    found = examine(only(site))
    assert not found.ok
    assert problem in " ".join(found.problems)


def test_all_problems_of_a_module_are_listed(site: Any) -> None:
    module = """
    from headrace.plugins import hookimpl
    @hookimpl
    def headrace_executor(): ...
    @hookimpl(wrapper=True)
    def headrace_engine_started(): yield
    """
    site.add("headrace-bad", "[headrace.hooks]\nbad = doc_bad\n", doc_bad=module)
    assert len(examine(only(site)).problems) == 2


def test_plugin_that_hangs_is_reported(site: Any) -> None:
    site.add("headrace-bad", "[headrace.hooks]\nbad = doc_bad\n", doc_bad="import time; time.sleep(60)")
    assert examine(only(site), timeout=0.8).problems == ("It was not loaded within 0.8 seconds.",)


def test_plugin_that_prints_does_not_spoil_the_answer(site: Any) -> None:
    module = """
    import os, threading, time
    from headrace.plugins import hookimpl
    print("hello")
    os.write(1, b"raw")
    threading.Thread(target=time.sleep, args=(60,)).start()
    @hookimpl
    def headrace_engine_started(): ...
    """
    site.add("headrace-loud", "[headrace.hooks]\nloud = doc_loud\n", doc_loud=module)
    assert examine(only(site), timeout=20).ok


def test_group_that_headrace_does_not_use_is_reported(site: Any) -> None:
    module = "from headrace.plugins import hookimpl\n@hookimpl\ndef headrace_engine_started(): ..."
    site.add("headrace-odd", "[headrace.gadgets]\nodd = doc_odd\n", doc_odd=module)
    assert examine(only(site)).problems == ("Headrace does not use the group headrace.gadgets.",)


def test_description_lists_what_a_plugin_offers(site: Any) -> None:
    site.add_executor("headrace-one", "one", "doc_one")
    told = describe(only(site))
    assert told.summary == "For tests."
    assert told.factory == "doc_one:Made"
    assert told.hooks == ("headrace_executors",)
    assert [(option.name, option.type, option.default) for option in told.options] == [
        ("workers", "a whole number", "1"),
        ("label", "a text", "''"),
        ("fast", "true or false", "False"),
    ]
    assert json.loads(json.dumps(told.to_dict()))["options"][0]["name"] == "workers"


def test_description_does_not_repeat_what_the_interface_says_of_itself(site: Any) -> None:
    site.add_executor("headrace-one", "one", "doc_silent")
    assert describe(only(site)).documentation == ""


def test_description_of_an_observer_has_its_documentation(site: Any) -> None:
    module = '"""Counts."""\nfrom headrace.plugins import hookimpl\n@hookimpl\ndef headrace_engine_started(): ...'
    site.add_observer("headrace-count", "doc_count", module)
    told = describe(only(site))
    assert (told.documentation, told.hooks, told.summary) == (
        "Counts.",
        ("headrace_engine_started",),
        "About headrace-count.",
    )


def test_description_of_a_broken_plugin_raises(site: Any) -> None:
    site.add("headrace-bad", "[headrace.executors]\nbad = doc_bad\n", doc_bad="import missing_library")
    with pytest.raises(PluginLoadError, match="missing_library"):
        describe(only(site))
