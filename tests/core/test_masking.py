from __future__ import annotations

import base64
import io
import json
import logging
import random
import subprocess
import sys
import threading
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace import log, masking
from headrace.masking import MASK, Masker, mask_error

PASSWORD = "p/ss wörd'\"\\1"


@pytest.fixture
def masker(monkeypatch):
    """Give the process a masker of its own, with one password."""
    made = Masker()
    made.add(PASSWORD)
    for module in (masking, log):
        monkeypatch.setattr(module, "masker", made)
    return made


def masked(text: str, *values: object) -> str:
    masker = Masker()
    for value in values:
        masker.add(value)
    return masker.mask(text)


class TestMask:
    def test_every_occurrence_is_replaced(self):
        assert masked("a hunter2 b hunter2", "hunter2") == f"a {MASK} b {MASK}"

    def test_a_text_without_a_secret_is_the_same_object(self):
        masker = Masker()
        masker.add("hunter2")
        text = "nothing here: hunter, 2"
        assert masker.mask(text) is text

    def test_somebody_else_may_be_told_of_values(self):
        masker = Masker()
        told: list[list[str]] = []
        masker.tell = told.append
        masker.add({"user": "hunter2", "key": b"0123", "port": 80})
        assert sorted(told[0]) == ["0123", "hunter2"]

    def test_values_inside_of_words_are_masked_too(self):
        assert masked("Bearerhunter2x", "hunter2") == f"Bearer{MASK}x"

    @pytest.mark.parametrize("value", ["", " ", "abc", "   abc  ", None, 12345, 1.5, True])
    def test_short_values_and_numbers_are_not_masked(self, value):
        text = "abc 12345 1.5 True None"
        assert masked(text, value) == text

    def test_four_characters_are_enough(self):
        assert masked("x abcd y", "abcd") == f"x {MASK} y"

    def test_the_longer_of_two_values_is_masked_as_a_whole(self):
        assert masked("hunter2-extra hunter2", "hunter2", "hunter2-extra") == f"{MASK} {MASK}"

    def test_overlapping_values_are_masked_as_one(self):
        assert masked("x abcdefgh y", "abcdef", "defgh") == f"x {MASK} y"

    def test_texts_inside_of_lists_and_dictionaries_are_masked(self):
        text = masked(
            "user hunter2 token s3cret99 port 5432 key name",
            {"name": "hunter2", "more": [{"t": "s3cret99"}], "p": 5432},
        )
        assert text == f"user {MASK} token {MASK} port 5432 key name"

    def test_bytes_are_masked_as_text(self):
        assert masked("a hunter2 \\xffab", b"hunter2", b"\xffab") == f"a {MASK} {MASK}"

    def test_line_ends_around_a_value_do_not_matter(self):
        assert masked("a hunter2 b", "hunter2\n") == f"a {MASK} b"

    def test_a_key_of_several_lines_is_masked_line_by_line(self):
        key = "-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END KEY-----\n"
        assert masked(f"x {key} y", key) == f"x {MASK} y"
        assert masked("    MIIEvQIBADAN", key) == f"    {MASK}"
        assert masked("-----BEGIN KEY-----", key) == "-----BEGIN KEY-----"


