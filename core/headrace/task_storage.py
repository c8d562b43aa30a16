"""What a task says about its results: whether they are cached, where they are kept and in which form."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from headrace.exceptions import DefinitionTypeError, TaskDefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from headrace.abc import ResultStore, Serializer
    from headrace.results import Result
    from headrace.states import State
    from headrace.tasks import Task

__all__ = ["StorageOption", "TaskStorage", "task_storage"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskStorage:
    """The options of one task, checked; a task that was given none of them has no such record."""

    cache_for: timedelta | None = None
    cache_validator: Callable[[State, Any, Any], bool] | None = None
    cache_key: str | None = None
    result: str | ResultStore | Result | None = None
    target: str | Callable[..., str] | None = None
    serializer: str | Serializer | None = None

    @property
    def is_cached(self) -> bool:
        """Whether results are looked up in the cache; a target takes its place."""
        from headrace.caching import never_use  # noqa: PLC0415 - only tasks with options get here

        return self.cache_for is not None and self.target is None and self.cache_validator is not never_use


_NOTHING: Final = TaskStorage()


class StorageOption(Generic[T]):
    """One of these options as an attribute of a task: None if it was not given, and checked when it is set."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, task: None, owner: type) -> Self: ...
    @overload
    def __get__(self, task: Task, owner: type) -> T | None: ...
    def __get__(self, task: Task | None, owner: type) -> Any:
        if task is None:
            return self
        return None if task.storage is None else getattr(task.storage, self._name)

    def __set__(self, task: Task, value: T | None) -> None:
        if not hasattr(task, "name"):
            # The constructor of Task, which warns of this, has not begun.
            vars(task)[self._name] = value
            return
        kept = {name: getattr(task.storage or _NOTHING, name) for name in TaskStorage.__slots__}
        task.storage = task_storage(task, **{**kept, self._name: value})


def task_storage(task: Task, **options: Any) -> TaskStorage | None:
    """Check what a task was given; return the record, or None if it was given nothing."""
    if all(value is None for value in options.values()):
        return None
    checks = _Checks(task)
    storage = TaskStorage(**{**options, "cache_for": checks.duration(options["cache_for"])})
    checks.validator(storage)
    checks.texts(storage)
    checks.places(storage)
    if storage.cache_for is not None and storage.cache_validator is None:
        from headrace.caching import all_inputs  # noqa: PLC0415 - only for tasks that are cached

        return replace(storage, cache_validator=all_inputs)
    return storage


class _Checks:
    """Raises DefinitionTypeError or TaskDefinitionError naming the option and the task."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def _wrong_type(self, option: str, value: object, expected: str) -> DefinitionTypeError:
        return DefinitionTypeError(f"`{option}` of task {self._task.name!r} must be {expected}, and is {value!r}.")

    def duration(self, cache_for: object) -> timedelta | None:
        if isinstance(cache_for, int | float) and not isinstance(cache_for, bool):
            try:
                cache_for = timedelta(seconds=cache_for)
            except (OverflowError, ValueError) as error:
                raise TaskDefinitionError(
                    f"`cache_for` of task {self._task.name!r} is {cache_for}: {error}."
                ) from error
        if cache_for is not None and not isinstance(cache_for, timedelta):
            raise self._wrong_type("cache_for", cache_for, "a timedelta or seconds")
        if cache_for is not None and cache_for <= timedelta(0):
            raise TaskDefinitionError(
                f"`cache_for` of task {self._task.name!r} is {cache_for}; it must be positive.",
                hint="Leave it out for a task that is not cached.",
            )
        return cache_for

    def validator(self, storage: TaskStorage) -> None:
        validator = storage.cache_validator
        if validator is None:
            return
        if not callable(validator):
            raise self._wrong_type("cache_validator", validator, "callable")
        if storage.cache_for is None:
            message = f"Task {self._task.name!r} has a `cache_validator` and no `cache_for`, so nothing is cached."
            warnings.warn(message, UserWarning, stacklevel=_LEVELS)
        names = getattr(validator, "inputs", ())
        unknown = [n for n in names if not self._task.signature_of_run.accepts(n)] if isinstance(names, tuple) else []
        if unknown:
            raise TaskDefinitionError(
                f"{validator!r} compares {unknown[0]!r}, which task {self._task.name!r} does not take.",
                hint=f"It takes {self._task.signature_of_run.signature}.",
            )

    def texts(self, storage: TaskStorage) -> None:
        key, target = storage.cache_key, storage.target
        if key is not None and not (isinstance(key, str) and key):
            raise self._wrong_type("cache_key", key, "a text that is not empty")
        if target is not None and not (isinstance(target, str) or callable(target)):
            raise self._wrong_type("target", target, "a text or callable")
        for option, template in (("target", target), ("location", getattr(storage.result, "location", None))):
            if isinstance(template, str):
                from headrace.templates import check_template  # noqa: PLC0415 - only for tasks that have one

                check_template(f"The {option} of task {self._task.name!r}", template)

    def places(self, storage: TaskStorage) -> None:
        from headrace.abc import ResultStore, Serializer  # noqa: PLC0415 - only tasks with options get here
        from headrace.results import Result  # noqa: PLC0415

        result, serializer = storage.result, storage.serializer
        if result is not None and not isinstance(result, str | ResultStore | Result):
            raise self._wrong_type("result", result, "the URL of a store, a store or a Result")
        if serializer is not None and not isinstance(serializer, str | Serializer):
            raise self._wrong_type("serializer", serializer, "the name of a serializer or a serializer")
        location = getattr(result, "location", None)
        if storage.target is not None and location is not None and location != storage.target:
            message = f"Task {self._task.name!r} has a `target` and a result with another location; the target counts."
            warnings.warn(message, UserWarning, stacklevel=_LEVELS)


# From a check up to the line that makes the task, by way of its constructor.
_LEVELS: Final = 5
