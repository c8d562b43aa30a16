"""``headrace export``."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from headrace.cli.failures import traceback_option
from headrace.cli.histories import history

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["export"]


@click.command(short_help="Write all that was recorded of a run as lines of JSON.")
@click.argument("run", default="latest")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file to write; it is there when it is complete. By default standard output.",
)
@traceback_option
def export(run: str, output: Path | None) -> None:
    """Write all that was recorded of RUN, the last one by default, as lines of JSON: one document a line.

    The run comes first, then its tasks, task runs, earlier attempts, remarks and logs. Of values it has the type, the
    size, the place and the digest; values themselves are pickles, and stay where they are.

    The form of the lines is documented, under "History of runs", and has a number.
    """
    from headrace.history.exporting import export as documents  # noqa: PLC0415 - `headrace --help` needs no history

    with history() as store:
        found = store.run(run)
        if output is not None:
            with _complete(output) as file:
                _write(documents(store, found), file)
            return
        _write(documents(store, found), sys.stdout)


def _write(documents: Iterable[dict[str, Any]], file: TextIO) -> None:
    # In ASCII, so that no encoding nor half a surrogate pair is in the way.
    file.writelines(json.dumps(each, separators=(",", ":")) + "\n" for each in documents)


@contextmanager
def _complete(path: Path) -> Iterator[TextIO]:
    """Open what takes the place of ``path`` once everything is written; raise HistoryError if it cannot be."""
    from headrace.exceptions import HistoryError  # noqa: PLC0415 - as above

    if not path.name:
        raise HistoryError("`-o` got no name of a file.", hint="Name one, such as `-o run.jsonl`.")
    temporary = path.with_name(f".{path.name}-{os.urandom(4).hex()}.tmp")
    try:
        try:
            with temporary.open("x", encoding="ascii") as file:
                yield file
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise HistoryError(
            f"{path} cannot be written: {error.strerror or error}.", hint="Choose another file with `-o`."
        ) from error
