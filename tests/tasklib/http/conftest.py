"""A scripted HTTP server on the loopback interface."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass(frozen=True)
class Seen:
    """One request the server got."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None
    """The length to state, if it is not the body's."""
    wait: threading.Event | None = None
    """What to wait for before answering."""
    for_ever: bool = False
    """Send the body again and again until the client leaves."""


class Loopback(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._answers: dict[str, list[Answer]] = {}
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(
        self, path: str, status: int = 200, body: bytes = b"", *, headers=(), promised=None, wait=None, for_ever=False
    ) -> None:
        """Add an answer to requests for ``path``; the last one is repeated."""
        answer = Answer(status, body, dict(headers), promised, wait, for_ever)
        self._answers.setdefault(path, []).append(answer)

    def next_answer(self, path: str) -> Answer:
        answers = self._answers.get(path, [Answer(404, b"no such page")])
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def handle_error(self, request, client_address) -> None:
        """Say nothing when a client has left: some tests want that."""


class Handler(BaseHTTPRequestHandler):
    server: Loopback

    def handle_request(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self.server.seen.append(Seen(self.command, self.path, headers, body))
        self.send(self.server.next_answer(self.path.partition("?")[0]))

    do_GET = do_POST = do_PUT = do_HEAD = handle_request

    def send(self, answer: Answer) -> None:
        if answer.wait is not None:
            answer.wait.wait(5)
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(answer.body) if answer.promised is None else answer.promised))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        while answer.for_ever:
            time.sleep(0.005)
            self.wfile.write(answer.body)

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with Loopback() as loopback:
        thread = threading.Thread(target=loopback.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield loopback
        loopback.shutdown()
        thread.join()


@pytest.fixture
def free_port():
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
