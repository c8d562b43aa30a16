"""Secrets: names for values that are looked up where a task runs, and that are shown nowhere.

`Secret` is looked up in ``context.secrets``, which is ``[context.secrets]`` of the configuration,
``HEADRACE__CONTEXT__SECRETS__NAME``, and what ``flow.run(context={"secrets": ...})`` or ``context(secrets=...)`` add;
then in the providers that ``[secrets] providers`` lists, in order. ``[secrets.NAME]`` holds the options of a provider.
In a task, providers are plugins of the engine that drives its run, and the configuration is that of this engine.
A value that was found is masked from then on in what headrace writes, see `headrace.masking`.
"""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from headrace import config
from headrace.exceptions import DefinitionTypeError, HeadraceError, SecretError, SecretNotFoundError
from headrace.masking import masker
from headrace.run_context import building, context, current_frame, run_around
from headrace.value_paths import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from headrace.abc import SecretProvider
    from headrace.engine import Engine
    from headrace.hooks.registry import Registry

__all__ = ["Secret"]

_CONTEXT: Final = "context.secrets"
_MISSING: Final = object()


class Secret:
    """The name of a secret; `get` looks the value up where it is called, which is in a task.

    It holds no value, so it may be printed, pickled, stored and passed to tasks. Two with one name are equal.

    Args:
        name: what the context or a provider knows the secret by.
        providers: providers to ask, by the names that messages call them, instead of the configured ones.
    """

    __slots__ = ("_providers", "name")

    def __init__(self, name: str, *, providers: Mapping[str, SecretProvider] | None = None) -> None:
        if not isinstance(name, str):
            raise DefinitionTypeError(
                f"The name of a secret is a text, and got an object of type {type_name(type(name))}."
            )
        if not name.strip():
            raise SecretError("A secret needs a name, and got a blank text.")
        self.name = name
        self._providers = providers

    def get(self) -> Any:
        """Return the value; a text that is JSON comes decoded, as a number, list or dictionary.

        Raises `SecretNotFoundError`, a ValueError, that lists who was asked, and `SecretError`, a ValueError, while a
        flow is being built or if a provider cannot be asked. May be called from any thread.
        """
        self._refuse_at_build()
        found, asked = self._find()
        if found is _MISSING:
            raise SecretNotFoundError(self.name, asked)
        masker.add(found)
        decoded = _decoded(found)
        if decoded is not found:
            masker.add(decoded)
        return decoded

    def exists(self) -> bool:
        """Tell whether `get` would find a value; raises SecretError as `get` does."""
        self._refuse_at_build()
        return self._find()[0] is not _MISSING

    def _refuse_at_build(self) -> None:
        if building.get().flow is not None:
            raise SecretError(
                f"Secret {self.name!r} was asked for while a flow is being built, which would write it into the flow.",
                hint="Call `.get()` in a task, or pass the result of `NamedSecret` to one.",
            )

    def _find(self) -> tuple[object, list[str]]:
        asked = [_CONTEXT]
        found = _in_context(self.name)
        if found is not _MISSING:
            return found, asked
        for name, make in _configured() if self._providers is None else _given(self._providers):
            asked.append(name)
            value = self._ask(name, make)
            if value is not None:
                return value, asked
        return _MISSING, asked

    def _ask(self, provider: str, make: Callable[[], SecretProvider]) -> object:
        try:
            return make().find(self.name)
        except HeadraceError:
            raise
        except Exception as error:  # a provider is foreign code, and may raise anything
            raise SecretError(
                f"The provider {provider!r} could not be asked for secret {self.name!r}: {type(error).__name__}.",
                hint="Correct its options under "
                f"[secrets.{provider}], or take it out of `secrets.providers` of the configuration.",
            ) from error

    def __headrace_content__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"Secret({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self.name))


def _in_context(name: str) -> object:
    for secrets in (context.get("secrets"), *(settings["context"]["secrets"] for settings in _settings())):
        if secrets is not None and name in secrets:
            value = secrets[name]
            return value.to_dict() if isinstance(value, config.Config) else value
    return _MISSING


def _settings() -> Iterator[Mapping[str, Any]]:
    """Yield the configuration that holds here, and that of the run, which may be on another thread."""
    yield config.current()
    engine = _engine()
    if engine is not None:
        yield engine.config


def _engine() -> Engine | None:
    """Return the engine that drives the run whose task asks, or None outside of runs and in another process."""
    run = run_around(current_frame.get())
    return None if run is None else run.engine


def _given(providers: Mapping[str, SecretProvider]) -> Iterator[tuple[str, Callable[[], SecretProvider]]]:
    for name, provider in providers.items():
        yield name, partial(_itself, provider)


def _itself(provider: SecretProvider) -> SecretProvider:
    return provider


def _configured() -> Iterator[tuple[str, Callable[[], SecretProvider]]]:
    """Yield the providers that the configuration lists, each made only when it is asked."""
    engine = _engine()
    current = config.current() if engine is None else engine.config
    names = current["secrets"]["providers"]
    if not names:
        return
    registry = _registry(current) if engine is None else engine.registry
    for name in names:
        options = current["secrets"].get(name, {})
        yield name, partial(_made, registry, name, options)


def _registry(current: Mapping[str, Any]) -> Registry:
    from headrace.hooks.policy import PluginPolicy  # noqa: PLC0415 - brings pluggy, and few runs ask a provider
    from headrace.hooks.registry import Registry  # noqa: PLC0415

    section = current["plugins"]
    return Registry(policy=PluginPolicy.from_config(section, os.environ), plugins=section["modules"])


def _made(registry: Registry, name: str, options: Mapping[str, object]) -> SecretProvider:
    return cast("SecretProvider", registry.create("secret-provider", name, **options))


def _decoded(value: object) -> object:
    """Return what a JSON text stands for, as the classic engine does; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return value


def _no_constant(_: str) -> NoReturn:
    raise ValueError  # "NaN" and "Infinity" are no JSON, whatever the json module thinks
