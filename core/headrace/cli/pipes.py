"""Standard output and standard error when nobody reads them any more: a run goes on, and what it says goes nowhere."""

from __future__ import annotations

import io
import os
import stat
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["outlast_readers"]


class _Pipe(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return memoryview(data).nbytes


@contextmanager
def outlast_readers() -> Iterator[None]:
    """Let standard streams that are pipes go nowhere once their reader is gone, instead of failing, inside the block.

    What stands in for a standard stream, as in tests, stays as it is.
    """
    originals = {name: getattr(sys, name) for name in ("stdout", "stderr")}
    for name, original in originals.items():
        if original is getattr(sys, f"__{name}__") and _is_pipe(original):
            _put(name, _like(original))
    try:
        yield
    finally:
        for name, original in originals.items():
            if getattr(sys, name) is not original:
                getattr(sys, name).flush()
                _put(name, original)


def _is_pipe(stream: Any) -> bool:
    try:
        mode = os.fstat(stream.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _like(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    pipe: Any = _Pipe(stream.fileno(), "wb", closefd=False)
    return io.TextIOWrapper(
        # As `python -u` has it.
        pipe if stream.write_through else io.BufferedWriter(pipe),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _put(name: str, stream: Any) -> None:
    # Both: what differs from its original is taken for something that captures output.
    setattr(sys, name, stream)
    setattr(sys, f"__{name}__", stream)
