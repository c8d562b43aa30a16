"""Parameters: the values a flow is given when it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

from headrace.exceptions import DefinitionTypeError, MissingParameterError, ParameterTypeError, TaskDefinitionError
from headrace.masking import MASK
from headrace.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from pendulum import DateTime

    from headrace.flows import Flow

__all__ = ["NO_DEFAULT", "DateTimeParameter", "Parameter"]


class _NoDefault:
    __slots__ = ()

    def __repr__(self) -> str:
        return "<no default>"

    def __reduce__(self) -> str:
        # By name: there is one of it, also after pickling and copying.
        return "NO_DEFAULT"


NO_DEFAULT: Final = _NoDefault()


class Parameter(Task):
    """A value that ``flow.run(name=...)`` or ``headrace run -p name=...`` provides.

    Args:
        name: unique within a flow; also the slug.
        default: what it is when nobody says; without one the parameter is required. None is a default like any other.
        required: True makes it required although there is a default.
        type: what a text from the command line is read as; by default the type of the default value.
        tags: as for any task.
        secret: True keeps the value out of the history, of what watches the run is told, and of the cache, and masks
            it in what is logged. It has no default but None.
    """

    def __init__(
        self,
        name: str,
        default: Any = NO_DEFAULT,
        required: bool | None = None,
        tags: Iterable[str] | None = None,
        type: Any = None,  # noqa: A002 - what a user would call it
        *,
        secret: bool = False,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise TaskDefinitionError(f"A parameter needs a name, and got {name!r}.")
        if secret and default is not NO_DEFAULT and default is not None:
            raise TaskDefinitionError(
                f"Parameter {name!r} is secret and has a default, which everybody who has the flow can read.",
                hint="Leave the default out, or say None.",
            )
        self.secret = secret
        self.default = default
        self.required = default is NO_DEFAULT if required is None else required
        self.type = type
        super().__init__(name, slug=name, tags=tags)

    def __repr__(self) -> str:
        return f"<Parameter: {self.name}>"

    def __call__(self, flow: Flow | None = None) -> Self:  # type: ignore[override]
        """Add this parameter, not a copy, to the flow."""
        self._find_flow(flow).add_task(self)
        return self

    def copy(self, name: str, **task_args: Any) -> Self:  # type: ignore[override]
        """Return a copy under another name."""
        return self._copy({"name": name, "slug": name, **task_args})

    def map(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Refuse: a parameter takes no arguments."""
        raise DefinitionTypeError(
            f"Parameter {self.name!r} takes no arguments that it could be mapped over.",
            hint="To map over its value, give it to a task: `some_task.map(parameter)`.",
        )

    def run(self) -> Any:
        """Return the value the run was given, or the default."""
        from headrace.run_context import context  # noqa: PLC0415 - only for a parameter that is run by hand

        return self.resolve(context.get("parameters") or {})

    def resolve(self, parameters: Mapping[str, Any]) -> Any:
        """Return the value of this parameter among ``parameters``; raise MissingParameterError."""
        if self.name in parameters:
            return parameters[self.name]
        if self.required:
            raise MissingParameterError("the flow", [self.name])
        return self.default

    def parse(self, text: str) -> Any:
        """Return ``text``, as typed on a command line, as a value; raise ParameterTypeError if it is not one."""
        from headrace.coercion import describe_type, from_text  # noqa: PLC0415 - only the command line needs it

        try:
            return from_text(text, self.value_type)
        except ValueError as error:
            self._refuse(text, describe_type(self.value_type), error)

    def read(self, value: Any) -> Any:
        """Return ``value``, as a file of JSON or TOML has it, as a value; raise ParameterTypeError if it is not one."""
        from headrace.coercion import describe_type, from_data  # noqa: PLC0415 - see `parse`

        try:
            return from_data(value, self.value_type)
        except ValueError as error:
            self._refuse(value, describe_type(self.value_type), error)

    def _refuse(self, value: Any, expected: str, error: ValueError) -> NoReturn:
        if self.secret:
            # What could not read the value may have put it into its message.
            raise ParameterTypeError(self.name, MASK, expected) from None
        raise ParameterTypeError(self.name, value, expected) from error

    @property
    def value_type(self) -> Any:
        """The declared type, or that of the default, or Any."""
        if self.type is not None:
            return self.type
        return Any if self.default is NO_DEFAULT or self.default is None else self.default.__class__


class DateTimeParameter(Parameter):
    """A moment: tasks get a ``pendulum.DateTime``, whatever the run was given.

    A text is read as ISO 8601 or RFC 3339, or ``"now"``. A date is its midnight, a time of the day today's, and a
    moment without a time zone in UTC. None stays None. Anything else raises ParameterTypeError when the run starts.

    Args:
        name, default, required, tags: as for `Parameter`; the default may be a text as well.
    """

    def __init__(
        self,
        name: str,
        default: Any = NO_DEFAULT,
        required: bool | None = None,
        tags: Iterable[str] | None = None,
    ) -> None:
        from datetime import datetime  # noqa: PLC0415 - most flows know no moments

        super().__init__(name, default, required, tags, type=datetime)

    def resolve(self, parameters: Mapping[str, Any]) -> DateTime | None:
        """Return the moment among ``parameters``, or the default."""
        value = super().resolve(parameters)
        return None if value is None else self._moment(value)

    def parse(self, text: str) -> DateTime:
        """Return ``text`` as a moment; raise ParameterTypeError if it is not one."""
        return self._moment(text)

    def read(self, value: Any) -> DateTime | None:
        """Return ``value`` as a moment, or None if it is None; raise ParameterTypeError if it is neither."""
        return None if value is None else self._moment(value)

    def _moment(self, value: Any) -> DateTime:
        import pendulum  # noqa: PLC0415 - it takes longer to import than most flows to run

        from headrace.coercion import describe_type  # noqa: PLC0415 - see `parse` of Parameter

        try:
            # Texts of dates and of times of the day give moments; those of durations and intervals what they are.
            found: object = pendulum.parse(value) if isinstance(value, str) else pendulum.instance(value)
        except (AttributeError, TypeError, ValueError) as error:
            raise ParameterTypeError(self.name, value, describe_type(self.type)) from error
        if isinstance(found, pendulum.DateTime):
            return found
        if not isinstance(found, pendulum.Date):
            raise ParameterTypeError(self.name, value, describe_type(self.type))
        return pendulum.datetime(found.year, found.month, found.day)
