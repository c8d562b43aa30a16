"""HttpTask: what it sends, what it returns, and how it fails."""

from __future__ import annotations

import pickle
import sys
import threading

import pytest

from headrace.exceptions import DefinitionTypeError, MissingDependencyError, TaskDefinitionError
from headrace_tasklib.http import HttpError, HttpResponse, HttpTask, HttpTransientError


def failure_of(*args, **kwargs) -> HttpError:
    with pytest.raises(HttpError) as caught:
        HttpTask(*args, **kwargs).run()
    return caught.value


class TestResponse:
    def test_is_text_by_default(self, server):
        server.answer("/a", body="é".encode())
        assert HttpTask(server.url + "/a").run() == "é"

    def test_text_is_decoded_as_the_server_says(self, server):
        server.answer("/a", body="é".encode("latin-1"), headers={"Content-Type": "text/plain; charset=latin-1"})
        assert HttpTask(server.url + "/a").run() == "é"

    def test_text_replaces_what_does_not_fit_the_encoding(self, server):
        server.answer("/a", body=b"caf\xe9")
        assert HttpTask(server.url + "/a").run() == "caf\N{REPLACEMENT CHARACTER}"

    def test_can_be_json(self, server):
        server.answer("/a", body=b'{"x": [1, null]}')
        assert HttpTask(server.url + "/a", response="json").run() == {"x": [1, None]}

    def test_can_be_bytes(self, server):
        server.answer("/a", body=b"\x00\xff")
        assert HttpTask(server.url + "/a", response="bytes").run() == b"\x00\xff"

    def test_can_be_everything(self, server):
        server.answer("/a", 201, b'{"x": 1}', headers={"X-Thing": "t"})
        answer = HttpTask(server.url + "/a", response="full").run()
        assert isinstance(answer, HttpResponse)
        assert (answer.status, answer.headers["x-thing"], answer.json()) == (201, "t", {"x": 1})
        assert answer.url == server.url + "/a"

    def test_full_response_survives_pickling(self, server):
        server.answer("/a", body=b"x")
        answer = HttpTask(server.url + "/a", response="full").run()
        assert pickle.loads(pickle.dumps(answer)) == answer

    def test_of_an_empty_body_is_an_empty_text(self, server):
        server.answer("/a", 204)
        assert HttpTask(server.url + "/a").run() == ""


class TestRequest:
    def test_carries_params_headers_and_auth(self, server):
        server.answer("/a")
        HttpTask(server.url + "/a", params={"q": "a b", "n": 1}, headers={"X-Thing": "t"}, auth=("me", "pw")).run()
        seen = server.seen[0]
        assert seen.path in {"/a?q=a+b&n=1", "/a?q=a%20b&n=1"}
        assert seen.headers["x-thing"] == "t"
        assert seen.headers["authorization"] == "Basic bWU6cHc="

    @pytest.mark.parametrize(
        ("body", "sent"),
        [
            ({"json": {"x": 1}}, b'{"x":1}'),
            ({"data": {"x": "1 2"}}, b"x=1+2"),
            ({"content": "text"}, b"text"),
            ({"content": b"\x00"}, b"\x00"),
        ],
    )
    def test_carries_one_body(self, server, body, sent):
        server.answer("/a")
        HttpTask(server.url + "/a", "post", **body).run()
        assert (server.seen[0].method, server.seen[0].body) == ("POST", sent)

    def test_arguments_of_the_call_win(self, server):
        server.answer("/b")
        HttpTask(server.url + "/a", headers={"X-Thing": "constructor"}).run(
            url=server.url + "/b", headers={"X-Thing": "call"}, method="PUT"
        )
        assert (server.seen[0].method, server.seen[0].path, server.seen[0].headers["x-thing"]) == ("PUT", "/b", "call")

    def test_head_returns_headers(self, server):
        server.answer("/a", body=b"12345")
        assert HttpTask(server.url + "/a", "HEAD", response="full").run().headers["content-length"] == "5"

    def test_follows_redirects(self, server):
        server.answer("/a", 302, headers={"Location": "/b"})
        server.answer("/b", body=b"there")
        assert HttpTask(server.url + "/a").run() == "there"

    def test_takes_a_redirect_as_the_answer_when_told(self, server):
        server.answer("/a", 302, headers={"Location": "/b"})
        answer = HttpTask(server.url + "/a", follow_redirects=False, response="full").run()
        assert (answer.status, answer.headers["location"]) == (302, "/b")

    def test_timeout_is_the_tasks_and_request_timeout_the_requests(self):
        task = HttpTask("http://127.0.0.1/", timeout=60, request_timeout=2)
        assert (task.timeout, task.request_timeout) == (60.0, 2.0)


