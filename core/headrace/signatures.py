"""The signature of a task's ``run``: checked when the task is defined, then bound quickly for every call."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import DefinitionTypeError, TaskDefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from headrace.parameters import Parameter

__all__ = ["RunSignature"]

RESERVED: Final = frozenset({"flow", "mapped", "task_args", "upstream_tasks"})
_WRAP: Final = "Wrap it in a Python function: `@task def name(x): ...`."


class RunSignature:
    """The parameters of a ``run`` function.

    Raises DefinitionTypeError for positional-only parameters, TaskDefinitionError for ``*args``, for a name that
    calling a task gives a meaning of its own, and for a function that has no readable signature.
    """

    __slots__ = ("_positional", "_required", "is_async", "known", "signature", "takes_any")

    def __init__(self, owner: str, function: Callable[..., object]) -> None:
        try:
            self.signature = inspect.signature(function)
        except (TypeError, ValueError) as error:
            raise TaskDefinitionError(f"{owner} has a signature that cannot be read.", hint=_WRAP) from error
        self.is_async = inspect.iscoroutinefunction(_innermost(function))
        self.takes_any = False
        positional: list[str] = []
        known: list[str] = []
        for parameter in self.signature.parameters.values():
            self._check(owner, parameter, function)
            if parameter.kind is parameter.VAR_KEYWORD:
                self.takes_any = True
                continue
            known.append(parameter.name)
            if parameter.kind is not parameter.KEYWORD_ONLY:
                positional.append(parameter.name)
        self._positional = tuple(positional)
        self.known = frozenset(known)
        empty = inspect.Parameter.empty
        self._required = frozenset(n for n in known if self.signature.parameters[n].default is empty)

    @property
    def defaults(self) -> dict[str, Any]:
        """The default values, by argument."""
        return {name: p.default for name, p in self.signature.parameters.items() if p.default is not p.empty}

    @staticmethod
    def _check(owner: str, parameter: inspect.Parameter, function: Callable[..., object]) -> None:
        if parameter.kind is parameter.VAR_POSITIONAL:
            raise TaskDefinitionError(
                f"{owner} takes `*{parameter.name}`, and a flow connects tasks by argument name.",
                hint="Name each argument, take a list, or take `**kwargs`." if _is_python(function) else _WRAP,
            )
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise DefinitionTypeError(
                f"{owner} takes {parameter.name!r} by position only, and a flow connects tasks by argument name.",
                hint="Remove the `/` from its signature." if _is_python(function) else _WRAP,
            )
        if parameter.name in RESERVED:
            raise TaskDefinitionError(
                f"{owner} has an argument named {parameter.name!r}, which calling a task gives a meaning of its own.",
                hint="Rename it.",
            )

    @classmethod
    def of_parameters(cls, owner: str, parameters: Iterable[Parameter]) -> RunSignature:
        """Return the signature of what takes the parameters of a flow as keyword arguments."""
        kind = inspect.Parameter.KEYWORD_ONLY
        signature = inspect.Signature(
            [
                inspect.Parameter(p.name, kind, default=inspect.Parameter.empty if p.required else p.default)
                for p in sorted(parameters, key=lambda parameter: parameter.name)
            ]
        )

        def run(**_: Any) -> None: ...

        run.__signature__ = signature  # type: ignore[attr-defined]
        return cls(owner, run)

    def accepts(self, key: str) -> bool:
        """Tell whether ``run`` can be given an argument named ``key``."""
        return self.takes_any or key in self.known

    def bind(self, owner: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the given arguments by name; raise DefinitionTypeError if they do not fit."""
        if len(args) <= len(self._positional):
            bound = dict(zip(self._positional, args, strict=False))
            if not kwargs:
                if self._required <= bound.keys():
                    return bound
            elif bound.keys().isdisjoint(kwargs):
                bound.update(kwargs)
                if self._required <= bound.keys() and (self.takes_any or bound.keys() <= self.known):
                    return bound
        raise self._misfit(owner, args, kwargs)

    def _misfit(self, owner: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> DefinitionTypeError:
        """Let ``inspect`` say what is wrong: its messages are the ones Python users know."""
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            return DefinitionTypeError(f"{owner} was called with {error}.", hint=f"It takes {self.signature}.")
        return DefinitionTypeError(
            f"{owner} cannot be called with these arguments.", hint=f"It takes {self.signature}."
        )


def _is_python(function: Any) -> bool:
    """Tell whether whoever made a task of ``function`` can change its signature, which no builtin lets them do."""
    inner = _innermost(function)
    return isinstance(inner, type) or hasattr(inner, "__code__") or hasattr(type(inner).__call__, "__code__")


def _innermost(function: Any) -> Any:
    """Return the function behind partial objects and decorators that say what they wrap."""
    while isinstance(function, partial):
        function = function.func
    return inspect.unwrap(function)
