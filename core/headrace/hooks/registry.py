"""The plugins of one engine, and the only road to any of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar, overload

from headrace.exceptions import (
    HeadraceError,
    PluginConflictError,
    PluginError,
    PluginLoadError,
    PluginNotFoundError,
    PluginOptionError,
    nearest,
)
from headrace.hooks.imports import described, import_string
from headrace.hooks.kinds import KINDS, OBSERVER_GROUP
from headrace.hooks.manager import OBSERVER_HOOKS, HookManager
from headrace.hooks.policy import PluginPolicy
from headrace.hooks.scan import PluginRecord, Scan, normalize, scan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from headrace.abc import Executor, Notifier, ResultStore, RunStore, Serializer
    from headrace.hooks.kinds import Kind
    from headrace.hooks.manager import Spec

__all__ = ["PluginStatus", "Registry", "Resolved"]

T = TypeVar("T")

# What to install for a name that is known and missing. Only distributions that live in this repository.
_SIBLINGS = (
    ("executor", "dask", "headrace-dask"),
    ("executor", "ray", "headrace-ray"),
    ("history", "postgres", "headrace-postgres"),
    ("history", "postgresql", "headrace-postgres"),
)


class Resolved(NamedTuple):
    """A plugin that is loaded.

    ``owner`` names the distribution and its version; for a plugin that came as an object, which has no ``record``,
    it names the object.
    """

    kind: str
    record: PluginRecord | None
    owner: str
    spec: Spec
    factory: object

    @property
    def label(self) -> str:
        """The plugin as messages name it."""
        return f"{self.kind} {self.spec.name!r} of {self.owner}"


class PluginStatus(NamedTuple):
    """What has become of one installed plugin; ``detail`` says why, for those that are blocked or broken."""

    record: PluginRecord
    state: Literal["idle", "loaded", "blocked", "broken"]
    detail: str = ""


class Registry:
    """Loads plugins by name, each when it is first asked for.

    ``records`` are the installed plugins, by default those of `headrace.hooks.scan.scan`, taken when first needed.
    ``plugins`` are objects, modules, or import strings of either, that implement hooks; they win over installed ones.
    May be used from any thread.
    """

    def __init__(
        self,
        records: Iterable[PluginRecord] | None = None,
        *,
        policy: PluginPolicy | None = None,
        plugins: Iterable[object] = (),
    ) -> None:
        self.policy = policy or PluginPolicy()
        self.manager = HookManager()
        self._scan = None if records is None else Scan(tuple(records), ())
        self._lock = threading.RLock()
        self._given: dict[tuple[str, str], tuple[str, Spec]] = {}
        self._modules: dict[tuple[str, str], object] = {}
        self._resolved: dict[tuple[str, str], Resolved] = {}
        self._broken: dict[PluginRecord, PluginError] = {}
        self._loaded: set[PluginRecord] = set()
        self._observers_loaded = False
        for plugin in plugins:
            self._add(plugin)

    # What there is

    def records(self, kind: str | None = None) -> tuple[PluginRecord, ...]:
        """Return the installed plugins, blocked ones included, without importing any."""
        return tuple(record for record in self._installed().records if kind is None or record.kind == kind)

    def names(self, kind: str) -> tuple[str, ...]:
        """Return the names that `resolve` may be asked for, sorted."""
        given = {name for given_kind, name in self._given if given_kind == _kind(kind).name}
        return tuple(sorted(given | {record.name for record in self.records(kind) if self.policy.allows(record)}))

    @property
    def status(self) -> tuple[PluginStatus, ...]:
        """What has become of each installed plugin so far."""
        return tuple(self._status(record) for record in self.records())

    @property
    def loaded(self) -> tuple[PluginRecord, ...]:
        """The installed plugins that were loaded so far, sorted."""
        return tuple(sorted(self._loaded, key=lambda record: (record.distribution, record.group, record.name)))

    # How to get at it

    def resolve(self, kind: str, name: str) -> Resolved:
        """Load the plugin of a kind with a name, once; nothing of the other plugins is imported.

        Raise `PluginNotFoundError`, `PluginConflictError` if two distributions offer it and none is preferred, or
        `PluginLoadError` if it is blocked or broken.
        """
        found = self._resolved.get((kind, name))
        if found is not None:
            return found
        with self._lock:
            found = self._resolved.get((kind, name)) or self._resolve(_kind(kind), name)
            self._resolved[kind, name] = found
        return found

    @overload
    def create(self, kind: Literal["executor"], name: str, /, *args: object, **options: object) -> Executor: ...
    @overload
    def create(self, kind: Literal["store"], name: str, /, *args: object, **options: object) -> ResultStore: ...
    @overload
    def create(self, kind: Literal["history"], name: str, /, *args: object, **options: object) -> RunStore: ...
    @overload
    def create(self, kind: Literal["notifier"], name: str, /, *args: object, **options: object) -> Notifier: ...
    @overload
    def create(self, kind: Literal["serializer"], name: str, /, *args: object, **options: object) -> Serializer: ...
    @overload
    def create(self, kind: str, name: str, /, *args: object, **options: object) -> object: ...

    def create(self, kind: str, name: str, /, *args: object, **options: object) -> object:
        """Make an object with the factory of a plugin.

        ``options`` are checked against the factory's signature, names and annotated types, and texts are read as the
        annotated type. A task or command that is an object already is returned as it is.
        Raise what `resolve` raises, `PluginOptionError`, or `PluginLoadError` if the factory raises.
        """
        resolved = self.resolve(kind, name)
        interface = KINDS[kind].interface
        if interface is None and not isinstance(resolved.factory, type):
            return resolved.factory
        if options:
            from headrace.hooks.options import checked_options  # noqa: PLC0415 - most runs pass none

            options = checked_options(resolved.factory, resolved.label, args, options)
        return _constructed(resolved, interface, args, options)

    @overload
    def create_from_url(self, kind: Literal["store"], url: str) -> ResultStore: ...
    @overload
    def create_from_url(self, kind: Literal["history"], url: str) -> RunStore: ...
    @overload
    def create_from_url(self, kind: Literal["notifier"], url: str) -> Notifier: ...
    @overload
    def create_from_url(self, kind: str, url: str) -> object: ...

    def create_from_url(self, kind: str, url: str) -> object:
        """Make an object with the plugin that the scheme of a URL names, which gets the whole URL.

        No message of headrace repeats the URL, which may hold a password.
        """
        scheme, colon, _ = url.partition(":")
        if not colon or not scheme.isascii() or not scheme.replace("+", "").replace("-", "").replace(".", "").isalnum():
            known = ", ".join(f"{name}:" for name in self.names(kind))
            raise PluginOptionError(
                f"A {kind} is given by a URL that begins with a scheme, and this text has none.",
                hint=f"Known: {known}." if known else None,
            )
        return self.create(kind, scheme.lower(), url)

    def load_observers(self) -> None:
        """Load every allowed plugin of the group ``headrace.hooks``; do nothing the second time.

        One that is broken costs a warning, and `status` keeps the reason; in strict mode it raises `PluginLoadError`.
        """
        with self._lock:
            if self._observers_loaded:
                return
            self._observers_loaded = True
            for failure in self._installed().failures if self.policy.strict else ():
                raise PluginError(f"The plugin metadata at {failure.location} cannot be read: {failure.reason}.")
            for record in self.records():
                if record.group == OBSERVER_GROUP and self.policy.allows(record):
                    self._load_observer(record)

    # How it is done

    def _installed(self) -> Scan:
        if self._scan is None:
            self._scan = scan()
        return self._scan

    def _add(self, plugin: object) -> None:
        label = _label(plugin)
        try:
            plugin = import_string(plugin) if isinstance(plugin, str) else plugin
            if not self.manager.register(plugin, label):
                return
            offered = [(kind.name, spec) for kind in KINDS.values() for spec in self.manager.specs(plugin, kind)]
        except (
            Exception
        ) as error:  # the object is foreign code, called at once so that its faults show where it is given
            reason, hint = _reason(error)
            raise PluginError(f"The plugin {label} cannot be used: {reason}.", hint=hint) from error
        for kind, spec in offered:
            owner, _ = self._given.setdefault((kind, spec.name), (label, spec))
            if self._given[kind, spec.name][1] is not spec:
                raise PluginConflictError(kind, spec.name, [owner, label])

    def _status(self, record: PluginRecord) -> PluginStatus:
        refusal = self.policy.refusal(record)
        if refusal is not None:
            return PluginStatus(record, "blocked", refusal)
        if record in self._broken:
            return PluginStatus(record, "broken", str(self._broken[record]))
        return PluginStatus(record, "loaded" if record in self._loaded else "idle")

    def _resolve(self, kind: Kind, name: str) -> Resolved:
        if (kind.name, name) not in self._given:
            return self._resolve_record(kind, self._choose(kind, name))
        label, spec = self._given[kind.name, name]
        try:
            return Resolved(kind=kind.name, record=None, owner=label, spec=spec, factory=import_string(spec.factory))
        except PluginError as error:
            raise _load_error(kind.name, name, label, error) from error.__cause__ or error

    def _choose(self, kind: Kind, name: str) -> PluginRecord:
        """Return the one installed plugin that a kind and a name mean."""
        candidates = [record for record in self.records(kind.name) if record.name == name]
        if not candidates:
            raise PluginNotFoundError(kind.name, name, self.names(kind.name), hint=self._advice(kind, name))
        allowed = [record for record in candidates if self.policy.allows(record)]
        if not allowed:
            refused = candidates[0]
            raise PluginLoadError(
                kind.name, name, refused.owner, self.policy.refusal(refused) or "", hint="Allow it, or use another."
            )
        if len(allowed) > 1:
            allowed = [record for record in allowed if self.policy.prefers(record)] or allowed
        if len(allowed) > 1:
            raise PluginConflictError(kind.name, name, [record.distribution for record in allowed])
        return allowed[0]

    def _advice(self, kind: Kind, name: str) -> str | None:
        """Return what to do about a name that nothing installed has, where more is known than similar names."""
        for known_kind, known_name, distribution in _SIBLINGS:
            if (known_kind, known_name) == (kind.name, name):
                return f"{distribution} brings it: run `pip install {distribution}`."
        if not any(normalize(record.distribution) == "headrace" for record in self.records()):
            return "Headrace's own plugins are not installed here: run `pip install -e .` in its checkout."
        failures = self._installed().failures
        if failures:
            unread = ", ".join(failure.location for failure in failures)
            return f"{nearest(name, self.names(kind.name))} Metadata that cannot be read: {unread}.".lstrip()
        return None

    def _resolve_record(self, kind: Kind, record: PluginRecord) -> Resolved:
        def load(plugin: object) -> Resolved:
            offered = self.manager.specs(plugin, kind)
            fitting = [spec for spec in offered if spec.name == record.name]
            if len(fitting) != 1:
                raise PluginError(_misnamed(kind, record, [spec.name for spec in offered]))
            factory = import_string(fitting[0].factory)
            return Resolved(kind=kind.name, record=record, owner=record.owner, spec=fitting[0], factory=factory)

        return self._with_plugin(record, load)

    def _load_observer(self, record: PluginRecord) -> None:
        def load(plugin: object) -> None:
            if not any(hook in OBSERVER_HOOKS for hook in self.manager.hooks(plugin)):
                raise PluginError("it implements no observer hook", hint=f"Known: {', '.join(OBSERVER_HOOKS)}.")

        try:
            self._with_plugin(record, load)
        except PluginLoadError as error:
            if self.policy.strict:
                raise
            _warn(f"{error} The run goes on without it.")

    def _with_plugin(self, record: PluginRecord, load: Callable[[object], T]) -> T:
        """Register the plugin behind a record and load from it; if either fails, leave things as they were."""
        key = record.distribution, record.value
        plugin, added = self._modules.get(key), False
        try:
            if plugin is None:
                plugin = import_string(record.value)
                added = self.manager.register(plugin, f"{record.value} of {record.owner}")
            loaded = load(plugin)
        except Exception as error:  # noqa: BLE001 - a plugin may raise anything; who asked for it gets one kind of error
            if added:
                self.manager.unregister(plugin)
            broken = _load_error(record.kind, record.name, record.owner, error)
            self._broken[record] = broken
            raise broken from error.__cause__ or error
        self._modules[key] = plugin
        self._broken.pop(record, None)
        self._loaded.add(record)
        return loaded


def _kind(name: str) -> Kind:
    try:
        return KINDS[name]
    except KeyError:
        raise PluginError(f"There is no kind of plugin named {name!r}.", hint=nearest(name, KINDS)) from None


def _label(plugin: object) -> str:
    """Return how messages name a plugin that was not installed."""
    if isinstance(plugin, str):
        return plugin
    return str(getattr(plugin, "__name__", None) or f"{type(plugin).__module__}.{type(plugin).__qualname__}")


def _misnamed(kind: Kind, record: PluginRecord, offered: list[str]) -> str:
    names = ", ".join(map(repr, offered)) or "nothing"
    return f"its entry point is named {record.name!r}, and its {kind.hook} returned {names}; expected that name once"


def _reason(error: Exception) -> tuple[str, str | None]:
    """Return what an exception says, as the end of a sentence, and its hint."""
    if isinstance(error, HeadraceError):
        return error.message.rstrip("."), error.hint
    return described(error), None


def _load_error(kind: str, name: str, owner: str, error: Exception) -> PluginLoadError:
    reason, hint = _reason(error)
    return PluginLoadError(kind, name, owner, reason, hint=hint)


def _constructed(
    resolved: Resolved, interface: str | None, args: tuple[object, ...], options: Mapping[str, object]
) -> object:
    kind, name = resolved.kind, resolved.spec.name
    if not callable(resolved.factory):
        reason = f"its factory {resolved.spec.factory!r} is {resolved.factory!r}, which cannot be called"
        raise PluginLoadError(kind, name, resolved.owner, reason)
    try:
        made: object = resolved.factory(*args, **options)
    except HeadraceError:
        raise
    except ValueError as error:
        raise PluginOptionError(f"The {resolved.label} does not accept this: {described(error)}.") from error
    except Exception as error:  # a factory may raise anything; whoever asked for the plugin gets one kind of error
        raise _load_error(kind, name, resolved.owner, error) from error
    _check_interface(resolved, interface, made)
    return made


def _check_interface(resolved: Resolved, interface: str | None, made: object) -> None:
    if interface is None:
        return
    from headrace import abc  # noqa: PLC0415 - the plugin has imported it by now

    if not isinstance(made, getattr(abc, interface)):
        reason = f"its factory made a {type(made).__qualname__}, which is no headrace.abc.{interface}"
        raise PluginLoadError(resolved.kind, resolved.spec.name, resolved.owner, reason)


def _warn(message: str) -> None:
    import logging  # noqa: PLC0415 - a run in which nothing is wrong does without

    logging.getLogger("headrace.plugins").warning("%s", message)
