"""Checks what a task's constructor is given, so that a mistake is raised where it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast, get_args, get_origin

from headrace import config
from headrace.exceptions import DefinitionTypeError, TaskDefinitionError, nearest
from headrace.triggers import all_successful

if TYPE_CHECKING:
    import inspect

    from headrace.exceptions import HeadraceError
    from headrace.retries import RetryDelay
    from headrace.states import State
    from headrace.tasks import Task
    from headrace.triggers import Trigger

__all__ = ["Resume", "TaskOptions", "check_several", "check_state_handlers"]

T = TypeVar("T")
Resume: TypeAlias = Literal["rerun", "skip", "ask"]
"""What a task says about being run again when its run is resumed."""


class TaskOptions:
    """Checks the options of one task; each method takes what was given and returns what to keep."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name
        if not isinstance(name, str):
            raise self._wrong_type("name", name, "a text")

    def _wrong_type(self, option: str, value: object, expected: str) -> DefinitionTypeError:
        return DefinitionTypeError(f"`{option}` of task {self._name!r} must be {expected}, and is {value!r}.")

    def tags(self, tags: Iterable[str] | None) -> set[str]:
        """Refuse a bare string, which would become a tag per letter, and tags that are no strings."""
        found: set[object] = set() if tags is None or isinstance(tags, str) else set(tags)
        if isinstance(tags, str) or not all(isinstance(tag, str) for tag in found):
            raise self._wrong_type("tags", tags, "a list of strings")
        return found  # type: ignore[return-value]

    def slug(self, slug: str | None) -> str | None:
        """Refuse a slug that is no text."""
        if slug is not None and not isinstance(slug, str):
            raise self._wrong_type("slug", slug, "a text")
        return slug

    def run_name(self, template: str | Callable[..., str] | None) -> str | Callable[..., str] | None:
        """Refuse a text that could never be filled in."""
        if isinstance(template, str):
            from headrace.templates import check_template  # noqa: PLC0415 - only for tasks that have one

            check_template(f"The `task_run_name` of task {self._name!r}", template)
        elif template is not None and not callable(template):
            raise self._wrong_type("task_run_name", template, "a text or callable")
        return template

    def retries(
        self,
        max_retries: int | None,
        retry_delay: RetryDelay | None,
        retry_on: type[Exception] | Iterable[type[Exception]] | None,
    ) -> tuple[int, RetryDelay | None, frozenset[type[Exception]] | None]:
        """Fill in the configured defaults; refuse a delay or a filter for retries that will never happen."""
        defaults = config.current()["tasks"]["defaults"]
        count = defaults["max_retries"] or 0 if max_retries is None else max_retries
        if isinstance(count, bool) or not isinstance(count, int):
            raise self._wrong_type("max_retries", count, "a whole number")
        if count < 0:
            raise TaskDefinitionError(f"`max_retries` of task {self._name!r} is {count}; it cannot be negative.")
        if count and retry_delay is None:
            retry_delay = defaults["retry_delay"] or None
        if count and retry_delay is None:
            raise TaskDefinitionError(
                f"Task {self._name!r} has max_retries={count} and no `retry_delay`.",
                hint="Say how long to wait: `retry_delay=0` for not at all.",
            )
        if not count and retry_delay is not None:
            raise TaskDefinitionError(
                f"Task {self._name!r} has a `retry_delay` and no retries.", hint="Set `max_retries`."
            )
        if not count and retry_on is not None:
            raise TaskDefinitionError(f"Task {self._name!r} has `retry_on` and no retries.", hint="Set `max_retries`.")
        return count, self._retry_delay(retry_delay), self._retry_on(retry_on)

    def _retry_delay(self, delay: RetryDelay | None) -> RetryDelay | None:
        if isinstance(delay, bool) or not (
            delay is None or isinstance(delay, int | float | timedelta | list | tuple) or callable(delay)
        ):
            raise self._wrong_type("retry_delay", delay, "a timedelta, seconds, a list of those, or a callable")
        if isinstance(delay, list | tuple):
            if not delay:
                raise TaskDefinitionError(f"`retry_delay` of task {self._name!r} is an empty list.")
            return [self._one_delay(d) for d in delay]
        return self._one_delay(delay) if isinstance(delay, int | float | timedelta) else delay

    def _one_delay(self, delay: object) -> timedelta:
        if isinstance(delay, int | float) and not isinstance(delay, bool):
            try:
                delay = timedelta(seconds=delay)
            except (OverflowError, ValueError) as error:
                raise TaskDefinitionError(f"`retry_delay` of task {self._name!r} is {delay}: {error}.") from error
        if not isinstance(delay, timedelta):
            raise self._wrong_type("retry_delay", delay, "a timedelta or seconds")
        if delay < timedelta(0):
            raise TaskDefinitionError(f"`retry_delay` of task {self._name!r} is negative: {delay}.")
        return delay

    def _retry_on(
        self, classes: type[Exception] | Iterable[type[Exception]] | None
    ) -> frozenset[type[Exception]] | None:
        if classes is None:
            return None
        found = list(classes) if isinstance(classes, Iterable) else [classes]
        for cls in found:
            if not (isinstance(cls, type) and issubclass(cls, Exception)):
                raise self._wrong_type("retry_on", cls, "an exception class or a list of them")
        return frozenset(found)

    def timeout(self, timeout: float | timedelta | None) -> float | None:
        """Return seconds, or None for no limit."""
        if timeout is None:
            timeout = config.current()["tasks"]["defaults"].get("timeout") or None
        return check_timeout(f"task {self._name!r}", timeout, TaskDefinitionError)

    def trigger(self, trigger: Trigger | None) -> Trigger:
        """Return the default trigger for None."""
        if trigger is not None and not callable(trigger):
            raise self._wrong_type("trigger", trigger, "callable")
        return trigger or all_successful

    def state_handlers(
        self,
        handlers: Sequence[Callable[..., State | None]] | None,
        on_failure: Callable[[Task, State], object] | None,
    ) -> list[Callable[..., State | None]]:
        """Return the handlers with ``on_failure`` as the last of them."""
        return check_state_handlers(f"task {self._name!r}", handlers, on_failure)

    def max_in_flight(self, limit: int | None) -> int | None:
        """Refuse a limit that would let nothing run."""
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int)):
            raise self._wrong_type("max_in_flight", limit, "a whole number")
        if limit is not None and limit < 1:
            raise TaskDefinitionError(f"`max_in_flight` of task {self._name!r} is {limit}; it must be at least 1.")
        return limit

    def resources(self, resources: Mapping[str, float] | None) -> dict[str, float] | None:
        """Return a copy; refuse names that are no texts, and amounts that occupy nothing or more than there can be."""
        if resources is None:
            return None
        if not isinstance(resources, Mapping) or not all(isinstance(name, str) for name in resources):
            raise self._wrong_type("resources", resources, 'a dictionary of amounts such as {"gpu": 1}')
        for name, amount in resources.items():
            if isinstance(amount, bool) or not isinstance(amount, int | float):
                raise self._wrong_type(f"resources[{name!r}]", amount, "a number")
            if not 0 < amount < float("inf"):
                raise TaskDefinitionError(
                    f"`resources[{name!r}]` of task {self._name!r} is {amount}; it must be positive and finite."
                )
        return dict(resources)

    def resume(self, resume: object) -> Resume:
        """Refuse anything but the three answers there are."""
        if not isinstance(resume, str):
            raise self._wrong_type("resume", resume, 'one of "rerun", "skip" and "ask"')
        if resume not in get_args(Resume):
            raise TaskDefinitionError(
                f"`resume` of task {self._name!r} is {resume!r}; it must be one of 'rerun', 'skip' and 'ask'.",
                hint=nearest(resume, get_args(Resume)),
            )
        return cast("Resume", resume)

    def nout(self, nout: int | None, signature: inspect.Signature) -> int | None:
        """Return ``nout``, or the length of an annotated tuple."""
        if nout is not None:
            if isinstance(nout, bool) or not isinstance(nout, int) or nout < 0:
                raise self._wrong_type("nout", nout, "a whole number that is not negative")
            return nout
        return _tuple_length(signature.return_annotation)

    def replaced(self, task: Task, changes: Mapping[str, Any]) -> None:
        """Check what a copy changes as the constructor would; a copy without retries drops what was said about them."""
        self.slug(task.slug)
        self.run_name(task.task_run_name)
        if "timeout" in changes:
            task.timeout = self.timeout(task.timeout)
        if "trigger" in changes:
            task.trigger = self.trigger(task.trigger)
        if "resources" in changes:
            task.resources = self.resources(task.resources)
        if "resume" in changes:
            task.resume = self.resume(task.resume)
        if "state_handlers" in changes:
            task.state_handlers = self.state_handlers(task.state_handlers, None)
        if changes.get("nout") is not None:
            task.nout = self.nout(task.nout, task.signature_of_run.signature)
        if not changes.keys().isdisjoint(("max_retries", "retry_delay", "retry_on")):
            kept = changes if task.max_retries == 0 else vars(task)
            delay, errors = kept.get("retry_delay"), kept.get("retry_on")
            task.max_retries, task.retry_delay, task.retry_on = self.retries(task.max_retries, delay, errors)