class TestStatus:
    def test_404_names_method_url_status_and_body(self, server):
        error = failure_of(server.url + "/absent")
        assert not error.transient
        assert error.status == 404
        assert f"GET {server.url}/absent was answered with 404 Not Found: no such page. " in str(error)

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_that_may_pass_is_transient(self, server, status):
        server.answer("/a", status)
        error = failure_of(server.url + "/a")
        assert isinstance(error, HttpTransientError)
        assert error.transient
        assert error.status == status

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 422])
    def test_that_will_not_pass_is_not_transient(self, server, status):
        server.answer("/a", status)
        assert not isinstance(failure_of(server.url + "/a"), HttpTransientError)

    def test_500_then_200_succeeds_the_second_time(self, server):
        server.answer("/a", 500)
        server.answer("/a", 200, b"better")
        task = HttpTask(server.url + "/a")
        with pytest.raises(HttpTransientError):
            task.run()
        assert task.run() == "better"

    def test_shows_the_beginning_of_a_long_body_only(self, server):
        server.answer("/a", 500, b"start " + b"x" * 1_000_000)
        message = str(failure_of(server.url + "/a"))
        assert "start xxx" in message
        assert len(message) < 600

    def test_says_how_long_the_server_asks_to_wait(self, server):
        server.answer("/a", 429, headers={"Retry-After": "120"})
        assert "retry after 120" in str(failure_of(server.url + "/a"))

    def test_is_not_checked_when_told(self, server):
        server.answer("/a", 404, b"gone")
        assert HttpTask(server.url + "/a", raise_for_status=False).run() == "gone"

    def test_of_a_failure_survives_pickling(self, server):
        error = pickle.loads(pickle.dumps(failure_of(server.url + "/absent")))
        assert (error.status, error.method, str(error).startswith("GET")) == (404, "GET", True)


class TestBrokenExchange:
    def test_an_unreachable_port_is_transient_and_named(self, free_port):
        error = failure_of(f"http://127.0.0.1:{free_port}/a")
        assert isinstance(error, HttpTransientError)
        assert f"GET http://127.0.0.1:{free_port}/a could not connect: " in str(error)
        assert "refused" in str(error)

    def test_an_unknown_host_is_named(self):
        error = failure_of("http://no-such-host.invalid/a")
        assert isinstance(error, HttpTransientError)
        assert "no-such-host.invalid" in str(error)

    def test_a_slow_answer_is_transient(self, server):
        done = threading.Event()
        server.answer("/a", wait=done)
        error = failure_of(server.url + "/a", request_timeout=0.1)
        done.set()
        assert isinstance(error, HttpTransientError)
        assert "did not answer within 0.1 s" in str(error)

    def test_a_truncated_body_is_transient(self, server):
        server.answer("/a", body=b"half", promised=8)
        error = failure_of(server.url + "/a")
        assert isinstance(error, HttpTransientError)
        assert "broke off" in str(error)

    def test_a_redirect_loop_is_not_transient(self, server):
        server.answer("/a", 302, headers={"Location": "/a"})
        error = failure_of(server.url + "/a")
        assert not error.transient
        assert "keeps redirecting" in str(error)

    def test_a_redirect_to_another_protocol_fails(self, server):
        server.answer("/a", 302, headers={"Location": "ftp://127.0.0.1/x"})
        assert not failure_of(server.url + "/a").transient

    def test_a_body_that_cannot_be_decompressed_fails(self, server):
        server.answer("/a", body=b"not gzip", headers={"Content-Encoding": "gzip"})
        assert not failure_of(server.url + "/a").transient

    def test_plain_http_on_a_tls_connection_fails(self, server):
        assert "https://127.0.0.1" in str(failure_of(server.url.replace("http:", "https:")))

    def test_a_body_that_is_not_json_is_shown(self, server):
        server.answer("/a", body=b"<html>")
        message = str(failure_of(server.url + "/a", response="json"))
        assert "not JSON: '<html>'" in message


