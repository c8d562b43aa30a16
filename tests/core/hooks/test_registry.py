from __future__ import annotations

import logging
import subprocess
import sys
import threading
from typing import Any

import pytest

from headrace.abc import Executor, Notifier, Serializer
from headrace.exceptions import (
    HeadraceError,
    PluginConflictError,
    PluginError,
    PluginLoadError,
    PluginNotFoundError,
    PluginOptionError,
)
from headrace.hooks.policy import PluginPolicy
from headrace.hooks.registry import Registry
from headrace.hooks.scan import PluginRecord
from headrace.plugins import API_VERSION, ExecutorSpec, NotifierSpec, SerializerSpec, hookimpl

OWN = PluginRecord(group="headrace.executors", name="local", value="m", distribution="headrace", version="1")


class Upper(Serializer):
    def serialize(self, value: object) -> bytes:
        return str(value).upper().encode()

    def deserialize(self, data: bytes) -> object:
        return data.decode()


class Postcard(Notifier):
    def __init__(self, url: str) -> None:
        if "refuse" in url:
            raise ValueError("nobody lives there")
        self.url = url

    def notify(self, change: object) -> None:
        pass


class Given:
    """A plugin object that is no module and subclasses nothing."""

    @hookimpl
    def headrace_serializers(self) -> list[SerializerSpec]:
        return [SerializerSpec(name="upper", factory=f"{__name__}:Upper", summary="Upper case.")]

    @hookimpl
    def headrace_notifiers(self) -> list[NotifierSpec]:
        return [NotifierSpec(name="postcard", factory=f"{__name__}:Postcard", summary="By mail.")]


GIVEN = Given()


def refused(registry: Registry, kind: str, name: str) -> PluginLoadError:
    with pytest.raises(PluginLoadError) as caught:
        registry.resolve(kind, name)
    return caught.value


# Resolving


def test_named_plugin_is_loaded_and_made(site: Any) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    made = Registry(site.records()).create("executor", "one", workers=3)
    assert isinstance(made, Executor)
    assert made.capacity == 3


def test_resolved_plugin_says_where_it_came_from(site: Any) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    resolved = Registry(site.records()).resolve("executor", "one")
    assert resolved.record == site.records()[0]
    assert resolved.spec.summary == "For tests."
    assert resolved.label == "executor 'one' of headrace-one 1.0"


def test_plugins_that_nobody_named_are_not_imported(site: Any) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    site.add_executor("headrace-two", "two", "reg_two")
    Registry(site.records()).resolve("executor", "one")
    assert "reg_one" in sys.modules
    assert "reg_two" not in sys.modules


def test_resolving_twice_gives_the_same_object(site: Any) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    registry = Registry(site.records())
    assert registry.resolve("executor", "one") is registry.resolve("executor", "one")


def test_what_was_loaded_is_known_and_needs_no_look_at_what_is_installed(site: Any) -> None:
    site.add_executor("headrace-two", "two", "reg_two")
    site.add_executor("headrace-one", "one", "reg_one")
    registry = Registry(site.records())
    assert not registry.loaded
    registry.resolve("executor", "two")
    registry.resolve("executor", "one")
    assert [record.name for record in registry.loaded] == ["one", "two"]
    assert Registry().loaded == ()


def test_two_registries_share_nothing(site: Any) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    first, second = Registry(site.records()), Registry(site.records())
    first.resolve("executor", "one")
    assert [status.state for status in first.status] == ["loaded"]
    assert [status.state for status in second.status] == ["idle"]
    assert second.manager.plugins() == []


