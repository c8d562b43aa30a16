"""Every error headrace raises, in one tree.

HeadraceError
├── FlowDefinitionError (ValueError)      a flow was written in a way that cannot run
│   ├── CycleError                        tasks depend on each other in a circle
│   ├── DuplicateParameterError           two parameters of one flow share a name
│   ├── DuplicateKeyError                 one argument of a task is bound twice
│   ├── MissingTaskError                  a task that was read from a document has no code
│   └── NoActiveFlowError                 a task was called outside a flow
├── TaskDefinitionError (ValueError)      a task's arguments or signature cannot work
├── DefinitionTypeError (TypeError)       something of the wrong type was given where a flow is written
├── ScheduleError (ValueError)            a schedule was written in a way that cannot work
├── ParameterError (ValueError)           the values given to a run do not fit the flow's parameters
│   ├── MissingParameterError
│   ├── UnknownParameterError
│   └── ParameterTypeError
├── ConfigError (ValueError)              a configuration file or variable cannot be read
├── FlowFileError (ValueError)            a file does not hold the flow that was asked for
├── SerializationError (ValueError)       a flow or a state cannot be written as plain data, or read from it
├── PluginError                           anything about a plugin; knows kind, name and distribution
│   ├── PluginNotFoundError (LookupError)
│   ├── PluginLoadError (ImportError)
│   ├── PluginConflictError (LookupError)
│   └── PluginOptionError (ValueError)
├── TaskRunError (RuntimeError)           why a task run failed, when its own code did not raise
│   ├── TriggerFailedError
│   ├── MappingError
│   ├── StateHandlerError
│   ├── SubflowFailedError
│   ├── TaskTimeoutError (TimeoutError)
│   ├── TransferError (TypeError)         something cannot be sent to the process that runs a task, or back
│   ├── RemoteError                       stands for an error of another process that could not be sent back
│   ├── UnhashableArgumentError (TypeError)
│   └── MissingDependencyError (ImportError)
├── SecretError (ValueError)              a secret cannot be had, or was asked for where none can be
│   └── SecretNotFoundError (LookupError)
├── ResultError
│   ├── ResultReleasedError (LookupError) a value was dropped after its last reader
│   ├── ForeignResultError (ValueError)   the cache holds what another project wrote
│   ├── ResultFormError (TypeError)       a result cannot be turned into bytes
│   ├── ResultLocationError (ValueError)  a location lies outside its store
│   └── ResultNotFoundError (LookupError)
├── HistoryError                          the history of runs cannot be read or written
│   ├── HistoryBusyError (TimeoutError)   others keep it locked
│   ├── HistoryDamagedError (ValueError)  what is there is not what was written
│   ├── HistoryVersionError (ValueError)  a later headrace wrote it
│   ├── OpenQuestionError                 a task wants to be asked before it runs again
│   ├── RunNotFoundError (LookupError)
│   ├── RunEndedError                     nothing goes on that could be asked to end
│   ├── RunOwnedError                     another process has the run, or had it
│   └── SealError (ValueError)            bytes were not written by this project
├── ExecutorError (RuntimeError)          an executor could not start or lost its workers
│   └── WorkerCrashedError                the process that ran a task died
├── DrawingError (ValueError)             a drawing is inconsistent, or of an unknown format
└── GraphvizError (RuntimeError)          Graphviz is not installed, or refused a drawing

A message says what was found, where, and what was expected; ``hint`` says what to do next.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "CycleError",
    "DefinitionTypeError",
    "DrawingError",
    "DuplicateKeyError",
    "DuplicateParameterError",
    "ExecutorError",
    "FlowDefinitionError",
    "FlowFileError",
    "ForeignResultError",
    "GraphvizError",
    "HeadraceError",
    "HistoryBusyError",
    "HistoryDamagedError",
    "HistoryError",
    "HistoryVersionError",
    "MappingError",
    "MissingDependencyError",
    "MissingParameterError",
    "MissingTaskError",
    "NoActiveFlowError",
    "OpenQuestionError",
    "ParameterError",
    "ParameterTypeError",
    "PluginConflictError",
    "PluginError",
    "PluginLoadError",
    "PluginNotFoundError",
    "PluginOptionError",
    "RemoteError",
    "ResultError",
    "ResultFormError",
    "ResultLocationError",
    "ResultNotFoundError",
    "ResultReleasedError",
    "RunEndedError",
    "RunNotFoundError",
    "RunOwnedError",
    "ScheduleError",
    "SealError",
    "SecretError",
    "SecretNotFoundError",
    "SerializationError",
    "StateHandlerError",
    "SubflowFailedError",
    "TaskDefinitionError",
    "TaskRunError",
    "TaskTimeoutError",
    "TransferError",
    "TriggerFailedError",
    "UnhashableArgumentError",
    "UnknownParameterError",
    "WorkerCrashedError",
]


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a sentence naming the known names, the nearest first asked about, or an empty string."""
    known = sorted(known)
    if not known:
        return ""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    question = f"Did you mean {near[0]!r}? " if near else ""
    return f"{question}Known: {', '.join(known)}."


