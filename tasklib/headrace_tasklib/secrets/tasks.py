"""The prebuilt tasks that return secrets."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from headrace.exceptions import DefinitionTypeError, SecretNotFoundError, TaskDefinitionError
from headrace.masking import masker
from headrace.secrets import Secret
from headrace.tasks import Task
from headrace_tasklib._support import required_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

_WOULD_STORE: Final = ("cache_for", "cache_key", "cache_validator", "checkpoint", "result", "serializer", "target")


class SecretBase(Task):
    """A task whose result is a secret: it is never stored or cached, and every run works it out anew.

    Subclass it and write ``run``; add what it returns to `headrace.masking.masker`, so that it is masked in logs and
    messages. The result does pass through memory to the tasks that take it, and to their processes.

    Args:
        task_options: what every task takes, except what would store the result: ``result``, ``target``,
            ``serializer``, ``checkpoint=True`` and the options of the cache.

    Raises:
        TaskDefinitionError: a ValueError; an option would store the result.
    """

    ephemeral = True

    def __init__(self, **task_options: Any) -> None:
        self._refuse_to_store(task_options)
        super().__init__(**{**task_options, "checkpoint": False})

    def copy(self, **task_args: Any) -> Self:
        """Return a copy, as `Task.copy` does; the copy cannot be told to store its result either."""
        self._refuse_to_store(task_args)
        return super().copy(**task_args)

    def _refuse_to_store(self, options: Mapping[str, Any]) -> None:
        for option in _WOULD_STORE:
            if options.get(option):
                raise TaskDefinitionError(
                    f"{type(self).__name__} returns a secret, which is not stored, so it does not take `{option}`."
                )


class NamedSecret(SecretBase):
    """Look up a secret by name where the task runs; see `headrace.secrets.Secret`.

    Args:
        name: the name of the secret, and of the task; it can be given when the task is called instead.
        task_options: as for `SecretBase`.

    Returns:
        The value; a text that is JSON comes decoded.

    Raises:
        SecretNotFoundError: a ValueError; lists who was asked.

    Example:
        >>> from headrace import Flow, task
        >>> from headrace_tasklib.secrets import NamedSecret
        >>> @task
        ... def log_in(password):
        ...     return len(password)
        >>> with Flow("log in") as flow:
        ...     length = log_in(NamedSecret("PASSWORD")())
        >>> state = flow.run(context={"secrets": {"PASSWORD": "correct horse"}})
        >>> state.result[length].result
        13
    """

    def __init__(self, name: str | None = None, **task_options: Any) -> None:
        self.secret_name = name
        super().__init__(name=name, **task_options)

    def run(self, name: str | None = None) -> Any:
        """Return the secret ``name``, by default that of the constructor."""
        return Secret(required_text("NamedSecret", "name", name or self.secret_name)).get()


class EnvVarSecret(SecretBase):
    """Read a secret from an environment variable of the process where the task runs.

    Args:
        name: the name of the variable, and of the task; it can be given when the task is called instead.
        cast: a callable that makes the result of the text, such as ``int`` or ``json.loads``.
        raise_if_missing: fail if the variable is not set, instead of returning None.
        task_options: as for `SecretBase`.

    Returns:
        The text, what ``cast`` made of it, or None.

    Raises:
        SecretNotFoundError: a ValueError; the variable is not set, and ``raise_if_missing`` was asked for.

    Example:
        >>> import os
        >>> from headrace import Flow
        >>> from headrace_tasklib.secrets import EnvVarSecret
        >>> os.environ["PIN"] = "4711"
        >>> with Flow("read a number") as flow:
        ...     pin = EnvVarSecret("PIN", cast=int)()
        >>> flow.run().result[pin].result
        4711
    """

    def __init__(
        self,
        name: str | None = None,
        cast: Callable[[str], Any] | None = None,
        raise_if_missing: bool = False,
        **task_options: Any,
    ) -> None:
        if cast is not None and not callable(cast):
            raise DefinitionTypeError(f"EnvVarSecret needs `cast` to be callable, and got {cast!r}.")
        self.secret_name = name
        self.cast = cast
        self.raise_if_missing = raise_if_missing
        super().__init__(name=name, **task_options)

    def run(self, name: str | None = None) -> Any:
        """Return the variable ``name``, by default that of the constructor."""
        variable = required_text("EnvVarSecret", "name", name or self.secret_name)
        value = os.environ.get(variable)
        if value is None:
            if self.raise_if_missing:
                raise SecretNotFoundError(
                    variable, ["the environment"], hint=f"Set the variable {variable} where the task runs."
                )
            return None
        masker.add(value)
        return value if self.cast is None else self.cast(value)
