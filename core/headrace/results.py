"""Results in a store: each under a location of its own, with a digest that is checked when it is read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.envelope import digest_in, is_sealed, safe_name, seal, unseal
from headrace.exceptions import DefinitionTypeError, ResultError
from headrace.locations import NotedLocation, noted
from headrace.serializers import deserialized, serialized

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from typing import Self

    from headrace.abc import ResultStore, Serializer
    from headrace.engine.worker import Work

__all__ = ["LocalResult", "Result", "ResultKeeper"]


@dataclass(frozen=True)
class Result:
    """Where and how results are kept: what ``result=`` of a task or flow takes besides a URL and a store.

    `write`, `read` and `exists` reach into the store by hand, in the form in which the engine reads and writes: at a
    ``location`` of its own a file holds what the serializer made and nothing else, elsewhere it is under a digest.
    They may be called anywhere, also in a task, and return new objects; the plugins are those of the run around.

    Attributes:
        value: what `write` or `read` found there; the engine neither reads nor sets it.
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

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_opened"}

    def copy(self) -> Self:
        """Return another object with the same value, location, serializer and store."""
        return self._changed()

    def from_value(self, value: object) -> Self:
        """Return a copy that holds ``value`` and has no location."""
        return self._changed(value=value, location=None)

    def format(self, /, **values: Any) -> Self:
        """Return a copy whose location is filled in from ``values``, `headrace.context` and the parameters.

        Without a location it is one that nothing else has, in a folder of the day, in UTC. Raises ResultLocationError
        for a placeholder that nothing has a value for, and for a location outside of the store.
        """
        return self._changed(location=_new_location() if self.location is None else self._filled(self.location, values))

    def exists(self, /, location: str, **values: Any) -> bool:
        """Tell whether the store has something at ``location``, whose placeholders are filled in as by `format`."""
        return self._open().exists(self._filled(location, values))

    def read(self, location: str) -> Self:
        """Return a copy that holds the value at ``location``.

        Raises ResultNotFoundError if there is none, and ResultError if it is damaged or written by another serializer.
        """
        return self._changed(value=self._open().load(location), location=location)

    def write(self, value: object, /, **values: Any) -> Self:
        """Store ``value`` at the location, filled in as by `format`; return a copy that says where and holds it.

        Raises ResultFormError for a value that the serializer cannot take.
        """
        location = str(self.format(**values).location)
        self._open().put(location, value, sealed=self.location is None)
        return self._changed(value=value, location=location)

    def _changed(self, **changes: Any) -> Self:
        # `dataclasses.replace` would go through the constructor, which does not take every field of a subclass.
        new = object.__new__(type(self))
        vars(new).update(vars(self), **changes)
        return new

    def _filled(self, location: str | Callable[..., str], values: dict[str, Any]) -> str:
        from headrace.templates import location_from  # noqa: PLC0415 - only for results that are read or written by hand

        return location_from(f"The location of this {type(self).__name__}", location, values)

    def _open(self) -> ResultFiles:
        """Return the store, made when it is first needed and shared with copies, so that one in memory is the same."""
        if "_opened" not in vars(self):
            from headrace.engine.opening import open_result  # noqa: PLC0415 - as above

            store, serializer = open_result(self)
            vars(self).setdefault("_opened", ResultFiles(store, serializer))
        opened: ResultFiles = vars(self)["_opened"]
        return opened


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
        from os import fsencode  # noqa: PLC0415 - most flows have no results of this kind
        from pathlib import Path  # noqa: PLC0415
        from urllib.parse import quote  # noqa: PLC0415

        from headrace.project import project_folder  # noqa: PLC0415

        folder = project_folder() / "results" if self.dir is None else Path(self.dir).expanduser()
        object.__setattr__(self, "store", f"file:{quote(fsencode(folder.as_posix()))}")


def _new_location() -> str:
    from datetime import UTC, datetime  # noqa: PLC0415 - as above
    from uuid import uuid4  # noqa: PLC0415

    return f"{datetime.now(UTC):%Y/%m/%d}/{uuid4()}.result"


class ResultFiles:
    """Values in a store, each in one file. Used from any thread."""

    def __init__(self, store: ResultStore, serializer: Serializer) -> None:
        self._store = store
        self._serializer = serializer

    def exists(self, location: str) -> bool:
        """Tell whether there is something at ``location``."""
        return self._store.exists(location)

    def put(self, location: str, value: object, *, sealed: bool, what: str = "This value") -> None:
        """Store ``value``, under a digest or as the serializer makes it; ``what`` is what messages call it."""
        data = serialized(self._serializer, value, what)
        self._store.write(location, seal(data) if sealed else data)

    def load(self, location: str) -> object:
        """Return the value at ``location``, with or without a digest.

        Raises ResultError if it is damaged or of another form, and ResultNotFoundError if there is none.
        """
        data = self._store.read(location)
        if is_sealed(data):
            data = unseal(data, location)
        return deserialized(self._serializer, data, f"The result at {location!r}")

    def load_exactly(self, location: str, digest: bytes) -> object:
        """Return the value at ``location``, which was stored under a digest, namely ``digest``.

        Raises ResultError, before anything is made of the bytes, if they are damaged or those of another result.
        """
        return deserialized(self._serializer, self._exactly(location, digest), f"The result at {location!r}")

    def verify(self, location: str, digest: bytes) -> None:
        """Raise what `load_exactly` raises before it makes anything of the bytes."""
        self._exactly(location, digest)

    def _exactly(self, location: str, digest: bytes) -> bytes:
        sealed = self._store.read(location)
        data = unseal(sealed, location)
        if digest_in(sealed) != digest:
            raise ResultError(
                f"The result at {location!r} is not the one that the run recorded: its digest is another one.",
                hint="Run the task again, and find out who wrote there.",
            )
        return data


class ResultKeeper(ResultFiles):
    """Writes the results of one run to a store and reads them back. Used from any thread.

    ``folder`` is a template for the folder that a run's results go to; by default it is named after the flow and the
    id of the run, so that no two runs share one.
    """

    def __init__(self, store: ResultStore, serializer: Serializer, prefix: str, folder: str = "") -> None:
        super().__init__(store, serializer)
        self._prefix = safe_name(prefix)
        self._folder = folder

    def keep(self, work: Work, value: object) -> str | None:
        """Store what ``work`` returned and return the location. Called where the task runs."""
        location = self.location_of(work)
        sealed = seal(serialized(self._serializer, value, f"The result of task {work.name!r}"))
        self._store.write(location, sealed)
        return noted(location, "store", digest_in(sealed))

    def location_of(self, work: Work) -> str:
        """Return where the result of ``work`` belongs."""
        index = "" if work.map_index < 0 else f"/{work.map_index}"
        return f"{self._folder_of(work)}/{safe_name(work.slug)}{index}.result"

    def _folder_of(self, work: Work) -> str:
        if self._folder:
            from headrace.templates import location_from  # noqa: PLC0415 - only where it is configured

            return location_from("`results.location` of the configuration", self._folder, work.all_arguments())
        return f"{self._prefix}/{work.parent.lookup('flow_run_id') if work.parent else 'run'}"

    def load(self, location: str) -> object:
        """Return the value at ``location``, if it is the one that was kept there where that is known.

        Raises ResultError if it is damaged or another one, and ResultNotFoundError if it is gone.
        """
        if isinstance(location, NotedLocation):
            return self.load_exactly(location, location.digest)
        data = unseal(self._store.read(location), location)
        return deserialized(self._serializer, data, f"The result at {location!r}")
