"""Whether there is a Dask scheduler at an address, found out in bounded time."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final

import dask
from dask.utils import parse_timedelta
from distributed.comm import connect
from distributed.comm.addressing import get_address_host_port, parse_address
from distributed.core import send_recv
from distributed.security import Security
from distributed.utils import LoopRunner, sync

from headrace.exceptions import describe

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NoSchedulerError", "find_scheduler"]

_SCHEMES: Final = ("tcp", "tls")
_LOADER: Final = "distributed.client.security-loader"
# Seconds that a look may take beyond its own time, and those in which a port has to let us in.
_GRACE: Final = 1.0


class NoSchedulerError(ConnectionError):
    """There is no Dask scheduler; the message is the reason."""


def find_scheduler(address: str, client_kwargs: Mapping[str, Any]) -> None:
    """Look for a scheduler at ``address`` for as long as a client would; raise `NoSchedulerError` if there is none.

    A client of Dask waits for ever for the greeting of something else, and cannot be closed then.
    """
    security = client_kwargs.get("security")
    seconds = parse_timedelta(client_kwargs.get("timeout", dask.config.get("distributed.comm.timeouts.connect")), "s")
    loaded = security is None and dask.config.get(_LOADER, None)
    if seconds is None or loaded or parse_address(address)[0] not in _SCHEMES:
        return
    secured = Security(**security) if isinstance(security, dict) else security
    arguments = (secured if isinstance(secured, Security) else Security()).get_connection_args("client")
    runner = LoopRunner()
    runner.start()
    try:
        sync(runner.loop, _ask, address, seconds, arguments, callback_timeout=seconds + _GRACE)
    except Exception as error:  # what answers may be anything, and be read as anything
        raise NoSchedulerError(_reason(address, error)) from error
    finally:
        runner.stop(timeout=_GRACE)


async def _ask(address: str, seconds: float, arguments: dict[str, Any]) -> None:
    async with asyncio.timeout(seconds):
        comm = await connect(address, timeout=seconds, **arguments)
        try:
            answer = await send_recv(comm, op="identity")
        finally:
            comm.abort()
    if "workers" not in answer:
        raise ConnectionError(f"It is a {answer['type']} of Dask.")


def _reason(address: str, error: Exception) -> str:
    if isinstance(error, TypeError):  # it was not tried: there is nothing to encrypt the link with
        return describe(error)
    try:
        socket.create_connection(get_address_host_port(address), timeout=_GRACE).close()
    except OSError as refusal:  # which says more than that the time was over
        return describe(refusal)
    return "something answers there, but no Dask scheduler"