def check_state_handlers(
    owner: str,
    handlers: Sequence[Callable[..., Any]] | None,
    on_failure: Callable[..., object] | None,
) -> list[Callable[..., Any]]:
    """Return the handlers of a task or flow with ``on_failure`` as the last of them; raise DefinitionTypeError."""
    if handlers is not None and (callable(handlers) or not isinstance(handlers, Sequence)):
        raise DefinitionTypeError(f"`state_handlers` of {owner} must be a list of functions, and is {handlers!r}.")
    found = list(handlers or ())
    own = [] if on_failure is None else [on_failure]
    for handler in [*found, *own]:
        if not callable(handler):
            raise DefinitionTypeError(f"A state handler of {owner} is {handler!r}, which cannot be called.")
    return found + [_FailureHandler(function) for function in own]


def check_timeout(owner: str, timeout: object, error: type[HeadraceError]) -> float | None:
    """Return a timeout in seconds, or None for none; raise DefinitionTypeError, or ``error`` for one out of range."""
    if isinstance(timeout, timedelta):
        timeout = timeout.total_seconds()
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise DefinitionTypeError(f"`timeout` of {owner} must be seconds or a timedelta, and is {timeout!r}.")
    if not 0 < timeout < float("inf"):
        raise error(f"`timeout` of {owner} is {timeout}; it must be positive and finite.")
    return float(timeout)