def test_threads_that_resolve_at_once_get_the_same_plugin(site: Any) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    registry = Registry(site.records())
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(registry.resolve("executor", "one"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert all(each is got[0] for each in got)


def test_names_and_records_import_nothing(site: Any) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    registry = Registry(site.records())
    assert registry.names("executor") == ("one",)
    assert registry.names("store") == ()
    assert [record.name for record in registry.records()] == ["one"]
    assert registry.records("store") == ()
    assert "reg_one" not in sys.modules


def test_in_tree_plugins_are_found_by_the_ordinary_scan() -> None:
    assert {"local", "threads"} <= set(Registry().names("executor"))


def test_unknown_kind_is_an_error_that_lists_the_kinds() -> None:
    with pytest.raises(PluginError, match=r"no kind of plugin named 'executer'. Did you mean 'executor'"):
        Registry([]).resolve("executer", "local")


def test_unknown_name_lists_the_installed_ones_and_the_nearest(site: Any) -> None:
    site.add_executor("headrace-one", "threads", "reg_one")
    with pytest.raises(PluginNotFoundError, match=r"Did you mean 'threads'. Known: local, threads"):
        Registry([*site.records(), OWN]).resolve("executor", "thread")


@pytest.mark.parametrize(
    ("kind", "name", "distribution"),
    [
        ("executor", "dask", "headrace-dask"),
        ("executor", "ray", "headrace-ray"),
        ("history", "postgresql", "headrace-postgres"),
    ],
)
def test_unknown_name_that_a_sibling_brings_says_what_to_install(kind: str, name: str, distribution: str) -> None:
    with pytest.raises(PluginNotFoundError, match=f"pip install {distribution}"):
        Registry([OWN]).resolve(kind, name)


def test_unknown_name_in_an_uninstalled_checkout_says_to_install_it() -> None:
    with pytest.raises(PluginNotFoundError, match="pip install -e"):
        Registry([]).resolve("executor", "local")


def test_unknown_name_mentions_metadata_that_could_not_be_read(site: Any) -> None:
    info = site.add("headrace-bad", "[headrace.executors]\nbroken\n")
    with pytest.raises(PluginNotFoundError, match="cannot be read") as caught:
        Registry().resolve("executor", "broken")
    assert str(info) in str(caught.value)


def test_malformed_metadata_of_another_distribution_does_not_matter(site: Any) -> None:
    site.add("headrace-bad", b"[headrace.executors]\nbroken \xff\n")
    site.add_executor("headrace-one", "one", "reg_one")
    assert Registry().resolve("executor", "one").owner == "headrace-one 1.0"


# Several owners


def test_two_owners_of_one_name_are_refused_by_name(site: Any) -> None:
    site.add_executor("headrace-a", "one", "reg_a")
    site.add_executor("headrace-b", "one", "reg_b")
    with pytest.raises(PluginConflictError, match="headrace-a and by headrace-b") as caught:
        Registry(site.records()).resolve("executor", "one")
    assert "[plugins.prefer.executor]" in str(caught.value)
    assert "reg_a" not in sys.modules


def test_preferred_owner_wins(site: Any) -> None:
    site.add_executor("headrace-a", "one", "reg_a")
    site.add_executor("headrace-b", "one", "reg_b")
    policy = PluginPolicy.from_config({"prefer": {"executor": {"one": "headrace-b"}}})
    assert Registry(site.records(), policy=policy).resolve("executor", "one").owner == "headrace-b 1.0"
    assert "reg_a" not in sys.modules


def test_preference_for_what_is_not_installed_leaves_the_only_owner(site: Any) -> None:
    site.add_executor("headrace-a", "one", "reg_a")
    policy = PluginPolicy.from_config({"prefer": {"executor": {"one": "gone"}}})
    assert Registry(site.records(), policy=policy).resolve("executor", "one").owner == "headrace-a 1.0"


def test_blocked_owner_is_no_conflict(site: Any) -> None:
    site.add_executor("headrace-a", "one", "reg_a")
    site.add_executor("headrace-b", "one", "reg_b")
    policy = PluginPolicy.from_config({"disabled": ["headrace-a"]})
    assert Registry(site.records(), policy=policy).resolve("executor", "one").owner == "headrace-b 1.0"


def test_one_name_in_two_kinds_is_no_conflict(site: Any) -> None:
    site.add_executor("headrace-a", "one", "reg_a")
    site.add("headrace-b", "[headrace.stores]\none = reg_b\n")
    assert Registry(site.records()).resolve("executor", "one").kind == "executor"


# Policy


@pytest.mark.parametrize("name", ["one", "executor:one", "headrace-one"])
def test_disabled_plugin_is_not_imported(site: Any, name: str) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    registry = Registry(site.records(), policy=PluginPolicy.from_config({"disabled": [name]}))
    error = refused(registry, "executor", "one")
    assert f"headrace-one 1.0 could not be loaded: it is disabled as {name!r}" in str(error)
    assert "reg_one" not in sys.modules
    assert registry.names("executor") == ()
    assert [status.state for status in registry.status] == ["blocked"]


def test_list_of_allowed_keeps_the_others_from_being_imported(site: Any) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    site.add_executor("headrace-two", "two", "reg_two")
    policy = PluginPolicy.from_config({}, {"HEADRACE_PLUGINS": "two"})
    registry = Registry(site.records(), policy=policy)
    assert registry.names("executor") == ("two",)
    refused(registry, "executor", "one")
    assert registry.resolve("executor", "two").spec.name == "two"
    assert "reg_one" not in sys.modules


# Broken plugins


def broken(site: Any, module: str, *, value: str = "reg_broken") -> PluginLoadError:
    """Try an executor plugin that cannot work and return what whoever asked for it is told."""
    site.add("headrace-broken", f"[headrace.executors]\nacme = {value}\n", version="7.1", reg_broken=module)
    registry = Registry(site.records())
    error = refused(registry, "executor", "acme")
    assert registry.manager.plugins() == []
    assert [(status.state, status.detail) for status in registry.status] == [("broken", str(error))]
    assert str(error).startswith("The executor 'acme' of headrace-broken 7.1 could not be loaded: ")
    return error


SPEC = """
from headrace.plugins import ExecutorSpec, hookimpl
HEADRACE_API = {api}
@hookimpl
def headrace_executors():
    return {answer}
"""


def returning(answer: str, api: int = API_VERSION) -> str:
    return SPEC.format(answer=answer, api=api)


def test_plugin_that_raises_on_import_is_one_error_with_the_cause(site: Any) -> None:
    error = broken(site, "import library_that_is_missing")
    assert "importing 'reg_broken' raised ModuleNotFoundError: No module named 'library_that_is_missing'" in str(error)
    assert isinstance(error.__cause__, ModuleNotFoundError)
    assert (error.kind, error.distribution) == ("executor", "headrace-broken 7.1")


def test_plugin_that_exits_on_import_is_not_stopped_from_exiting(site: Any) -> None:
    site.add("headrace-broken", "[headrace.executors]\nacme = reg_broken\n", reg_broken="raise SystemExit(3)")
    with pytest.raises(SystemExit):
        Registry(site.records()).resolve("executor", "acme")


def test_entry_point_that_is_no_import_string_is_an_error(site: Any) -> None:
    assert "'reg-broken # note' is not of the form" in str(broken(site, "", value="reg-broken # note"))


def test_entry_point_of_a_missing_object_is_an_error(site: Any) -> None:
    assert "'reg_broken' has no 'nothing.here'" in str(broken(site, "", value="reg_broken:nothing.here"))


def test_typo_in_a_hook_is_an_error_with_the_nearest_hook(site: Any) -> None:
    error = broken(site, "from headrace.plugins import hookimpl\n@hookimpl\ndef headrace_executor(): return []")
    assert "there is no hook 'headrace_executor'. Did you mean 'headrace_executors'?" in str(error)


def test_optional_hook_of_a_later_headrace_is_no_error(site: Any) -> None:
    module = returning("[ExecutorSpec(name='acme', factory='builtins:dict', summary='')]")
    module += "@hookimpl(optionalhook=True)\ndef headrace_of_the_future(thing): ...\n"
    site.add("headrace-one", "[headrace.executors]\nacme = reg_one\n", reg_one=module)
    assert Registry(site.records()).resolve("executor", "acme").factory is dict


def test_unmarked_hook_is_an_error_that_says_to_mark_it(site: Any) -> None:
    error = broken(site, "def headrace_executors(): return []")
    assert "implements no hook. Mark headrace_executors with `@headrace.plugins.hookimpl`" in str(error)


def test_other_interface_number_is_an_error_with_both(site: Any) -> None:
    assert "interface 2, and this headrace has 1" in str(broken(site, returning("[]", api=2)))


def test_spec_of_another_name_is_an_error(site: Any) -> None:
    error = broken(site, returning("[ExecutorSpec(name='acne', factory='builtins:dict', summary='')]"))
    assert "entry point is named 'acme', and its headrace_executors returned 'acne'" in str(error)


@pytest.mark.parametrize("answer", ["None", "['acme']", "[ExecutorSpec]", "7"])
def test_answer_that_is_no_list_of_specs_is_an_error(site: Any, answer: str) -> None:
    assert "expected" in str(broken(site, returning(answer)))


def test_hook_that_raises_is_an_error_with_the_cause(site: Any) -> None:
    error = broken(site, returning("1 / 0"))
    assert "ZeroDivisionError: division by zero" in str(error)
    assert isinstance(error.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("factory", ["reg_broken:Missing", "no_such_module:X", "not an import string"])
def test_factory_that_cannot_be_imported_is_an_error(site: Any, factory: str) -> None:
    error = broken(site, returning(f"[ExecutorSpec(name='acme', factory={factory!r}, summary='')]"))
    assert factory.partition(":")[0] in str(error)


def test_argument_that_the_hook_does_not_have_is_an_error(site: Any) -> None:
    error = broken(site, "from headrace.plugins import hookimpl\n@hookimpl\ndef headrace_executors(registry): ...")
    assert "its headrace_executors takes 'registry', which the hook does not have" in str(error)


def test_argument_with_a_default_is_an_error(site: Any) -> None:
    module = "from headrace.plugins import hookimpl\n@hookimpl\ndef headrace_engine_started(engine=None): ..."
    assert "gives 'engine' a default" in str(broken(site, module))


@pytest.mark.parametrize(
    "function",
    [
        "@hookimpl\nasync def headrace_executors(): ...",
        "@hookimpl\ndef headrace_engine_started(engine): yield",
        "@hookimpl\ndef headrace_engine_started(*, engine): ...",
        "@hookimpl(wrapper=True)\ndef headrace_executors(): return (yield)",
        "@hookimpl(wrapper=True)\ndef headrace_engine_started(engine): return (yield)",
        "@hookimpl(hookwrapper=True)\ndef headrace_task_state_changed(run): yield",
    ],
)
def test_function_that_cannot_be_called_as_a_hook_is_an_error(site: Any, function: str) -> None:
    assert "its headrace_" in str(broken(site, f"from headrace.plugins import hookimpl\n{function}"))


def test_broken_plugin_can_be_asked_for_again_after_a_repair(site: Any) -> None:
    site.add("headrace-broken", "[headrace.executors]\nacme = reg_broken\n", reg_broken="import missing_for_now")
    registry = Registry(site.records())
    refused(registry, "executor", "acme")
    (site.folder / "missing_for_now.py").write_text("")
    (site.folder / "reg_broken.py").write_text(
        returning("[ExecutorSpec(name='acme', factory='builtins:dict', summary='')]")
    )
    assert registry.resolve("executor", "acme").factory is dict
    assert [status.state for status in registry.status] == ["loaded"]


# One module, several entry points

SHARED = """
from headrace.plugins import ExecutorSpec, hookimpl
seen = []
@hookimpl
def headrace_executors():
    yield ExecutorSpec(name="a", factory="builtins:dict", summary="")
    yield ExecutorSpec(name="b", factory="builtins:list", summary="")
    yield ExecutorSpec(name="c", factory="reg_shared:Missing", summary="")
@hookimpl
def headrace_engine_started(engine):
    seen.append(engine)
"""
SHARED_POINTS = """
[headrace.executors]
a = reg_shared
b = reg_shared
c = reg_shared
[headrace.hooks]
shared = reg_shared
"""


def test_one_module_behind_several_entry_points_is_registered_once(site: Any) -> None:
    site.add("headrace-shared", SHARED_POINTS, reg_shared=SHARED)
    registry = Registry(site.records())
    registry.load_observers()
    assert registry.resolve("executor", "a").factory is dict
    assert registry.resolve("executor", "b").factory is list
    assert registry.manager.plugins() == [sys.modules["reg_shared"]]


def test_failure_of_one_entry_point_does_not_unload_the_others(site: Any) -> None:
    site.add("headrace-shared", SHARED_POINTS, reg_shared=SHARED)
    registry = Registry(site.records())
    registry.load_observers()
    refused(registry, "executor", "c")
    assert len(registry.manager.implementations("headrace_engine_started")) == 1


def test_module_of_two_distributions_is_registered_once(site: Any) -> None:
    site.add("headrace-shared", "[headrace.executors]\na = reg_shared\n", reg_shared=SHARED)
    site.add("headrace-again", "[headrace.executors]\nb = reg_shared\n")
    registry = Registry(site.records())
    registry.resolve("executor", "a")
    registry.resolve("executor", "b")
    assert len(registry.manager.plugins()) == 1


def test_entry_point_may_name_an_object_in_a_module(site: Any) -> None:
    module = """
    from headrace.plugins import ExecutorSpec, hookimpl
    class Plugin:
        @hookimpl
        def headrace_executors(self):
            return [ExecutorSpec(name="acme", factory="builtins:dict", summary="")]
    plugin = Plugin()
    """
    site.add("headrace-one", "[headrace.executors]\nacme = reg_one:plugin\n", reg_one=module)
    assert Registry(site.records()).resolve("executor", "acme").factory is dict


# Observers


def test_broken_observer_is_one_warning_and_the_others_load(site: Any, caplog: pytest.LogCaptureFixture) -> None:
    site.add_observer("headrace-a", "obs_a", "import library_that_is_missing")
    site.add_observer(
        "headrace-b",
        "obs_b",
        "from headrace.plugins import hookimpl\n@hookimpl\ndef headrace_engine_started(engine): ...",
    )
    registry = Registry(site.records())
    with caplog.at_level(logging.WARNING, "headrace.plugins"):
        registry.load_observers()
        registry.load_observers()
    assert len(caplog.records) == 1
    assert "observer 'obs_a' of headrace-a 1.0 could not be loaded" in caplog.text
    assert [status.state for status in registry.status] == ["broken", "loaded"]


def test_broken_observer_raises_in_strict_mode(site: Any) -> None:
    site.add_observer("headrace-a", "obs_a", "import library_that_is_missing")
    with pytest.raises(PluginLoadError, match="obs_a"):
        Registry(site.records(), policy=PluginPolicy(strict=True)).load_observers()


def test_metadata_that_cannot_be_read_raises_in_strict_mode(site: Any) -> None:
    site.add("headrace-bad", "[headrace.hooks]\nbroken\n")
    Registry().load_observers()
    with pytest.raises(PluginError, match="cannot be read"):
        Registry(policy=PluginPolicy(strict=True)).load_observers()


def test_disabled_observer_is_not_imported(site: Any) -> None:
    site.add_observer("headrace-a", "obs_a", "")
    Registry(site.records(), policy=PluginPolicy.from_config({"disabled": ["obs_a"]})).load_observers()
    assert "obs_a" not in sys.modules


def test_module_of_the_observer_group_without_an_observer_is_broken(site: Any) -> None:
    site.add_observer("headrace-a", "obs_a", returning("[]"))
    registry = Registry(site.records())
    registry.load_observers()
    assert "implements no observer hook" in registry.status[0].detail
    assert registry.manager.plugins() == []


# Objects


def test_object_offers_plugins() -> None:
    registry = Registry([], plugins=[Given()])
    assert registry.names("serializer") == ("upper",)
    assert registry.create("serializer", "upper").serialize("a") == b"A"
    assert registry.resolve("serializer", "upper").record is None


def test_object_beats_an_installed_plugin(site: Any) -> None:
    site.add("headrace-one", "[headrace.serializers]\nupper = reg_one\n", reg_one="raise RuntimeError")
    assert Registry(site.records(), plugins=[Given()]).resolve("serializer", "upper").factory.__name__ == "Upper"  # type: ignore[attr-defined]


def test_object_given_twice_counts_once() -> None:
    given = Given()
    assert Registry([], plugins=[given, given]).manager.plugins() == [given]


def test_two_objects_that_offer_one_name_are_a_conflict() -> None:
    with pytest.raises(PluginConflictError, match=r"is offered by .*Given and by .*Given"):
        Registry([], plugins=[Given(), Given()])


def test_module_given_as_an_object_is_not_registered_again_as_installed(site: Any) -> None:
    site.add("headrace-shared", SHARED_POINTS, reg_shared=SHARED)
    import reg_shared  # type: ignore[import-not-found]

    registry = Registry(site.records(), plugins=[reg_shared])
    registry.load_observers()
    assert len(registry.manager.plugins()) == 1


def test_plugin_may_be_given_by_import_string() -> None:
    registry = Registry([], plugins=[f"{__name__}:GIVEN"])
    assert registry.manager.plugins() == [GIVEN]
    assert registry.names("serializer") == ("upper",)


class Typo:
    @hookimpl
    def headrace_task_state_change(self, run: object) -> None: ...


class Unmarked:
    def headrace_engine_started(self, engine: object) -> None: ...


class Raising:
    @hookimpl
    def headrace_executors(self) -> list[ExecutorSpec]:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (Typo(), "no hook 'headrace_task_state_change'. Did you mean 'headrace_task_state_changed'"),
        (Unmarked(), "Mark headrace_engine_started"),
        (Given, r"Given is a class. Pass an object: `Given\(\)`"),
        ("no_such_module", "importing 'no_such_module' raised ModuleNotFoundError"),
        (7, "int implements no hook"),
        (Raising(), "ZeroDivisionError"),
    ],
)
def test_object_that_does_not_fit_is_refused_where_it_is_given(plugin: object, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        Registry([], plugins=[plugin])


# Making


def test_plugin_is_made_from_a_url_by_its_scheme() -> None:
    made = Registry([], plugins=[Given()]).create_from_url("notifier", "Postcard://home?stamp=1")
    assert isinstance(made, Postcard)
    assert made.url == "Postcard://home?stamp=1"


@pytest.mark.parametrize("url", ["home", "//home", ":home", "", "hé://home"])
def test_url_without_a_scheme_lists_the_known_ones(url: str) -> None:
    with pytest.raises(PluginOptionError, match="Known: postcard:"):
        Registry([], plugins=[Given()]).create_from_url("notifier", url)


def test_refused_url_is_not_repeated_in_the_message() -> None:
    with pytest.raises(PluginOptionError, match="does not accept this: ValueError: nobody lives there") as caught:
        Registry([], plugins=[Given()]).create_from_url("notifier", "postcard://user:hunter2@refuse")
    assert "hunter2" not in str(caught.value)


def test_unknown_option_names_the_nearest(site: Any) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    with pytest.raises(PluginOptionError, match=r"no option 'wokers'. Did you mean 'workers'"):
        Registry(site.records()).create("executor", "one", wokers=3)


def test_text_option_is_read_as_the_annotated_type(site: Any) -> None:
    site.add_executor("headrace-one", "one", "reg_one")
    made: Any = Registry(site.records()).create("executor", "one", workers="3", fast="yes", label="7")
    assert (made.workers, made.fast, made.label) == (3, True, "7")


FACTORIES = """
from headrace.exceptions import ConfigError
from headrace.plugins import ExecutorSpec, hookimpl
@hookimpl
def headrace_executors():
    return [ExecutorSpec(name=n, factory="reg_f:" + n, summary="") for n in ("none", "boom", "known", "thing")]
def none(): return None
def boom(): raise OSError("no route to cluster")
def known(): raise ConfigError("set the address")
thing = 7
"""


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("none", PluginLoadError, "made a NoneType, which is no headrace.abc.Executor"),
        ("boom", PluginLoadError, "OSError: no route to cluster"),
        ("known", HeadraceError, "^set the address$"),
        ("thing", PluginLoadError, "is 7, which cannot be called"),
    ],
)
def test_factory_that_fails_is_one_error(site: Any, name: str, error: type[Exception], message: str) -> None:
    site.add("headrace-f", f"[headrace.executors]\n{name} = reg_f\n", reg_f=FACTORIES)
    with pytest.raises(error, match=message):
        Registry(site.records()).create("executor", name)


TASKS = """
from headrace.plugins import TaskSpec, hookimpl
@hookimpl
def headrace_tasks():
    return [TaskSpec(name="ready", factory="reg_t:ready", summary=""),
            TaskSpec(name="cls", factory="reg_t:Cls", summary="")]
class Cls:
    def __init__(self, size: int = 1): self.size = size
    def __call__(self): raise AssertionError("a task object must not be called here")
ready = Cls()
"""


def test_task_class_is_made_and_task_object_is_returned_as_it_is(site: Any) -> None:
    site.add("headrace-t", "[headrace.tasks]\nready = reg_t\ncls = reg_t\n", reg_t=TASKS)
    registry = Registry(site.records())
    assert registry.create("task", "ready") is sys.modules["reg_t"].ready
    made: Any = registry.create("task", "cls", size="4")
    assert made.size == 4


def test_healthy_start_imports_neither_logging_nor_a_metadata_library() -> None:
    code = (
        "import sys\n"
        "from headrace.hooks.registry import Registry\n"
        "from headrace.hooks.observers import Observers\n"
        "registry = Registry(); registry.load_observers(); Observers(registry)\n"
        "print(sorted({'logging', 'importlib_metadata', 'importlib.metadata', 'pathlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