def describe(error: BaseException) -> str:
    """Return the class of ``error``, and its message if it has one; never raises, whatever its ``__str__`` does."""
    name = type(error).__name__
    try:
        text = str(error)
        return f"{name}: {text}" if text else name
    except Exception:  # noqa: BLE001 - a foreign __str__ may raise anything
        return f"{name}: (its message cannot be shown)"


class HeadraceError(Exception):
    """Root of every error headrace raises on purpose.

    ``hint`` is one sentence on what to do next, or None; it is part of ``str(error)``.
    """

    def __init__(self, message: str = "", *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Subclasses build their message from other arguments, so unpickling must not call __init__.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(cls: type[HeadraceError], args: tuple[object, ...], attributes: dict[str, object]) -> HeadraceError:
    # The base that decides about the layout makes the object: RuntimeError refuses to make what is a TimeoutError too.
    solid: type[BaseException] = cls
    while solid.__module__ != "builtins":
        solid = solid.__base__  # type: ignore[assignment]
    error: HeadraceError = solid.__new__(cls, *args)
    error.args = args
    error.__dict__.update(attributes)
    return error


class FlowDefinitionError(HeadraceError, ValueError):
    """A flow was written in a way that cannot run."""


class CycleError(FlowDefinitionError):
    """Tasks of a flow depend on each other in a circle; ``names`` lists them in order, the first repeated."""

    def __init__(self, flow: str, names: Iterable[str]) -> None:
        self.names = tuple(names)
        super().__init__(
            f"Flow {flow!r} has a cycle: {' -> '.join(self.names)}.",
            hint="Remove one of these dependencies.",
        )


class DuplicateParameterError(FlowDefinitionError):
    """Two parameters of one flow share a name."""

    def __init__(self, flow: str, name: str) -> None:
        super().__init__(
            f"Flow {flow!r} already has a parameter named {name!r}.",
            hint="Use that Parameter object again, or choose another name.",
        )


class DuplicateKeyError(FlowDefinitionError):
    """One argument of a task is bound twice."""

    def __init__(self, task: str, key: str) -> None:
        super().__init__(
            f"Argument {key!r} of task {task!r} is already bound to another task.",
            hint="Bind each argument once.",
        )


class MissingTaskError(FlowDefinitionError):
    """A flow that was read from a document holds a task that could not be made; ``reason`` says why."""

    def __init__(self, task: str, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"Task {task!r} was read from a document and cannot run: {reason}",
            hint="Put a task in its place with `flow.replace`, or mend that and read the document again.",
        )


class NoActiveFlowError(FlowDefinitionError):
    """A task was called where no flow is being built."""

    def __init__(self, task: str) -> None:
        super().__init__(
            f"Task {task!r} was called outside a flow.",
            hint=f"Call it inside `with Flow(...):`, or call `{task}.run(...)` to run the plain function.",
        )


class TaskDefinitionError(HeadraceError, ValueError):
    """A task's arguments or the signature of its ``run`` cannot work."""


class DefinitionTypeError(HeadraceError, TypeError):
    """Something of the wrong type was given where a flow is written."""


class ScheduleError(HeadraceError, ValueError):
    """A schedule, or a part of one, was written in a way that cannot work."""


class ParameterError(HeadraceError, ValueError):
    """The values given to a run do not fit the flow's parameters."""


class MissingParameterError(ParameterError):
    """A required parameter got no value."""

    def __init__(self, flow: str, names: Iterable[str]) -> None:
        self.names = tuple(names)
        listed = ", ".join(map(repr, self.names))
        super().__init__(
            f"Flow {flow!r} needs a value for parameter {listed}.",
            hint=f"Pass `parameters={{{self.names[0]!r}: ...}}`, or `-p {self.names[0]}=...` on the command line.",
        )


class UnknownParameterError(ParameterError):
    """A value was given for a parameter the flow does not have."""

    def __init__(self, flow: str, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"Flow {flow!r} has no parameter {name!r}.",
            hint=nearest(str(name), known) or "It takes no parameters.",
        )


class ParameterTypeError(ParameterError):
    """A text given for a parameter cannot be read as the parameter's type."""

    def __init__(self, name: str, text: str, expected: str) -> None:
        super().__init__(f"Parameter {name!r} expects {expected}, and got {text!r}.")


class ConfigError(HeadraceError, ValueError):
    """A configuration file or variable cannot be read."""


class FlowFileError(HeadraceError, ValueError):
    """A file does not hold the flow that was asked for."""


class SerializationError(HeadraceError, ValueError):
    """A flow or a state cannot be written as plain data, or cannot be read from it."""


class PluginError(HeadraceError):
    """Anything wrong with a plugin."""


class PluginNotFoundError(PluginError, LookupError):
    """No installed plugin of a kind has the name that was asked for."""

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str | None = None) -> None:
        self.kind, self.name = kind, name
        super().__init__(
            f"No {kind} named {name!r} is installed.",
            hint=hint or nearest(name, known) or "None is installed; `headrace plugins list` shows what is.",
        )