def check_several(owner: str, option: str, values: Iterable[T] | None) -> Iterable[T]:
    """Return what was given as several tasks; refuse one alone, which iterating over would take apart, and a text."""
    if values is None:
        return ()
    # A task has a meaning of its own for being iterated over, and headrace.tasks imports this module.
    if isinstance(values, Iterable) and not (isinstance(values, str) or hasattr(values, "signature_of_run")):
        return values
    raise DefinitionTypeError(
        f"`{option}` of {owner} must be a list, and is {values!r}.", hint="Write `[...]` around it."
    )


# A dataclass, so that `Flow.serialize` can write it.
@dataclass(frozen=True, slots=True)
class _FailureHandler:
    """Calls ``function(task_or_flow, state)`` when the new state is a failed one."""

    function: Callable[..., object]

    def __call__(self, tracked: object, _old: State, new: State) -> None:
        if new.is_failed():
            self.function(tracked, new)


def _tuple_length(annotation: object) -> int | None:
    """Return how many values an annotation such as ``tuple[int, str]`` promises; None if it does not say."""
    if isinstance(annotation, str):
        return _textual_tuple_length(annotation)
    if get_origin(annotation) is not tuple or not hasattr(annotation, "__args__"):
        # The bare typing.Tuple has the origin too.
        return None
    members = get_args(annotation)
    return None if Ellipsis in members else len(members)


def _textual_tuple_length(annotation: str) -> int | None:
    """Read an annotation that ``from __future__ import annotations`` left as text."""
    if not annotation.lower().startswith(("tuple[", "typing.tuple[")):
        return None
    import ast  # noqa: PLC0415 - only for tasks that return an annotated tuple

    try:
        subscript = ast.parse(annotation, mode="eval").body
    except SyntaxError:
        return None
    members = subscript.slice if isinstance(subscript, ast.Subscript) else None
    if not isinstance(members, ast.Tuple):
        return None if members is None else 1
    if any(isinstance(m, ast.Constant) and m.value is ... for m in members.elts):
        return None
    return len(members.elts)
