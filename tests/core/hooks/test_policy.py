from __future__ import annotations

from types import MappingProxyType

import pytest

from headrace.exceptions import ConfigError
from headrace.hooks.policy import PluginPolicy
from headrace.hooks.scan import PluginRecord


def record(name: str = "dask", distribution: str = "headrace-dask", group: str = "headrace.executors") -> PluginRecord:
    return PluginRecord(group=group, name=name, value="m", distribution=distribution, version="1.0")


OWN = record("local", "headrace")


def test_everything_is_allowed_by_default() -> None:
    policy = PluginPolicy.from_config()
    assert policy.allows(record())
    assert policy.allows(OWN)
    assert not policy.strict


@pytest.mark.parametrize("name", ["dask", "executor:dask", "headrace-dask", "Headrace_Dask", " dask "])
def test_list_of_allowed_takes_a_name_a_kind_with_a_name_or_a_distribution(name: str) -> None:
    policy = PluginPolicy.from_config({}, {"HEADRACE_PLUGINS": f"other,{name}"})
    assert policy.allows(record())


def test_list_of_allowed_blocks_what_it_does_not_name_and_says_who_said_so() -> None:
    policy = PluginPolicy.from_config({}, {"HEADRACE_PLUGINS": "ray, store:dask"})
    assert policy.refusal(record()) == "HEADRACE_PLUGINS=ray, store:dask does not allow it"


def test_none_blocks_the_plugins_of_others_and_not_the_essential_ones() -> None:
    policy = PluginPolicy.from_config({}, {"HEADRACE_PLUGINS": "none"})
    assert not policy.allows(record())
    assert policy.allows(OWN)


def test_own_plugin_is_blocked_when_it_is_named() -> None:
    assert not PluginPolicy.from_config({"disabled": ["local"]}).allows(OWN)
    assert not PluginPolicy.from_config({"disabled": ["headrace"]}).allows(OWN)


def test_empty_variable_is_no_list() -> None:
    assert PluginPolicy.from_config({}, {"HEADRACE_PLUGINS": " "}).allows(record())


def test_variable_replaces_the_list_of_the_configuration() -> None:
    policy = PluginPolicy.from_config({"allow": ["dask"]}, {"HEADRACE_PLUGINS": "ray"})
    assert not policy.allows(record())
    assert policy.allows(record("ray", "headrace-ray"))


def test_configured_list_names_itself_in_the_refusal() -> None:
    policy = PluginPolicy.from_config({"allow": ["ray"]})
    assert policy.refusal(record()) == "`allow` under [plugins] does not allow it"


def test_configured_list_that_is_empty_is_no_list() -> None:
    assert PluginPolicy.from_config({"allow": []}).allows(record())


def test_disabled_wins_over_allowed() -> None:
    policy = PluginPolicy.from_config({"allow": ["dask"], "disabled": ["executor:dask"]})
    assert policy.refusal(record()) == "it is disabled as 'executor:dask'"


def test_kind_is_part_of_what_is_disabled() -> None:
    policy = PluginPolicy.from_config({"disabled": ["executor:dask"]})
    assert policy.allows(record(group="headrace.stores"))


def test_no_plugins_blocks_everything_of_others() -> None:
    policy = PluginPolicy.from_config({}, {}, no_plugins=True)
    assert policy.refusal(record()) == "--no-plugins does not allow it"
    assert policy.allows(OWN)


@pytest.mark.parametrize("names", ["dask,ray", ["dask", "ray"]])
def test_no_plugins_with_names_leaves_out_only_those(names: str | list[str]) -> None:
    policy = PluginPolicy.from_config({}, {}, no_plugins=names)
    assert not policy.allows(record())
    assert policy.allows(record("other", "headrace-other"))


def test_observer_can_be_disabled_by_kind_and_name() -> None:
    policy = PluginPolicy.from_config({"disabled": ["observer:sentry"]})
    assert not policy.allows(record("sentry", "headrace-sentry", "headrace.hooks"))


@pytest.mark.parametrize(
    ("section", "variable", "strict"),
    [({}, "1", True), ({"strict": True}, "", True), ({"strict": True}, "0", False), ({}, "", False)],
)
def test_strict_comes_from_the_variable_first(section: dict[str, object], variable: str, strict: bool) -> None:
    assert PluginPolicy.from_config(section, {"HEADRACE_PLUGINS_STRICT": variable}).strict is strict


def test_strict_that_is_given_wins_over_settings() -> None:
    assert not PluginPolicy.from_config({"strict": True}, {"HEADRACE_PLUGINS_STRICT": "1"}, strict=False).strict
    assert PluginPolicy.from_config({}, {}, strict=True).strict


def test_tables_may_be_any_mapping() -> None:
    section = MappingProxyType({"prefer": MappingProxyType({"executor": MappingProxyType({"dask": "rival"})})})
    assert PluginPolicy.from_config(section).prefers(record(distribution="rival"))


def test_preference_is_for_one_kind_and_name() -> None:
    policy = PluginPolicy.from_config({"prefer": {"executor": {"dask": "Headrace_Dask"}}})
    assert policy.prefers(record())
    assert not policy.prefers(record(distribution="rival"))
    assert not policy.prefers(record(group="headrace.stores"))


@pytest.mark.parametrize(
    "section",
    [{"allow": "dask"}, {"disabled": [1]}, {"strict": "yes"}, {"prefer": "dask"}, {"prefer": {"executor": "dask"}}],
)
def test_setting_of_the_wrong_type_is_an_error_that_names_it(section: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"`{next(iter(section))}` under \\[plugins\\]"):
        PluginPolicy.from_config(section)


def test_strict_variable_of_another_value_is_an_error() -> None:
    with pytest.raises(ConfigError, match="HEADRACE_PLUGINS_STRICT is 'maybe'; expected 1 or 0"):
        PluginPolicy.from_config({}, {"HEADRACE_PLUGINS_STRICT": "maybe"})
