"""What decides whether a cached result is still good."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, overload

from headrace.exceptions import DefinitionTypeError
from headrace.hashing import digest_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from headrace.states import State

__all__ = [
    "PartialValidator",
    "Validator",
    "all_inputs",
    "all_parameters",
    "current_time",
    "duration_only",
    "has_expired",
    "never_use",
    "partial_inputs_only",
    "partial_parameters_only",
]

Names: TypeAlias = tuple[str, ...] | Literal["all"]
Values: TypeAlias = Mapping[str, Any]

# While a run looks something up, the time of its engine.
current_time: ContextVar[Callable[[], float]] = ContextVar("headrace_current_time", default=time.time)


@dataclass(frozen=True, slots=True)
class Validator:
    """Compares inputs, parameters or both, all or some; a result that has expired never passes.

    Called as ``validator(state, inputs, parameters)`` with a Cached state, the arguments of ``run`` by name, and the
    parameters of the run; returns whether the state's result may be used. ``per_child`` keeps the children of a
    mapped task apart although the same is compared for all of them.
    """

    # Where pickles and documents find it.
    __module__ = "headrace.caching"

    name: str
    inputs: Names = ()
    parameters: Names = ()
    per_child: bool = True

    def __call__(self, state: State, inputs: Values, parameters: Values) -> bool:
        if has_expired(state):
            return False
        if self.inputs and not self._same_inputs(getattr(state, "hashed_inputs", None) or {}, inputs):
            return False
        cached = getattr(state, "cached_parameters", None) or {}
        return not self.parameters or self.fingerprint(self.parameters, cached) == self.fingerprint(
            self.parameters, parameters
        )

    def _same_inputs(self, hashed: Mapping[str, str], inputs: Values) -> bool:
        wanted = self.fingerprint(self.inputs, inputs)
        return wanted == {name: hashed[name] for name in selected(self.inputs, hashed)}

    @staticmethod
    def fingerprint(names: Names, values: Values) -> dict[str, str]:
        """Return the hashes of the values that ``names`` selects; raise UnhashableArgumentError naming the argument."""
        return digest_arguments({name: values[name] for name in selected(names, values)})

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str | tuple[Any, ...]:
        # Those of this module by name: of each there is one.
        known: object = globals().get(self.name)
        if known is self:
            return self.name
        return type(self), tuple(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True)
class PartialValidator(Validator):
    """Compares only what ``validate_on`` names: ``partial_inputs_only(validate_on=["day"])`` is a validator."""

    __module__ = "headrace.caching"

    kind: Literal["inputs", "parameters"] = "inputs"

    @overload
    def __call__(self, *, validate_on: Iterable[str] | None = None) -> PartialValidator: ...
    @overload
    def __call__(
        self, state: State, inputs: Values, parameters: Values, validate_on: Iterable[str] | None = None
    ) -> bool: ...
    def __call__(
        self,
        state: State | None = None,
        inputs: Values | None = None,
        parameters: Values | None = None,
        validate_on: Iterable[str] | None = None,
    ) -> PartialValidator | bool:
        chosen = self if validate_on is None else self._on(_names(self.name, validate_on))
        if state is None:
            return chosen
        return Validator.__call__(chosen, state, inputs or {}, parameters or {})

    def _on(self, names: Names) -> PartialValidator:
        return replace(self, inputs=names) if self.kind == "inputs" else replace(self, parameters=names)

    def __repr__(self) -> str:
        return f"{self.name}(validate_on={list(getattr(self, self.kind))})"


@dataclass(frozen=True, slots=True)
class _Never(Validator):
    __module__ = "headrace.caching"

    def __call__(self, state: State, inputs: Values, parameters: Values) -> bool:
        del state, inputs, parameters
        return False

    def __repr__(self) -> str:
        return self.name


def selected(names: Names, values: Mapping[str, object]) -> list[str]:
    """Return the keys of ``values`` that ``names`` speaks of."""
    return list(values) if names == "all" else [name for name in names if name in values]


def _names(owner: str, names: Iterable[str]) -> tuple[str, ...]:
    found = () if isinstance(names, str) else tuple(names)
    if isinstance(names, str) or not all(isinstance(name, str) for name in found):
        raise DefinitionTypeError(f"`validate_on` of {owner} must be a list of names, and is {names!r}.")
    return tuple(sorted(set(found)))


def has_expired(state: State) -> bool:
    """Tell whether the expiration of a Cached state has passed."""
    expires = getattr(state, "cached_result_expiration", None)
    return expires is not None and bool(expires.timestamp() <= current_time.get()())


never_use: Final = _Never("never_use")
"""No result is used again."""
duration_only: Final = Validator("duration_only")
"""A result is used until it expires, whatever the inputs; each mapped child has one of its own."""
all_inputs: Final = Validator("all_inputs", inputs="all", per_child=False)
"""A result is used for equal arguments."""
all_parameters: Final = Validator("all_parameters", parameters="all")
"""A result is used for equal parameters of the run; each mapped child has one of its own."""
partial_inputs_only: Final = PartialValidator("partial_inputs_only", kind="inputs")
"""A result is used if the arguments that ``validate_on`` names are equal; each mapped child has one of its own."""
partial_parameters_only: Final = PartialValidator("partial_parameters_only", kind="parameters")
"""A result is used if the parameters that ``validate_on`` names are equal; each mapped child has one of its own."""
