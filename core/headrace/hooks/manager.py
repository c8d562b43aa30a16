"""The plugins that are loaded, behind checks that pluggy does not make."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Final

import pluggy

from headrace import plugins
from headrace.exceptions import PluginError, nearest
from headrace.hooks import specs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from headrace.hooks.kinds import Kind

    Spec: TypeAlias = (
        plugins.ExecutorSpec
        | plugins.ResultStoreSpec
        | plugins.NotifierSpec
        | plugins.SerializerSpec
        | plugins.TaskSpec
        | plugins.CommandSpec
    )

__all__ = ["OBSERVER_HOOKS", "HookManager"]

OBSERVER_HOOKS: Final = (
    "headrace_engine_started",
    "headrace_engine_stopping",
    "headrace_flow_state_changed",
    "headrace_task_state_changed",
)


class HookManager:
    """Holds plugin objects and finds their hook implementations.

    ``version`` changes whenever a plugin comes or goes, so that others can keep what they derived from the list.
    Not thread-safe by itself; the registry that owns it takes turns.
    """

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager("headrace")
        self._manager.add_hookspecs(specs)
        self.version = 0

    def register(self, plugin: object, label: str) -> bool:
        """Add a plugin under a label that messages name it by; return False if it is there already.

        Raise `PluginError` without a trace left if it does not fit.
        """
        if self._manager.is_registered(plugin):
            return False
        found = next(self.problems(plugin), None)
        if found is not None:
            raise found
        try:
            self._manager.register(plugin, self._free(label))
        except (pluggy.PluginValidationError, ValueError) as error:
            raise PluginError(" ".join(str(error).split())) from error
        self.version += 1
        return True

    def unregister(self, plugin: object) -> None:
        """Take a plugin out again."""
        self._manager.unregister(plugin)
        self.version += 1

    def plugins(self) -> list[object]:
        """Return what is registered, in the order of registration."""
        return [plugin for _, plugin in self._manager.list_name_plugin() if plugin is not None]

    def implementations(self, hook: str) -> list[pluggy.HookImpl]:
        """Return the implementations of a hook in the order of calling."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return caller.get_hookimpls()[::-1]  # pluggy lists them the other way round

    def specs(self, plugin: object, kind: Kind) -> list[Spec]:
        """Return what a registered plugin offers of a kind; raise `PluginError` if the answer is malformed."""
        answers: list[object] = []
        for implementation in self.implementations(kind.hook):
            if implementation.plugin is plugin:
                answers += _listed(implementation.function(), kind)
        expected = getattr(plugins, kind.spec)
        for answer in answers:
            if not isinstance(answer, expected):
                raise PluginError(f"{kind.hook} returned {answer!r}; expected {kind.spec} objects")
        return answers  # type: ignore[return-value]  # each was checked against the class the row names

    def hooks(self, plugin: object) -> list[str]:
        """Return the names that a plugin's marked functions claim, whether there are such hooks or not."""
        return [name for name, _, _ in self._marked(plugin)]

    def problems(self, plugin: object) -> Iterator[PluginError]:
        """Yield everything that keeps a plugin from being registered."""
        number = getattr(plugin, "HEADRACE_API", 1)
        if number != plugins.API_VERSION:
            yield PluginError(
                f"it was written for plugin interface {number!r}, and this headrace has {plugins.API_VERSION}",
                hint="Install releases of the two that fit together.",
            )
        if inspect.isclass(plugin):
            yield PluginError(f"{plugin.__qualname__} is a class", hint=f"Pass an object: `{plugin.__name__}()`.")
            return
        marked = list(self._marked(plugin))
        if not marked:
            yield PluginError(f"{_named(plugin)} implements no hook", hint=_unmarked(plugin))
        for name, attribute, options in marked:
            yield from _misfits(name, getattr(plugin, attribute), options)

    def _marked(self, plugin: object) -> Iterator[tuple[str, str, pluggy.HookimplOpts]]:
        """Yield the hook, the attribute and the options of each function that is marked as an implementation."""
        for attribute in dir(plugin):
            options = self._manager.parse_hookimpl_opts(plugin, attribute)
            if options is not None:
                yield options.get("specname") or attribute, attribute, options

    def _free(self, label: str) -> str:
        name, number = label, 1
        while self._manager.has_plugin(name):
            number += 1
            name = f"{label} ({number})"
        return name


def _misfits(name: str, function: object, options: pluggy.HookimplOpts) -> Iterator[PluginError]:
    """Yield what is wrong with one marked function."""
    if name not in specs.__all__:
        if not options.get("optionalhook"):
            yield PluginError(f"there is no hook {name!r}", hint=nearest(name, specs.__all__))
    elif options.get("wrapper") or options.get("hookwrapper"):
        yield PluginError(f"its {name} is a wrapper, and no hook of headrace can be wrapped")
    elif inspect.iscoroutinefunction(function) or (name in OBSERVER_HOOKS and inspect.isgeneratorfunction(function)):
        yield PluginError(f"its {name} is a coroutine or a generator, which a call alone would not run")
    else:
        yield from _misfit_arguments(name, function)


def _misfit_arguments(name: str, function: object) -> Iterator[PluginError]:
    known = inspect.signature(getattr(specs, name)).parameters
    for parameter in inspect.signature(function).parameters.values():  # type: ignore[arg-type]
        if parameter.name not in known:
            yield PluginError(
                f"its {name} takes {parameter.name!r}, which the hook does not have",
                hint=nearest(parameter.name, known) or "The hook takes no arguments.",
            )
        elif parameter.kind is parameter.KEYWORD_ONLY:
            yield PluginError(f"its {name} takes {parameter.name!r} by keyword only, and hooks are called by position")
        elif parameter.default is not parameter.empty:
            yield PluginError(f"its {name} gives {parameter.name!r} a default, which would never be used")


def _listed(answer: object, kind: Kind) -> list[object]:
    try:
        answers: Iterator[object] = iter(answer)  # type: ignore[call-overload]
    except TypeError as error:
        raise PluginError(f"{kind.hook} returned {answer!r}; expected an iterable of {kind.spec} objects") from error
    return list(answers)


def _named(plugin: object) -> str:
    return str(getattr(plugin, "__name__", None) or type(plugin).__qualname__)


def _unmarked(plugin: object) -> str | None:
    forgotten = [name for name in specs.__all__ if callable(getattr(plugin, name, None))]
    return f"Mark {forgotten[0]} with `@headrace.plugins.hookimpl`." if forgotten else None
