"""Standard streams whose text goes to the driver."""

from __future__ import annotations

import io
import os
import pickle
import sys

import pytest

from headrace_plugins.processes.streams import ForwardedStream, replaced_streams, write


@pytest.fixture
def sent():
    return []


@pytest.fixture
def stream(sent):
    made = ForwardedStream(lambda data: sent.append(pickle.loads(data)), "stdout")
    yield made
    made.flush()


def test_a_line_is_sent_when_it_ends(stream, sent):
    print("a", 1, end="", file=stream)
    assert sent == []
    print(file=stream)
    assert sent == [("stdout", "a 1\n")]


def test_what_is_no_line_is_sent_when_it_is_flushed(stream, sent):
    stream.write("50 %")
    stream.flush()
    stream.flush()
    assert sent == [("stdout", "50 %")]


def test_a_long_text_is_sent_in_pieces_that_fit_into_a_message(stream, sent):
    stream.write("\N{SNOWMAN}" * 100_000)
    assert "".join(text for _, text in sent) == "\N{SNOWMAN}" * 100_000
    assert max(len(text.encode()) for _, text in sent) < 32_768


def test_nothing_that_is_written_without_an_end_is_kept_for_ever(stream, sent):
    for _ in range(10_000):
        stream.write("x")
    assert sent


def test_a_stream_that_a_task_closes_is_there_for_the_next(stream, sent):
    stream.write("last")
    stream.close()
    assert sent == [("stdout", "last")]
    stream.write("first\n")
    assert sent[1:] == [("stdout", "first\n")]


def test_only_text_is_written(stream):
    with pytest.raises(TypeError):
        stream.write(b"bytes")


def test_programs_write_to_the_file_of_the_process(stream, monkeypatch, tmp_path):
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert ForwardedStream(print, "stdout").fileno() == file.fileno()


def test_a_process_that_was_forked_writes_to_the_original(monkeypatch, tmp_path, sent):
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        stream = ForwardedStream(sent.append, "stdout")
        stream.write("of the parent")
        pid = os.fork()
        if pid == 0:
            stream.write("of the child\n")
            stream.flush()
            os._exit(len(sent))
        assert os.waitpid(pid, 0)[1] == 0
    assert (tmp_path / "out").read_text() == "of the child\n"
    assert sent == []


def test_streams_that_somebody_has_replaced_are_found(monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    assert replaced_streams() == ()
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert replaced_streams() == ("stdout",)


def test_text_is_written_to_whatever_the_stream_is_now(monkeypatch):
    monkeypatch.setattr(sys, "stderr", found := io.StringIO())
    write("stderr", "text\n")
    assert found.getvalue() == "text\n"


def test_a_stream_that_refuses_harms_nobody(monkeypatch):
    class Refusing(io.StringIO):
        def write(self, text: str) -> int:
            raise RuntimeError("no")

    monkeypatch.setattr(sys, "stderr", Refusing())
    monkeypatch.setattr(sys, "stdout", Refusing())
    write("stdout", "text")
    write("stderr", "text")
