"""Results in a store: each under a location of its own, with a digest that is checked when it is read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.envelope import safe_name, seal, unseal
from headrace.exceptions import DefinitionTypeError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from headrace.abc import ResultStore, Serializer
    from headrace.engine.worker import Work

__all__ = ["LocalResult", "Result", "ResultKeeper"]


@dataclass(frozen=True)
class Result:
    """Where and how results are kept: what ``result=`` of a task or flow takes besides a URL and a store.

    Attributes:
        value: a value to carry along; headrace itself reads and writes none here.
        location: a text with ``{placeholders}``, or a callable that takes them by name, for where in the store a result
            goes; by default headrace chooses one that is new for each run.
        serializer: the name of a serializer plugin, or a serializer; by default the configured one.
        store: the URL of a store, or a store; by default the flow's or the configured one.
    """

    value: Any = None
    location: str | Callable[..., str] | None = None
    serializer: str | Serializer | None = None
    store: str | ResultStore | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.location is not None and not (isinstance(self.location, str) or callable(self.location)):
            raise DefinitionTypeError(f"`location` of a result must be a text or callable, and is {self.location!r}.")


@dataclass(frozen=True)
class LocalResult(Result):
    """Results as files in a folder of this machine.

    Attributes:
        dir: the folder, made when the first result is written; by default the project's ``.headrace/results``.
        location: as for `Result`.
        serializer: as for `Result`.
    """

    value: Any = field(default=None, init=False, repr=False)
    location: str | Callable[..., str] | None = field(default=None, kw_only=True)
    serializer: str | Serializer | None = field(default=None, kw_only=True)
    store: str | ResultStore | None = field(default=None, init=False, repr=False)
    dir: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        from pathlib import Path  # noqa: PLC0415 - most flows have no results of this kind
        from urllib.parse import quote  # noqa: PLC0415

        from headrace.project import project_folder  # noqa: PLC0415

        folder = project_folder() / "results" if self.dir is None else Path(self.dir).expanduser()
        object.__setattr__(self, "store", f"file:{quote(folder.as_posix())}")


class ResultKeeper:
    """Writes the results of one run to a store and reads them back. Used from any thread.

    ``folder`` is a template for the folder that a run's results go to; by default it is named after the flow and the
    id of the run, so that no two runs share one.
    """

    def __init__(self, store: ResultStore, serializer: Serializer, prefix: str, folder: str = "") -> None:
        self._store = store
        self._serializer = serializer
        self._prefix = safe_name(prefix)
        self._folder = folder

    def keep(self, work: Work, value: object) -> str:
        """Store what ``work`` returned and return the location. Called where the task runs."""
        index = "" if work.map_index < 0 else f"/{work.map_index}"
        location = f"{self._folder_of(work)}/{safe_name(work.slug)}{index}.result"
        self._store.write(location, seal(self._serializer.serialize(value)))
        return location

    def _folder_of(self, work: Work) -> str:
        if self._folder:
            from headrace.templates import location_from  # noqa: PLC0415 - only where it is configured

            return location_from("`results.location` of the configuration", self._folder, work.arguments)
        return f"{self._prefix}/{work.parent.lookup('flow_run_id') if work.parent else 'run'}"

    def load(self, location: str) -> object:
        """Return the value at ``location``; raise ResultError if it is damaged, ResultNotFoundError if it is gone."""
        return self._serializer.deserialize(unseal(self._store.read(location), location))
