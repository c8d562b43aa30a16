"""The cache as a memory: which entry serves a piece of work, and the entry that its result becomes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from headrace.caching._entries import Entry
from headrace.caching._facts import code_of, compared, validator_name
from headrace.caching._notes import KIND, found_note, kept_note
from headrace.caching._validators import Validator, current_time
from headrace.engine.remembering import Memory, Recollection
from headrace.envelope import digest_of
from headrace.exceptions import ForeignResultError, ResultError, ResultNotFoundError, describe
from headrace.locations import located
from headrace.references import ReleasedValue
from headrace.run_context import context, run_around
from headrace.serializers import serialized
from headrace.states import Cached

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta

    from headrace.abc import Serializer
    from headrace.caching._locks import KeyLock
    from headrace.caching._store import CacheStore
    from headrace.clock import Clock
    from headrace.engine.worker import Work
    from headrace.states import State
    from headrace.tasks import Task

__all__ = ["CacheMemory"]


class CacheMemory(Memory):
    """The cache as one task of one run sees it. ``brought`` are Cached states that the run was given for the task."""

    def __init__(
        self,
        task: Task,
        store: CacheStore,
        serializer: Serializer,
        clock: Clock,
        brought: Sequence[State] = (),
    ) -> None:
        assert task.storage is not None
        assert task.storage.cache_for is not None
        assert task.storage.cache_validator is not None
        self.cache_for: timedelta = task.storage.cache_for
        self.validator: Callable[[State, Any, Any], bool] = task.storage.cache_validator
        self.bucket = task.storage.cache_key or task.name
        self.store = store
        self.serializer = serializer
        self.clock = clock
        self.brought = tuple(brought)
        # Whoever names a bucket shares it with whomever they like.
        self.code = code_of(task) if task.storage.cache_key is None else {}

    def recall(self, work: Work) -> Recollection:
        """Hash what counts for ``work``; raise UnhashableArgumentError naming the argument that has no hash."""
        return _CacheRecollection(self, work)

    def load(self, entry: Entry) -> object:
        """Return the value of ``entry``; raise ResultError if it is damaged or cannot be read any more."""
        return self.made_of(self.store.value_of(entry), entry)

    def made_of(self, data: bytes, entry: Entry) -> object:
        """Return the value that ``data``, the bytes of ``entry``, are."""
        try:
            return self.serializer.deserialize(data)
        except Exception as error:  # classes are renamed, and a serializer may raise anything
            raise ResultError(f"The cached value at {entry.location!r} cannot be read: {describe(error)}.") from error

    def reload(self, key: str) -> object:
        """Return the value of the entry with ``key``, which nobody held on to; raise ResultNotFoundError."""
        entry = self.store.read(self.bucket, key)
        if entry is None:
            raise ResultNotFoundError(
                f"There is no entry {key!r} in the cache under {self.bucket!r} any more.", hint="Run the task again."
            )
        return self.load(entry)

    def verify(self, location: str, digest: bytes) -> None:
        """Raise ResultError unless the entry at ``location`` has the value with ``digest``."""
        self._exactly(location, digest)

    def load_exactly(self, location: str, digest: bytes) -> object:
        """Return the value with ``digest`` of the entry at ``location``; raise ResultError if that is not there."""
        return self.load(self._exactly(location, digest))

    def _exactly(self, location: str, digest: bytes) -> Entry:
        entry = self.store.read_at(location)
        if entry is None or digest_of(self.store.value_of(entry)) != digest:
            raise ResultNotFoundError(
                f"The cache does not have it any more at {location!r}.", hint="Run the task again."
            )
        return entry


class _CacheRecollection(Recollection):
    __slots__ = ("_facts", "_inputs", "_lock", "_memory", "_parameters", "_why", "_work")

    def __init__(self, memory: CacheMemory, work: Work) -> None:
        self._memory = memory
        self._work = work
        self._parameters: Mapping[str, Any] = context.get("parameters") or {}
        self._inputs = work.arguments
        index = None if work.map_index < 0 else work.map_index
        self._facts = compared(memory.validator, memory.code, work.arguments, self._parameters, index)
        self._lock: KeyLock | None = None
        self._why = ""
        self.found = None

    def settle(self) -> bool:
        token = current_time.set(self._memory.clock.now)
        try:
            self.found = self._brought() or self._look()
            if self.found is not None:
                return True
            lock = self._memory.store.lock(self._memory.bucket, self._facts["key"])
            if not lock.acquire():
                return False
            self._lock = lock
            self._memory.store.prepare()
            # Somebody may have finished between the look and the lock.
            self.found = self._look()
            return True
        finally:
            current_time.reset(token)

    def _brought(self) -> State | None:
        validator = self._memory.validator
        return next((s for s in self._memory.brought if validator(s, self._inputs, self._parameters)), None)

    def _look(self) -> State | None:
        try:
            if isinstance(self._memory.validator, Validator):
                entry = self._memory.store.read(self._memory.bucket, self._facts["key"])
                return None if entry is None else self._checked(entry)
            return self._first_valid()
        except ResultError as error:
            self._warn(error)
            return None

    def _checked(self, entry: Entry) -> State | None:
        if entry.is_expired(self._memory.clock.now()):
            self._why = "what was there had expired"
            return None
        return self._hit(entry)

    def _hit(self, entry: Entry) -> State:
        data = self._memory.store.value_of(entry)
        return self._state(entry, self._memory.made_of(data, entry), digest_of(data))

    def _first_valid(self) -> State | None:
        memory = self._memory
        for entry in memory.store.entries(memory.bucket, damaged=lambda _, error: self._warn(error)):
            if entry.is_expired(memory.clock.now()) or entry.code != memory.code:
                continue
            candidate = self._state(entry, ReleasedValue(partial(memory.load, entry)))
            if not memory.validator(candidate, self._inputs, self._parameters):
                continue
            try:
                return self._hit(entry)
            except ResultError as error:
                self._warn(error)
        return None

    def _warn(self, error: ResultError) -> None:
        from headrace.log import get_logger  # noqa: PLC0415 - only when something is wrong

        logger = get_logger(self._work.name)
        if not isinstance(error, ForeignResultError):
            self._why = "what was there is damaged"
            logger.warning("The cache is no help here: %s", error.message)
            return
        self._why = "what was there was not written by this project"
        # A whole cache may be that of another project.
        if self._memory.store.refused.add(1) == 1:
            logger.warning(
                "The cache is no help here: %s Others like it are not mentioned. %s", error.message, error.hint
            )

    def _state(self, entry: Entry, value: object, digest: bytes = b"") -> State:
        memory = self._memory
        state = Cached(
            f"Found in the cache: {entry.location}, {validator_name(memory.validator)}.",
            value,
            hashed_inputs=dict(entry.inputs),
            cached_parameters=self._cached_parameters(entry),
            cached_result_expiration=_moment(entry.expires),
        )
        state.location = located(entry.location, memory, entry.key, kind="cache", digest=digest)
        state.context[KIND] = found_note(entry.location)
        return state

    @staticmethod
    def _cached_parameters(entry: Entry) -> dict[str, object] | None:
        if not entry.cached_parameters:
            return None
        import pickle  # noqa: PLC0415 - only for hits

        try:
            found: dict[str, object] = pickle.loads(entry.cached_parameters)  # noqa: S301 - under the entry's digest
        except Exception:  # noqa: BLE001 - a class that is gone concerns whoever compares parameters, and nobody else
            return None
        return found

    def keep(self, state: State) -> State:
        memory, work = self._memory, self._work
        now = memory.clock.now()
        hint = "Return something else, choose another `serializer`, or leave out `cache_for`."
        data = serialized(memory.serializer, state.result, f"The result of task {work.name!r}", hint)
        entry = Entry(
            bucket=memory.bucket,
            task=work.task.name,
            flow=context.get("flow_name"),
            validator=validator_name(memory.validator),
            code=memory.code,
            created=now,
            expires=now + memory.cache_for.total_seconds(),
            size=len(data),
            cached_parameters=_pickled(self._open_parameters()),
            **self._facts,
        )
        memory.store.write(entry, data)
        state.context[KIND] = kept_note(entry.location, self._why)
        if state.location is None:
            state.location = located(entry.location, memory, entry.key, kind="cache", digest=digest_of(data))
        return state

    def _open_parameters(self) -> dict[str, Any]:
        """Return the parameters of the run that are not secret."""
        run = run_around(self._work)
        secrets = () if run is None else run.secrets
        return {name: value for name, value in self._parameters.items() if name not in secrets}

    def close(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _moment(seconds: float | None) -> datetime | None:
    from datetime import UTC, datetime  # noqa: PLC0415 - only for hits

    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError):  # after the end of the calendar
        return None


def _pickled(parameters: Mapping[str, Any]) -> bytes:
    """Return the parameters as a pickle, or nothing if they cannot be one: only validators of one's own need them."""
    if not parameters:
        return b""
    from headrace.serializers import PickleSerializer  # noqa: PLC0415 - only when something is stored

    try:
        return PickleSerializer().serialize(dict(parameters))
    except TypeError:
        return b""
