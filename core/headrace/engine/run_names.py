"""Names that people give to runs: they stand in tables, and commands find runs by them."""

from __future__ import annotations

from typing import Final

from headrace.exceptions import DefinitionTypeError, FlowDefinitionError

__all__ = ["check_run_name"]

_LONGEST: Final = 200
# Control characters, what ends a line or a paragraph, and halves of surrogate pairs.
_REFUSED: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})


def check_run_name(name: object) -> None:
    """Raise DefinitionTypeError or FlowDefinitionError for what cannot be the name of a run; None is no name."""
    if name is None:
        return
    if not isinstance(name, str):
        raise DefinitionTypeError(f"`run_name` of a run must be a text, and is {name!r}.")
    if name == "latest":
        raise FlowDefinitionError(
            "A run cannot be called 'latest', which is what commands call the last one.", hint="Choose another name."
        )
    if len(name) > _LONGEST:
        raise FlowDefinitionError(
            f"The name of a run may have {_LONGEST} characters, and {name[:20]!r}... has {len(name)}.",
            hint="Give it a shorter one; what a run is about fits into its parameters and its context.",
        )
    if not name.isprintable():
        _check_characters(name)


def _check_characters(name: str) -> None:
    from unicodedata import category  # noqa: PLC0415 - hardly any name needs it

    refused = next((character for character in name if category(character) in _REFUSED), None)
    if refused is not None:
        raise FlowDefinitionError(
            f"The name of a run is one line of text, and {name!r} has the character {refused!r}.",
            hint="Leave out line breaks and other control characters.",
        )
