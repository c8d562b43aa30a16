"""What a recorded run was told, as far as JSON can hold it, so that a run that goes on from it is told the same."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from headrace.engine.recorded_values import UNNAMED
from headrace.masking import mask
from headrace.results import Result

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from headrace.abc import Executor, ResultStore
    from headrace.engine import Engine
    from headrace.engine.runs import RunOptions
    from headrace.history.records import RunRecord

__all__ = ["KeptSettings", "results_of", "settings_of"]

_INSTEAD: Final = {
    "executor": "the flow's executor or the configured one takes its place",
    "results": "give the store again: `--results URL`",
}
_HUSHED: Final = ("password", "passwd", "secret", "token", "key", "sig")


def results_of(results: str | ResultStore | Result | None) -> str | None:
    """Return the URL that ``results`` of a run is, without which nobody finds them; None if it is none to be kept."""
    found: object = results
    if isinstance(results, Result) and results.location is None and results.serializer is None:
        found = results.store
    return found if isinstance(found, str) and _may_be_kept(found) else None


def settings_of(options: RunOptions, executor: str | Executor | None, engine: Engine) -> dict[str, Any]:
    """Return what the history is told of the settings of a run; ``executor`` is what the run itself was given."""
    given: Any = options.origin.get("executor_options") or {}
    executor_options = _kept(given)
    context = _kept(options.context)
    found: dict[str, Any] = {"executor_options": executor_options, "context": context}
    if executor is not None:
        name = executor if isinstance(executor, str) else _name_of(executor, engine)
        found["executor"] = UNNAMED if name is None else name
    if options.results is not None and results_of(options.results) is None:
        found["results"] = UNNAMED
    if options.scheduled_start_time is not None:
        found["scheduled_start_time"] = options.scheduled_start_time.isoformat()
    if options.timeout is not None:
        found["timeout"] = getattr(options.timeout, "total_seconds", lambda: options.timeout)()
    found["not_kept"] = [
        *(f"context {name!r}" for name in options.context if name not in context and name != "secrets"),
        *(f"executor option {name!r}" for name in given if name not in executor_options),
    ]
    return {name: value for name, value in found.items() if value}


def _kept(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if _may_be_kept(value, name)}


def _name_of(executor: Executor, engine: Engine) -> str | None:
    """Return the name that an executor of this kind is registered under, if its plugin is loaded."""
    for record in engine.registry.records("executor"):
        if record.value.partition(":")[0] not in sys.modules:
            continue
        if engine.registry.resolve("executor", record.name).factory is type(executor):
            return record.name
    return None


def _may_be_kept(value: object, name: str = "") -> bool:
    """Tell whether JSON can hold ``value``, and nothing in it looks like a secret."""
    if name == "secrets" or any(word in name.lower() for word in _HUSHED):
        return False
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    if json.loads(text) != value or mask(text) != text:
        return False
    return not isinstance(value, str) or not _has_password(value)


def _has_password(text: str) -> bool:
    try:
        parts = urlsplit(text)
        query = [name.lower() for name, _ in parse_qsl(parts.query)]
        return parts.password is not None or any(word in name for name in query for word in _HUSHED)
    except ValueError:  # not a URL
        return False


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptSettings:
    """The settings that a run had, for the one that goes on from it.

    ``unknown`` are those that it had and that are not on record.
    """

    executor: str | None = None
    executor_options: Mapping[str, str] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)
    results: str | None = None
    scheduled_start_time: datetime | None = None
    timeout: float | None = None
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, run: RunRecord) -> KeptSettings:
        """Return what ``run`` says of its settings."""
        settings: Any = run.details.get("settings")
        if not isinstance(settings, dict):
            return cls(results=run.results)
        executor = settings.get("executor")
        started = settings.get("scheduled_start_time")
        return cls(
            executor=None if executor == UNNAMED else executor,
            executor_options=settings.get("executor_options", {}),
            context=settings.get("context", {}),
            results=run.results,
            scheduled_start_time=None if started is None else _moment(started),
            timeout=settings.get("timeout"),
            unknown=(
                *(name for name in ("executor", "results") if settings.get(name) == UNNAMED),
                *settings.get("not_kept", ()),
            ),
        )

    def remarks(self, *given: str) -> list[str]:
        """Say to people what does not hold any more, and what holds instead; not of what they have ``given``."""
        return [
            f"What the run before had is not on record: {name}; {_INSTEAD.get(name, 'give it again if it is needed')}."
            for name in self.unknown
            if name not in given
        ]


def _moment(text: str) -> datetime:
    from datetime import datetime  # noqa: PLC0415 - few runs are told when they were meant to begin

    return datetime.fromisoformat(text)
