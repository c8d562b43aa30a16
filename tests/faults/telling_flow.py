"""Flows whose tasks do with a secret all that people do with secrets, and some of what they should not."""

from __future__ import annotations

import logging
import subprocess
import sys
import urllib.error
import warnings
from typing import Any

from headrace import Flow, Parameter, context, task
from headrace.secrets import Secret
from headrace.tasks import Task

NAME = "CANARY"


def secret() -> str:
    return str(Secret(NAME).get())


@task
def use(way: str) -> Any:
    found = secret()
    return _WAYS[way](found)


@task(max_retries=2, retry_delay=0.01)
def try_again(way: str) -> Any:
    found = secret()
    raise RuntimeError(f"{way} with {found}")


@task
def pass_on(value: Any) -> Any:
    return value


@task
def take(value: Any, way: str) -> Any:
    secret()
    if way == "passed to a task that fails":
        raise ValueError(f"not {value!r}")
    return value


class Resolver(Task):
    """Returns the secret as one does: its result is not to be kept."""

    ephemeral = True

    def run(self) -> str:
        return secret()


def _log(found: str) -> None:
    context.logger.error("the password is %s", found)
    logging.getLogger("somebody").warning("the password is %s", found)
    print(f"https://user:{found}@example.org/?token={found}")
    print(found, file=sys.stderr)
    warnings.warn(f"{found} is old", stacklevel=2)


def _raise(found: str) -> None:
    raise ValueError(f"cannot log in with {found}")


def _raise_chain(found: str) -> None:
    try:
        _raise(found)
    except ValueError as error:
        error.add_note(f"the password was {found}")
        raise LookupError({"password": found}) from error


def _raise_url(found: str) -> None:
    url = f"https://user:{found}@example.org/"
    raise urllib.error.HTTPError(url, 401, f"no {url}", {}, None)  # type: ignore[arg-type]


def _run_program(found: str) -> None:
    subprocess.run([sys.executable, "-c", "raise SystemExit(3)", f"--password={found}"], check=True)


def _let_program_print(found: str) -> None:
    subprocess.run([sys.executable, "-c", f"print({found!r})"], check=True)


def _return_large(found: str) -> list[str]:
    return [found] + ["x" * 100] * 1000


_WAYS = {
    "logged and printed": _log,
    "raised": _raise,
    "raised in a chain": _raise_chain,
    "raised in a URL": _raise_url,
    "on a command line": _run_program,
    "printed by a program": _let_program_print,
    "returned": lambda found: found,
    "returned inside of something": lambda found: {"url": f"https://user:{found}@example.org/"},
    "returned in something large": _return_large,
    "in a local variable": lambda found: 1 / (len(found) - len(found)),
}
WAYS = (
    *_WAYS,
    "tried again",
    "looked up by a task",
    "passed to a task that fails",
    "given as a parameter",
    "in the context",
)


def make(way: str) -> Flow:
    """Return the flow that does it in one way."""
    with Flow("telling") as flow:
        value = Parameter("value", default=None)
        if way in _WAYS:
            pass_on(use(way))
        elif way == "tried again":
            pass_on(try_again(way))
        elif way in {"looked up by a task", "passed to a task that fails"}:
            take(Resolver(name="resolver")(), way)
        else:
            take(value, way)
    return flow
