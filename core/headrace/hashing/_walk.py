"""The walk through a value, without recursion: each container's hash is made from those of what it holds."""

from __future__ import annotations

from hashlib import blake2b
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import UnhashableArgumentError
from headrace.hashing._describe import describe
from headrace.hashing._encoding import SCALARS, SIZE, Node, Refusal, framed
from headrace.value_paths import shortened, type_name

if TYPE_CHECKING:
    from typing import NoReturn

# Part of every digest: changing what any value is encoded as takes another number here.
_SCHEME: Final = b"headrace 1"
_FLUSH: Final = 4096
_FEW: Final = 16


class _Frame:
    """A container on the way: what its hash is made from so far."""

    __slots__ = ("hasher", "index", "keep", "node", "parts", "rest", "self_contained", "value")

    def __init__(self, value: object, node: Node) -> None:
        self.value = value
        self.node = node
        self.index = 0
        self.rest = enumerate(node.children)
        self.parts: list[bytes] = []
        # Worth remembering if it is met again: what holds containers, or many elements.
        self.keep = len(node.children) > _FEW
        self.self_contained = True
        self.hasher = blake2b(framed(node.tag) + framed(node.head) + b"%d;" % len(node.children), digest_size=SIZE)

    def flush(self) -> None:
        self.hasher.update(b"".join(self.parts))
        self.parts.clear()

    def close(self) -> bytes:
        if not self.node.ordered:
            self.parts.sort()
        self.flush()
        return b"#" + self.hasher.digest()


class _Walk:
    """One walk through one value. ``memo`` keeps what it holds alive, since an id may be used again after that."""

    def __init__(self, value: object, name: str) -> None:
        self.name = name
        self.stack = [_Frame(None, Node(b"", (value,), step=lambda _: ""))]
        self.active: dict[int, int] = {}
        self.memo: dict[int, tuple[object, bytes]] = {}

    def run(self) -> bytes:
        while True:
            frame = self.stack[-1]
            if self.advance(frame):
                continue
            if len(self.stack) == 1:
                return frame.parts[0]
            encoded = frame.close()
            self.stack.pop()
            self.active.pop(id(frame.value), None)
            if frame.keep and frame.self_contained:
                self.memo[id(frame.value)] = frame.value, encoded
            self.stack[-1].parts.append(encoded)

    def advance(self, frame: _Frame) -> bool:
        """Encode the elements of ``frame`` up to the next container, and enter that; tell whether there is one."""
        parts, ordered = frame.parts, frame.node.ordered
        for index, child in frame.rest:
            scalar = SCALARS.get(type(child))
            if scalar is not None:
                parts.append(scalar(child))
                if len(parts) >= _FLUSH and ordered:
                    frame.flush()
                continue
            frame.index = index
            found = self.look_at(frame, child)
            if found is None:
                return True
            parts.append(found)
        return False

    def look_at(self, frame: _Frame, child: Any) -> bytes | None:
        """Return the encoding of ``child``, or enter it and return None."""
        remembered = self.memo.get(id(child))
        if remembered is not None:
            return remembered[1]
        if id(child) in self.active:
            return self.holds_itself(child)
        try:
            found = describe(child)
        except Refusal as refusal:
            self.refuse(child, str(refusal), refusal.hint, refusal.__cause__)
        except Exception as error:  # noqa: BLE001 - a foreign __reduce__, property or array may raise anything
            self.refuse(child, f"and looking into it raised {type(error).__name__}: {error}", None, error)
        if isinstance(found, bytes):
            if _is_large(child):
                self.memo[id(child)] = child, found
            return found
        frame.keep = True
        self.active[id(child)] = len(self.stack)
        self.stack.append(_Frame(child, found))
        return None

    def holds_itself(self, child: object) -> bytes:
        """Encode a recursive function by how far up it is.

        What lies between may be met again from outside of it, and is another value there.
        """
        depth = self.active[id(child)]
        if not isinstance(child, FunctionType):
            self.refuse(child, "which holds itself", None, None)
        for frame in self.stack[depth:]:
            frame.self_contained = False
        return b"^%d;" % (len(self.stack) - depth)

    def refuse(self, child: object, reason: str, hint: str | None, cause: BaseException | None) -> NoReturn:
        path = self.name + "".join(frame.node.step(frame.index) for frame in self.stack)
        raise UnhashableArgumentError(self.name, shortened(path), type_name(type(child)), reason, hint=hint) from cause


def _is_large(value: Any) -> bool:
    try:
        return len(value) >= 1000
    except Exception:  # noqa: BLE001 - a foreign __len__ may raise anything; then it is hashed again when met again
        return False


def walk(value: object, name: str) -> bytes:
    """Return the hash of ``value``; ``name`` is what messages call it."""
    scalar = SCALARS.get(type(value))
    encoded = _Walk(value, name).run() if scalar is None else scalar(value)
    return blake2b(_SCHEME + encoded, digest_size=SIZE).digest()