class PluginLoadError(PluginError, ImportError):
    """A plugin that was asked for by name could not be imported, registered or constructed."""

    def __init__(self, kind: str, name: str, distribution: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(
            f"The {kind} {name!r} of {distribution} could not be loaded: {reason}.",
            hint=hint or "Run `headrace plugins doctor` to see more.",
        )
        # ImportError has a `name` of its own, which its constructor sets to None.
        self.kind, self.name, self.distribution = kind, name, distribution


class PluginConflictError(PluginError, LookupError):
    """Two distributions offer the same name for one kind of plugin."""

    def __init__(self, kind: str, name: str, distributions: Iterable[str]) -> None:
        self.kind, self.name = kind, name
        self.distributions = tuple(distributions)
        super().__init__(
            f"The {kind} {name!r} is offered by {' and by '.join(self.distributions)}.",
            hint=f"Uninstall one, or set `{name!r} = <distribution>` under [plugins.prefer.{kind}].",
        )


class PluginOptionError(PluginError, ValueError):
    """An option given to a plugin is unknown or has the wrong type."""


class TaskRunError(HeadraceError, RuntimeError):
    """Why a task run failed, when its own code did not raise."""


class TriggerFailedError(TaskRunError):
    """A task's trigger did not accept the states of its upstream tasks."""


class MappingError(TaskRunError):
    """A task cannot be mapped over what its upstream tasks returned."""


class StateHandlerError(TaskRunError):
    """A state handler raised; the cause is its exception."""


class SubflowFailedError(TaskRunError):
    """A flow that ran as a task of another did not succeed; ``failures`` has a line for each task that failed."""

    def __init__(self, flow: str, state: str, failures: Iterable[str]) -> None:
        self.failures = tuple(failures)
        more = len(self.failures) - 3
        told = "; ".join(self.failures[:3]) + (f"; and {more} more" if more > 0 else "")
        super().__init__(f"Flow {flow!r} ended as {state}: {told or 'no task says why'}")


class TaskTimeoutError(TaskRunError, TimeoutError):
    """A task run took longer than its timeout."""


class TransferError(TaskRunError, TypeError):
    """What a task needs cannot be sent to the process that is to run it, or what it made cannot be sent back."""


class RemoteError(TaskRunError):
    """Stands for an exception that was raised in another process and could not be sent back as it is.

    ``class_names`` are the names of that exception's class and of those above it, the nearest first; ``retry_on`` goes
    by them.
    """

    def __init__(self, message: str = "", *, class_names: Iterable[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.class_names = tuple(class_names)


class UnhashableArgumentError(TaskRunError, TypeError):
    """An argument has no hash that another process would come to as well, so nothing can be cached by it.

    ``path`` is the place inside the argument and ``type_name`` the class of what is there.
    """

    def __init__(self, argument: str, path: str, type_name: str, reason: str, *, hint: str | None = None) -> None:
        self.argument, self.path, self.type_name = argument, path, type_name
        place = "it" if path == argument else path
        super().__init__(
            f"Argument {argument!r} cannot be hashed: {place} is of type {type_name}, {reason}.",
            hint=hint
            or "Pass what it is made from instead, give its class a method `__headrace_content__`, "
            "or leave the argument out of what the cache compares.",
        )


class MissingDependencyError(TaskRunError, ImportError):
    """A prebuilt task, or another part of headrace, needs a library that is not installed."""

    def __init__(self, needed_by: str, module: str, extra: str) -> None:
        self.module, self.extra = module, extra
        super().__init__(
            f"{needed_by} needs the library {module!r}, which is not installed.",
            hint=f'Run `pip install "headrace[{extra}]"`.',
        )


class SecretError(HeadraceError, ValueError):
    """A secret cannot be had, or was asked for where there can be none. No message holds a secret's value."""


class SecretNotFoundError(SecretError, LookupError):
    """Nothing that was asked has a secret of a name; ``asked`` lists it in order."""

    def __init__(self, name: str, asked: Iterable[str], *, hint: str | None = None) -> None:
        self.name, self.asked = name, tuple(asked)
        super().__init__(
            f"There is no secret {name!r}. Asked: {', '.join(self.asked)}.",
            hint=hint
            or f"Set HEADRACE__CONTEXT__SECRETS__{name}, or put it under [context.secrets] of the configuration.",
        )


class ResultError(HeadraceError):
    """Anything wrong with a stored or kept result."""


class ResultReleasedError(ResultError, LookupError):
    """The value of a finished task was dropped after the last task that reads it, or left out of a document."""

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(
            message or "This value was released after the last task that reads it had finished.",
            hint=hint or 'Run the flow with `keep_results="all"`, or store results with `results="file:..."`.',
        )


class ForeignResultError(ResultError, ValueError):
    """What the cache has at ``location`` does not carry the seal of this project, so it is not loaded."""

    def __init__(self, location: str) -> None:
        self.location = location
        super().__init__(
            f"{location} was not written by this project, or was changed since, so it is not loaded.",
            hint="If other projects share this cache, give all of them one key: HEADRACE_KEY, or `history/key` in "
            "`.headrace`. If none does, find out who wrote there.",
        )


class ResultFormError(ResultError, TypeError):
    """A serializer cannot turn a result into bytes; ``reason`` says which part of it is in the way."""

    def __init__(self, what: str, reason: str, *, hint: str | None = None) -> None:
        self.reason = reason
        super().__init__(
            f"{what} cannot be stored: {reason.rstrip('.')}.",
            hint=hint or "Return something else, choose another `serializer`, or say `checkpoint=False`.",
        )


class ResultLocationError(ResultError, ValueError):
    """A location lies outside the store it is meant for."""


class ResultNotFoundError(ResultError, LookupError):
    """A store holds nothing at a location."""


class HistoryError(HeadraceError):
    """The history of runs cannot be read or written."""


class HistoryBusyError(HistoryError, TimeoutError):
    """Others kept the history at ``where`` locked for ``seconds``."""

    def __init__(self, where: str, seconds: float) -> None:
        super().__init__(
            f"The history at {where} was locked by another process for {seconds:g} seconds.",
            hint="Find out which one has the file open, and wait for it or end it.",
        )


class HistoryDamagedError(HistoryError, ValueError):
    """What is there in place of a history, or of a part of one, is not what was written."""


class HistoryVersionError(HistoryError, ValueError):
    """A history was written by a headrace that came later; ``found`` and ``known`` are the numbers of the forms."""

    def __init__(self, where: str, found: int, known: int) -> None:
        self.found, self.known = found, known
        super().__init__(
            f"The history at {where} has form {found}, and this headrace knows forms up to {known}.",
            hint="Update headrace, or choose another place with the setting `history.store`.",
        )


class RunNotFoundError(HistoryError, LookupError):
    """No recorded run, or more than one, goes by a name; ``near`` are names that would do."""

    def __init__(self, name: str, where: str, near: Iterable[str], *, ambiguous: bool = False) -> None:
        self.name, self.near = name, tuple(near)
        listed = ", ".join(self.near)
        if ambiguous:
            super().__init__(f"More than one run in {where} begins with {name!r}: {listed}.", hint="Give more of it.")
        else:
            super().__init__(
                f"There is no run {name!r} in {where}.", hint=f"The nearest: {listed}." if listed else "It has no runs."
            )


class RunEndedError(HistoryError):
    """A run that has ended, or whose process is dead, was asked to end; ``state`` is the one it ended in."""

    def __init__(self, run_id: str, state: str) -> None:
        self.run_id, self.state = run_id, state
        super().__init__(
            f"Run {run_id} has ended already, as {state}.",
            hint="List those that go on: `headrace runs --state running`.",
        )


class OpenQuestionError(HistoryError):
    """A task wants to be asked before it runs again; ``slugs`` are those of all such tasks."""

    def __init__(self, slugs: Iterable[str], message: str, *, hint: str | None = None) -> None:
        self.slugs = tuple(slugs)
        super().__init__(message, hint=hint)


class RunOwnedError(HistoryError):
    """A run belongs to a process that lives, or another run has gone on from it; ``by`` is the id of that run.

    ``by`` is ``run_id`` itself where the run goes on.
    """

    def __init__(self, run_id: str, by: str, message: str, *, hint: str | None = None) -> None:
        self.run_id, self.by = run_id, by
        super().__init__(message, hint=hint)


class SealError(HistoryError, ValueError):
    """Bytes in a history were not written by this project, or were changed since."""


class ExecutorError(HeadraceError, RuntimeError):
    """An executor could not start, or lost the means to run tasks."""


class WorkerCrashedError(ExecutorError):
    """The process that ran a task died.

    Exactly one of ``exit_code`` and ``signal``, a name such as ``"SIGKILL"``, says how, where that is known.
    """

    def __init__(
        self, message: str, *, exit_code: int | None = None, signal: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.exit_code = exit_code
        self.signal = signal


class DrawingError(HeadraceError, ValueError):
    """A drawing is inconsistent, or was asked for in a way that no renderer knows."""


class GraphvizError(HeadraceError, RuntimeError):
    """Graphviz is not installed, or refused a drawing."""
