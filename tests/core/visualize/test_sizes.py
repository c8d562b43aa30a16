from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.visualize.drawing import Node
from headrace.visualize.sizes import clean_text, face_of, shorten, text_width


@given(st.text(max_size=80), st.floats(20, 200))
def test_a_shortened_text_fits(text: str, width: float) -> None:
    assert text_width(shorten(text, width, 10.0), 10.0) <= width + 12.0


def test_a_text_that_fits_is_kept_on_one_line() -> None:
    assert shorten("two\n lines", 500, 10) == "two lines"


def test_a_text_that_does_not_fit_ends_in_an_ellipsis() -> None:
    assert shorten("a" * 50, 60, 10) == "a" * 8 + "…"


def test_a_text_of_a_million_letters_is_cut_without_measuring_it_all() -> None:
    assert len(shorten("iiii" * 250_000, 240, 13)) < 100


def test_an_accent_is_not_parted_from_its_letter() -> None:
    assert shorten("e\u0301" * 20, 30, 10).replace("…", "").endswith("\u0301")


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    assert clean_text("a\x00b\x1bc\ud800d\uffffe\x85") == "a\ufffdb\ufffdc\ufffdd\ufffde\ufffd"


def test_states_details_and_maps_make_a_node_larger() -> None:
    plain = face_of(Node(id="a", label="a task"))
    told = face_of(Node(id="a", label="a task", state="Success", detail="1 of 2"))
    mapped = face_of(Node(id="a", label="a task", mapped=True))
    assert told.width > plain.width
    assert told.height > plain.height
    assert mapped.height > plain.height