class TestSecrets:
    URL = "http://me:hunter2@127.0.0.1:{port}/a?api_key=hunter2&X-Amz-Signature=hunter2&access_token=hunter2&page=2"

    def test_of_the_url_do_not_show(self, server):
        message = str(failure_of(self.URL.format(port=server.server_port)))
        assert "hunter2" not in message
        assert "page=2" in message

    def test_of_params_do_not_show(self, server):
        assert "hunter2" not in str(failure_of(server.url + "/absent", params={"token": "hunter2"}))

    def test_of_an_unreachable_url_do_not_show(self, free_port):
        assert "hunter2" not in str(failure_of(self.URL.format(port=free_port)))

    def test_of_an_unusable_url_do_not_show(self):
        assert "hunter2" not in str(failure_of("ftp://me:hunter2@host/x"))

    def test_of_a_broken_header_do_not_show_even_in_the_cause(self, server):
        error = failure_of(server.url, headers={"Authorization": "Bearer hunter2\n"})
        assert "line's end" in str(error)
        assert error.__cause__ is None
        assert error.__suppress_context__

    def test_of_a_wrong_auth_do_not_show(self, server):
        with pytest.raises(DefinitionTypeError, match="`auth`") as caught:
            HttpTask(server.url, auth="hunter2").run()
        assert "hunter2" not in str(caught.value)


class TestBadArguments:
    @pytest.mark.parametrize(
        "url",
        [
            "host/path",
            "ftp://host/x",
            "http://",
            "http:///path",
            "file:///etc/passwd",
            "http://host:port/",
            "http://[::1",
        ],
    )
    def test_an_unusable_url_is_refused_before_any_connection(self, url):
        error = failure_of(url)
        assert not error.transient
        assert "http(s)://host/path" in str(error)

    def test_a_url_with_a_control_character_is_refused(self):
        assert not failure_of("http://host/\x00").transient

    @pytest.mark.parametrize("url", [None, 3, b"http://host"])
    def test_a_url_that_is_no_text_is_refused(self, url):
        with pytest.raises(DefinitionTypeError, match="`url` to be a text"):
            HttpTask(url).run()

    @pytest.mark.parametrize("name", ["params", "headers", "data"])
    def test_an_option_that_is_no_dictionary_is_named(self, name):
        with pytest.raises(DefinitionTypeError, match=f"`{name}` to be a dictionary"):
            HttpTask("http://127.0.0.1/").run(**{name: "x=1"})

    def test_two_bodies_are_refused(self):
        with pytest.raises(TaskDefinitionError, match="json and content"):
            HttpTask("http://127.0.0.1/", json={}, content="x").run()

    def test_a_value_that_json_does_not_know_is_refused(self, server):
        assert "not JSON serializable" in str(failure_of(server.url, "POST", json={"x": object()}))

    def test_an_unknown_response_is_refused_when_the_task_is_made(self):
        with pytest.raises(TaskDefinitionError, match="Did you mean 'json'"):
            HttpTask(response="jsn")

    @pytest.mark.parametrize(("seconds", "error"), [(0, TaskDefinitionError), ("30", DefinitionTypeError)])
    def test_a_bad_request_timeout_is_refused_when_the_task_is_made(self, seconds, error):
        with pytest.raises(error, match="request_timeout"):
            HttpTask(request_timeout=seconds)

    def test_a_missing_library_names_the_extra(self, monkeypatch):
        monkeypatch.delitem(sys.modules, "headrace_tasklib.http.client", raising=False)
        monkeypatch.setitem(sys.modules, "httpx2", None)
        with pytest.raises(MissingDependencyError, match=r"HttpTask needs .*'httpx2'.*headrace\[http\]"):
            HttpTask("http://127.0.0.1/").run()
