"""Which installed plugins may load, decided on their records before anything of theirs is imported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.exceptions import ConfigError
from headrace.hooks.scan import normalize

if TYPE_CHECKING:
    from collections.abc import Iterable

    from headrace.hooks.scan import PluginRecord

__all__ = ["PluginPolicy"]

_OWN_DISTRIBUTION = "headrace"
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginPolicy:
    """What may load, and which distribution wins where two offer one name.

    ``allowed`` is None for everything, otherwise a list of what may load; it speaks about the plugins of others, so
    headrace's own stay. ``disabled`` is what may not load, headrace's own included, and wins over ``allowed``. An
    item of either is a plugin's name, ``kind:name``, or a distribution. ``preferred`` maps kind and name to a
    distribution. ``source`` names where ``allowed`` was set, for messages.
    """

    allowed: frozenset[str] | None = None
    disabled: frozenset[str] = frozenset()
    preferred: Mapping[tuple[str, str], str] = field(default_factory=dict)
    strict: bool = False
    source: str = "the plugin policy"

    @classmethod
    def from_config(
        cls,
        section: Mapping[str, object] | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        no_plugins: bool | str | Iterable[str] = False,
        strict: bool | None = None,
    ) -> PluginPolicy:
        """Build the policy from the ``[plugins]`` section of the configuration and the environment variables.

        ``HEADRACE_PLUGINS`` (``none``, or a comma list of what may load) replaces ``allow``, which allows everything
        when it is empty; ``HEADRACE_PLUGINS_STRICT`` replaces ``strict``, and the argument ``strict`` replaces both.
        ``no_plugins`` is what the command line was told: True for none at all, or what to leave out, listed or with
        commas. Raise `ConfigError` for a setting of the wrong type.
        """
        section, environment = section or {}, environment or {}
        left_out = frozenset() if isinstance(no_plugins, bool) else _listed(no_plugins)
        allowed, source = _allowed(section, environment)
        if no_plugins is True:
            allowed, source = frozenset(), "--no-plugins"
        return cls(
            allowed=allowed,
            disabled=(_names(section, "disabled") or frozenset()) | left_out,
            preferred=_preferred(section.get("prefer", {})),
            strict=_strict(section, environment) if strict is None else strict,
            source=source,
        )

    def refusal(self, record: PluginRecord) -> str | None:
        """Return why a plugin may not load, as the end of a sentence, or None if it may."""
        spellings = _spellings(record)
        refused = next((name for name in sorted(self.disabled) if _spelled(name) in spellings), None)
        if refused is not None:
            return f"it is disabled as {refused!r}"
        if self.allowed is None or normalize(record.distribution) == _OWN_DISTRIBUTION:
            return None
        if any(_spelled(name) in spellings for name in self.allowed):
            return None
        return f"{self.source} does not allow it"

    def allows(self, record: PluginRecord) -> bool:
        """Tell whether a plugin may load."""
        return self.refusal(record) is None

    def prefers(self, record: PluginRecord) -> bool:
        """Tell whether a plugin is the one that was chosen among those with its kind and name."""
        chosen = self.preferred.get((record.kind, record.name))
        return chosen is not None and normalize(chosen) == normalize(record.distribution)


def _spellings(record: PluginRecord) -> frozenset[str]:
    """Return the ways to name a record; separators matter as little as they do in a distribution's name."""
    return frozenset({_spelled(record.name), _spelled(f"{record.kind}:{record.name}"), _spelled(record.distribution)})


def _spelled(name: str) -> str:
    return normalize(name.strip())


def _allowed(section: Mapping[str, object], environment: Mapping[str, str]) -> tuple[frozenset[str] | None, str]:
    text = environment.get("HEADRACE_PLUGINS", "").strip()
    if not text:
        return _names(section, "allow") or None, "`allow` under [plugins]"
    return frozenset() if text.lower() == "none" else _listed(text), f"HEADRACE_PLUGINS={text}"


def _listed(names: str | Iterable[str]) -> frozenset[str]:
    """Return names that are given one by one, or in one text with commas between them."""
    items = names.split(",") if isinstance(names, str) else names
    return frozenset(filter(None, map(str.strip, items)))


def _names(section: Mapping[str, object], key: str) -> frozenset[str] | None:
    value = section.get(key)
    if value is None:
        return None
    if not isinstance(value, (list, tuple, set, frozenset)) or not all(isinstance(item, str) for item in value):
        raise ConfigError(
            f"`{key}` under [plugins] is {value!r}; expected a list of names.",
            hint=f'Write it as `{key} = ["name", "kind:name", "distribution"]`.',
        )
    return frozenset(value)


def _strict(section: Mapping[str, object], environment: Mapping[str, str]) -> bool:
    text = environment.get("HEADRACE_PLUGINS_STRICT", "").strip().lower()
    if text in _TRUE | _FALSE:
        return text in _TRUE
    if text:
        raise ConfigError(f"HEADRACE_PLUGINS_STRICT is {text!r}; expected 1 or 0.")
    value = section.get("strict", False)
    if not isinstance(value, bool):
        raise ConfigError(f"`strict` under [plugins] is {value!r}; expected true or false.")
    return value


def _preferred(section: object) -> dict[tuple[str, str], str]:
    if not isinstance(section, Mapping) or not all(isinstance(names, Mapping) for names in section.values()):
        raise ConfigError(
            f"`prefer` under [plugins] is {section!r}; expected a table of tables.",
            hint='Write it as `"name" = "distribution"` under [plugins.prefer.kind].',
        )
    return {(kind, name): str(chosen) for kind, names in section.items() for name, chosen in names.items()}
