"""Results that stay with Ray, and what stands for them in the process that drives the run.

A small result is kept as the pickle that came with the outcome, and handed on as it is; a larger one is an object of
Ray's, of which the driver has nothing but the reference. Neither is read in the driver unless somebody asks for it.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol

from headrace.exceptions import ResultError
from headrace.references import ResultReference
from headrace.remote.pickles import load
from headrace_ray.parcels import arrived, arrived_element, arrived_inline, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from headrace_ray.parcels import Parcel

__all__ = [
    "Cargo",
    "InlineReference",
    "LostObjectError",
    "ObjectStore",
    "Piece",
    "RayReference",
    "StoredReference",
    "loading",
]

# About how many bytes of a list one of its pieces takes, and how many pieces it is cut into at most.
_PIECE: Final = 4096
_MOST_PIECES: Final = 1000


class LostObjectError(ResultError):
    """The object that holds a result is gone; ``lost`` is its id."""

    def __init__(self, name: str, lost: str, reason: str) -> None:
        self.lost = lost
        super().__init__(
            f"The result of task {name!r} is lost, as when the node dies that has it: {reason}.",
            hint='Keep results in a store, from which they are read back: `results="file:..."`.',
        )


class ObjectStore(Protocol):
    """What references ask of the executor that made them."""

    outlives_run: bool

    def fetch(self, ref: Any, name: str) -> Parcel:
        """Return an object, as memory of this process; raise `ResultError`, of a lost one `LostObjectError`."""
        ...

    def cut(self, ref: Any, pieces: int, length: int, name: str) -> list[Any]:
        """Return references to pieces of ``length`` elements each of a list, which stays where it is."""
        ...

    def read_back(self, reload: Callable[[], object], name: str) -> Any:
        """Return a reference to what ``reload`` returns, called somewhere on the cluster."""
        ...


class Cargo:
    """The objects that travel beside one call; references that are pickled meanwhile put theirs here."""

    def __init__(self) -> None:
        self.sources: list[StoredReference | Piece] = []
        self._positions: dict[Any, int] = {}

    def position(self, source: StoredReference | Piece) -> int:
        """Return where the object of ``source`` is among them."""
        found = self._positions.setdefault(source.ref, len(self.sources))
        if found == len(self.sources):
            self.sources.append(source)
        return found


_cargo: ContextVar[Cargo] = ContextVar("headrace_ray_cargo")


@contextmanager
def loading(cargo: Cargo) -> Iterator[None]:
    """Let references be pickled inside the block, as part of a call that takes ``cargo`` along."""
    token = _cargo.set(cargo)
    try:
        yield
    finally:
        _cargo.reset(token)


class RayReference(ResultReference):
    """Stands for the result of a task that ran on Ray; ``name`` is the task's, with a child's index."""

    __slots__ = ("length", "name", "outlives_run", "size")

    def __init__(self, name: str, size: int, length: int | None, *, outlives_run: bool) -> None:
        self.name = name
        self.size = size
        self.length = length
        self.outlives_run = outlives_run

    def __repr__(self) -> str:
        return f"<result of {self.name}>"

    @abstractmethod
    def __reduce__(self) -> tuple[Any, ...]:
        """Return what becomes the value itself where the task runs."""


class InlineReference(RayReference):
    """A small result, as its pickle."""

    __slots__ = ("data",)

    def __init__(self, name: str, data: bytes, length: int | None) -> None:
        super().__init__(name, len(data), length, outlives_run=True)
        self.data = data

    def load(self) -> object:
        return load(self.data, f"What task {self.name!r} returned")

    def element(self, index: int) -> ResultReference:
        return _InlineElement(self, index)

    def __reduce__(self) -> tuple[Any, ...]:
        return arrived_inline, (self.data,)


class _InlineElement(RayReference):
    """One element of a small list, which is sent as a whole."""

    __slots__ = ("_index", "_whole")

    def __init__(self, whole: InlineReference, index: int) -> None:
        super().__init__(f"{whole.name} ({index})", whole.size // (whole.length or 1), None, outlives_run=True)
        self._whole = whole
        self._index = index

    def load(self) -> object:
        whole: Any = self._whole.load()
        return whole[self._index]

    def element(self, index: int) -> ResultReference:
        raise TypeError(f"{self!r} has no length.")

    def __reduce__(self) -> tuple[Any, ...]:
        return _element, (self._whole, self._index)


def _element(whole: Any, index: int) -> Any:
    return whole[index]


class StoredReference(RayReference):
    """A result in Ray's object store. If it is lost, ``reload`` may read it back from the run's result store."""

    __slots__ = ("_pieces", "_reload", "_store", "ref")

    def __init__(
        self,
        name: str,
        ref: Any,
        size: int,
        length: int | None,
        store: ObjectStore,
        reload: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(name, size, length, outlives_run=store.outlives_run)
        self.ref = ref
        self._store = store
        self._reload = reload
        self._pieces: list[Piece] = []

    def load(self) -> object:
        return unpack(_fetched(self, self._store), f"What task {self.name!r} returned")

    def hangs_on(self, lost: str) -> bool:
        """Tell whether this is the object of that id."""
        return bool(self.ref.hex() == lost)

    def replace(self, lost: str) -> bool:
        """Have the object made again, if it is the lost one; return False if there is nothing to make it from."""
        if not self.hangs_on(lost):
            return True
        if self._reload is None:
            return False
        self.ref = self._store.read_back(self._reload, self.name)
        return True

    def fetched_piece(self, piece: Piece) -> Parcel:
        """Return one of the pieces."""
        return _fetched(piece, self._store)

    def element(self, index: int) -> ResultReference:
        if not self._pieces:
            self._cut()
        per_piece = self._pieces[0].length
        return _StoredElement(self._pieces[index // per_piece], index % per_piece, index)

    def _cut(self) -> None:
        length = self.length or 1
        wanted = min(length, _MOST_PIECES, -(-self.size // _PIECE))
        per_piece = -(-length // wanted)
        count = -(-length // per_piece)
        refs = self._store.cut(self.ref, count, per_piece, self.name)
        self._pieces = [Piece(self, ref, per_piece) for ref in refs]

    def cut_again(self) -> None:
        """Have the pieces made again."""
        pieces = self._pieces
        refs = self._store.cut(self.ref, len(pieces), pieces[0].length, self.name)
        for piece, ref in zip(pieces, refs, strict=True):
            piece.is_now(ref)

    def __reduce__(self) -> tuple[Any, ...]:
        return arrived, (_cargo.get().position(self),)


def _fetched(source: StoredReference | Piece, store: ObjectStore) -> Parcel:
    while True:
        try:
            return store.fetch(source.ref, source.name)
        except LostObjectError as error:
            # If what it is made from is lost as well, the next error says so.
            if not (source.hangs_on(error.lost) and source.replace(error.lost)):
                raise


class Piece:
    """Some consecutive elements of a stored list, as an object of their own."""

    __slots__ = ("_cut_from", "length", "ref", "whole")

    def __init__(self, whole: StoredReference, ref: Any, length: int) -> None:
        self.whole = whole
        self.length = length
        self.is_now(ref)

    def is_now(self, ref: Any) -> None:
        """Stand for an object that was cut from the whole just now."""
        self.ref = ref
        self._cut_from = self.whole.ref.hex()

    @property
    def name(self) -> str:
        """What messages call it."""
        return self.whole.name

    def hangs_on(self, lost: str) -> bool:
        """Tell whether this is the object of that id, or was to be made from it."""
        return lost in (self.ref.hex(), self._cut_from)

    def replace(self, lost: str) -> bool:
        """Have the pieces made again, and the whole first if that is lost; return False if that cannot be done."""
        if not self.whole.replace(lost):
            return False
        self.whole.cut_again()
        return True


class _StoredElement(RayReference):
    """One element of a list in the object store."""

    __slots__ = ("_index", "_piece")

    def __init__(self, piece: Piece, index: int, position: int) -> None:
        whole = piece.whole
        size = whole.size // (whole.length or 1)
        super().__init__(f"{whole.name} ({position})", size, None, outlives_run=whole.outlives_run)
        self._piece = piece
        self._index = index

    def load(self) -> object:
        piece = self._piece
        return unpack(piece.whole.fetched_piece(piece), f"What task {piece.name!r} returned")[self._index]

    def element(self, index: int) -> ResultReference:
        raise TypeError(f"{self!r} has no length.")

    def __reduce__(self) -> tuple[Any, ...]:
        return arrived_element, (_cargo.get().position(self._piece), self._index)
