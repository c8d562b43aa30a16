"""The command ``headrace``.

Commands are thin: what they do, the library can do without them. click and rich are imported here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, by default that of the process, and exit.

    The exit code is 0 for success, 1 for a flow or a check that failed, 2 for bad usage or input, 130 after Ctrl-C.
    """
    try:
        from headrace.cli.root import headrace  # noqa: PLC0415 - brings click
    except KeyboardInterrupt:
        # From then on, it is the group that sees it.
        raise SystemExit(130) from None
    headrace.main(arguments, prog_name="headrace")
    raise SystemExit(0)
