"""Addresses at which there is no Dask scheduler."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress

import pytest
from distributed import Client

from headrace import Flow
from headrace.exceptions import ExecutorError
from headrace_dask import DaskExecutor
from headrace_dask.reach import NoSchedulerError, find_scheduler

Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return what answers every connection with the same bytes, and returns its address."""
    with ExitStack() as stack:

        def begin(greeting: bytes) -> str:
            server = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))

            def answer() -> None:
                with suppress(OSError):
                    while True:
                        connection = stack.enter_context(closing(server.accept()[0]))
                        connection.sendall(greeting)

            threading.Thread(target=answer, daemon=True).start()
            return f"tcp://127.0.0.1:{server.getsockname()[1]}"

        yield begin


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2p1\r\n", b"HTTP/1.0 400 Bad Request\r\n\r\n"])
def test_what_answers_and_is_no_scheduler_is_not_waited_for(serve: Serve, greeting: bytes) -> None:
    """Nothing is left of the try that could hold up the end of the process."""
    address = serve(greeting)
    before = set(threading.enumerate())
    with Flow("nowhere") as flow:
        pass
    told = rf"{address} cannot be reached; it was tried for \d\.\d s: something answers there, but no Dask scheduler\."
    with pytest.raises(ExecutorError, match=told):
        flow.run(executor=DaskExecutor(address=address, client_kwargs={"timeout": 0.5}))
    assert not {thread for thread in threading.enumerate() if thread.name == "IO loop"} - before


def test_why_nobody_answers_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NoSchedulerError, match="ConnectionRefusedError"):
            find_scheduler(f"tcp://127.0.0.1:{taken.getsockname()[1]}", {"timeout": 0.2})


def test_a_worker_is_no_scheduler(client: Client) -> None:
    worker = next(iter(client.run(lambda: None)))
    with pytest.raises(NoSchedulerError, match="no Dask scheduler"):
        find_scheduler(worker, {"timeout": "5 s"})


def test_a_scheduler_is_found(address: str) -> None:
    find_scheduler(address, {})


def test_an_address_with_tls_needs_what_to_encrypt_with(address: str) -> None:
    with pytest.raises(NoSchedulerError, match="TLS"):
        find_scheduler(address.replace("tcp", "tls"), {"timeout": 2})