FORMS = {
    "itself": PASSWORD,
    "url": quote(PASSWORD),
    "url without exceptions": quote(PASSWORD, safe=""),
    "form": quote_plus(PASSWORD),
    "json": json.dumps({"p": PASSWORD}),
    "json with unicode": json.dumps({"p": PASSWORD}, ensure_ascii=False),
    "repr": repr({"p": PASSWORD}),
    "repr among quotes": repr(f"it's \"{PASSWORD}"),
    "ascii": ascii(PASSWORD),
    "repr of bytes": repr(PASSWORD.encode()),
    "base64": base64.b64encode(PASSWORD.encode()).decode(),
    "base64 for urls": base64.urlsafe_b64encode(PASSWORD.encode()).decode().rstrip("="),
    "basic authentication": base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
    "basic authentication of another user": base64.b64encode(f"a:{PASSWORD}".encode()).decode(),
    "base64 of three alignments": base64.b64encode(f"abc:{PASSWORD}:x".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_way_of_writing_a_value_is_masked(form):
    assert MASK in masked(FORMS[form], PASSWORD)
    assert PASSWORD not in masked(FORMS[form], PASSWORD)


@given(st.text(min_size=4).filter(lambda text: len(text.strip()) >= 4), st.text(), st.text())
def test_no_value_survives(value, before, after):
    assert value.strip() not in masked(before + value + after, value).replace(MASK, "\0")


@given(st.binary(min_size=12, max_size=40), st.binary(max_size=5), st.binary(max_size=5))
def test_base64_is_masked_whatever_surrounds_the_value(value, before, after):
    text = base64.b64encode(before + value + after).decode()
    masker = Masker()
    masker._forms = tuple(masking._base64(value))
    assert MASK in masker.mask(text)


def test_threads_that_add_lose_nothing():
    masker = Masker()
    values = [f"secret-{random.random()}" for _ in range(200)]

    def add(some):
        for value in some:
            masker.add(value)

    threads = [threading.Thread(target=add, args=(values[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "secret" not in masker.mask(" ".join(values))


class TestErrors:
    def test_texts_of_an_exception_and_of_its_causes_are_masked(self, masker):
        cause = KeyError(PASSWORD, 1)
        cause.add_note(f"note {PASSWORD}")
        error = ExceptionGroup("all", [ValueError(f"inner {PASSWORD}")])
        error.__cause__ = cause
        mask_error(error)
        assert cause.args == (MASK, 1)
        assert cause.__notes__ == [f"note {MASK}"]
        assert str(error.exceptions[0]) == f"inner {MASK}"

    def test_attributes_that_are_texts_are_masked(self, masker):
        from headrace.exceptions import TaskRunError

        error = TaskRunError(f"login as {PASSWORD} failed", hint="Try again.")
        mask_error(error)
        assert str(error) == f"login as {MASK} failed Try again."

    def test_exceptions_that_cause_each_other_end(self, masker):
        one, other = ValueError(PASSWORD), ValueError("b")
        one.__cause__, other.__cause__ = other, one
        mask_error(one)
        assert one.args == (MASK,)


class TestLogging:
    @pytest.fixture
    def stream(self, masker):
        """What a handler that is not headrace's writes, with headrace's filter on its logger."""
        stream = io.StringIO()
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(message)s"))
        logger = log.get_logger("masking-test")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        yield stream
        logger.removeHandler(handler)

    def test_messages_and_arguments_are_masked_for_every_handler(self, stream):
        log.get_logger("masking-test").info("one %s %r", PASSWORD, {"p": PASSWORD})
        assert stream.getvalue() == f"one {MASK} {{'p': '{MASK}'}}\n"

    def test_tracebacks_with_their_causes_are_masked(self, stream):
        try:
            try:
                raise KeyError(PASSWORD)
            except KeyError as cause:
                raise ValueError(f"no {PASSWORD}") from cause
        except ValueError:
            log.get_logger("masking-test").exception("failed")
        text = stream.getvalue()
        assert "direct cause" in text
        assert text.count(MASK) == 2
        assert PASSWORD not in text
        assert repr(PASSWORD) not in text

    def test_records_without_a_secret_stay_as_they_are(self, masker):
        record = logging.LogRecord("x", logging.INFO, "", 0, "a %s", ("b",), None)
        assert log.MaskingFilter().filter(record)
        assert (record.msg, record.args) == ("a %s", ("b",))

    def test_arguments_that_do_not_fit_are_left_to_the_handler(self, masker):
        assert log.MaskingFilter().filter(logging.LogRecord("x", logging.INFO, "", 0, "a %d", ("b",), None))

    def test_headrace_s_handler_masks_the_lines_of_other_loggers_in_any_format(self):
        script = """
import logging
from headrace import log
from headrace.masking import masker
masker.add('hun"ter2')
log.configure(json=True)
other = logging.Logger('other')
other.addHandler(logging.getLogger('headrace').handlers[0])
try:
    raise ValueError('hun"ter2')
except ValueError:
    other.exception('said %s', 'hun"ter2', extra={'more': 'hun"ter2'})
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
        assert "ter2" not in done.stderr.replace("hun\"ter2')", "")
        assert json.loads(done.stderr)["more"] == MASK
        assert json.loads(done.stderr)["message"] == f"said {MASK}"


def test_importing_it_loads_neither_logging_nor_json():
    code = "import sys; old = set(sys.modules); import headrace.masking; print(*set(sys.modules) - old)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert not {"logging", "json", "base64", "urllib"} & set(done.stdout.split())
