"""Serializers, section 7.5 of the classic reference."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace import Flow, task
from headrace.abc import Serializer
from headrace.results import LocalResult
from headrace.serializers import PickleSerializer
from headrace.states import State
from headrace_plugins.json import JsonSerializer


class Shouting(Serializer):
    """A serializer of one's own: both methods of the classic interface."""

    def serialize(self, value: object) -> bytes:
        return str(value).upper().encode()

    def deserialize(self, data: bytes) -> object:
        return data.decode().lower()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(value: object, **options) -> tuple[State, bytes]:
    """Run a task with a target and a serializer twice; return its state, read back, and what the file holds."""
    with Flow("f") as flow:
        made = task(lambda: value, name="make", target="it", result="file:kept", **options)()
    flow.run()
    state: State = flow.run().result[made]
    path = Path("kept/it")
    return state, path.read_bytes() if path.exists() else b""


def test_pickle_is_the_default_and_takes_what_a_script_defines():
    class Own:
        def __eq__(self, other):
            return type(other).__name__ == "Own"

        __hash__ = None  # type: ignore[assignment]

    state, data = written(Own())
    assert state.result == pickle.loads(data) == Own()


def test_a_lambda_comes_back():
    assert written(lambda: 5)[0].result() == 5


def test_base64_around_a_pickle_is_not_taken_off():
    """A departure: the classic serializer reads files of its oldest versions."""
    with pytest.raises(pickle.UnpicklingError):
        PickleSerializer().deserialize(base64.b64encode(pickle.dumps([1])))


def test_json_by_name():
    state, data = written({"a": [1, None]}, serializer="json")
    assert json.loads(data) == state.result == {"a": [1, None]}


def test_json_refuses_what_would_not_come_back_as_it_was():
    """A departure: the classic serializer writes a tuple as a list."""
    state, data = written((1, 2), serializer="json")
    assert isinstance(state.result, TypeError)
    assert data == b""


def test_a_moment_as_text():
    """What DateTimeSerializer is for: the text of a moment, in a file of its own."""
    moment = datetime(2026, 1, 31, 12, tzinfo=UTC)
    state, data = written(moment.isoformat(), serializer="text")
    assert data == b"2026-01-31T12:00:00+00:00"
    assert datetime.fromisoformat(state.result) == moment


@pytest.mark.parametrize(("name", "begins"), [("gzip", b"\x1f\x8b"), ("bz2", b"BZh"), ("lzma", b"\xfd7zXZ")])
def test_a_compressed_serializer_is_a_chain_of_two_names(name, begins):
    state, data = written([0] * 1000, serializer=f"pickle+{name}")
    assert data.startswith(begins)
    assert state.result == [0] * 1000


def test_any_serializer_can_be_compressed():
    _, data = written({"a": 1}, serializer="json+gzip")
    assert json.loads(gzip.decompress(data)) == {"a": 1}


def test_a_serializer_of_ones_own_has_two_methods():
    state, data = written("Hello", serializer=Shouting())
    assert (data, state.result) == (b"HELLO", "hello")


def test_a_result_brings_its_serializer_along():
    with Flow("f") as flow:
        task(lambda: "x", name="make")(task_args={"result": LocalResult("kept", location="it", serializer="text")})
    flow.run()
    assert Path("kept/it").read_bytes() == b"x"


def test_two_serializers_of_one_type_are_equal():
    assert PickleSerializer() == PickleSerializer()
    assert JsonSerializer() == JsonSerializer()
    assert len({PickleSerializer(), PickleSerializer(), JsonSerializer()}) == 2


def test_an_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(LookupError, match=r"Known:.*json.*pickle"):
        written(1, serializer="jsn")
