from __future__ import annotations

import inspect
import re
from textwrap import dedent
from types import SimpleNamespace
from typing import Any

import pytest

from headrace import plugins
from headrace.hooks import specs
from headrace.hooks.kinds import GROUPS, KINDS
from headrace.hooks.manager import OBSERVER_HOOKS, HookManager
from headrace.plugins import EngineInfo, FlowRunInfo, TaskRunInfo


def example(hook: str) -> Any:
    """Run the example in a hook's manual and return it as a plugin."""
    _, _, code = (inspect.getdoc(getattr(specs, hook)) or "").partition("Example::\n")
    names: dict[str, object] = {}
    exec(dedent(code), names)
    plugin = SimpleNamespace(**{hook: names[hook]})
    plugin.__name__ = hook
    return plugin


def test_every_hook_is_a_registration_hook_of_a_kind_or_an_observer() -> None:
    assert {kind.hook for kind in KINDS.values()} | set(OBSERVER_HOOKS) == set(specs.__all__)


def test_every_specification_in_the_module_is_listed() -> None:
    assert specs.__all__ == sorted(name for name in vars(specs) if name.startswith("headrace_"))


@pytest.mark.parametrize("hook", specs.__all__)
def test_manual_of_a_hook_answers_every_question(hook: str) -> None:
    text = " ".join((inspect.getdoc(getattr(specs, hook)) or "").split())
    for words in ("Called by the", "thread", r"[Rr]eturn", r"raise", r"Since \d+\.\d+", "Example::"):
        assert re.search(words, text), f"{hook} does not say: {words}"


@pytest.mark.parametrize("hook", specs.__all__)
def test_example_of_a_hook_can_be_registered(hook: str) -> None:
    manager = HookManager()
    assert manager.register(example(hook), hook)
    assert len(manager.implementations(hook)) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_example_of_a_registration_hook_returns_specs(kind: str) -> None:
    manager, plugin = HookManager(), example(KINDS[kind].hook)
    manager.register(plugin, kind)
    assert [type(spec).__name__ for spec in manager.specs(plugin, KINDS[kind])] == [KINDS[kind].spec]


@pytest.mark.parametrize("hook", OBSERVER_HOOKS)
def test_example_of_an_observer_runs(hook: str, capsys: pytest.CaptureFixture[str]) -> None:
    state = SimpleNamespace(is_failed=lambda: True, message="it rained")
    values = {
        "engine": EngineInfo(version="0.1", pid=1),
        "run": FlowRunInfo(id="r", name="n", flow_name="f"),
        "task_run": TaskRunInfo(task_name="t", task_slug="t-1"),
        "old": state,
        "new": state,
    }
    function = getattr(example(hook), hook)
    function(**{name: values[name] for name in inspect.signature(function).parameters})
    assert capsys.readouterr().out.count("\n") == 1


def test_table_of_kinds_names_what_exists() -> None:
    from headrace import abc

    for kind in KINDS.values():
        assert hasattr(plugins, kind.spec)
        assert kind.interface is None or kind.interface in abc.__all__
        assert GROUPS[kind.group] == kind.name
