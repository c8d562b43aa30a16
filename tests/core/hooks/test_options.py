from __future__ import annotations

from collections import Counter  # noqa: F401 - an annotation names it
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, Optional, Protocol

import pytest

from headrace.exceptions import PluginOptionError
from headrace.hooks.options import Option, checked_options, known_options

if TYPE_CHECKING:
    from nowhere import Unimportable  # type: ignore[import-not-found]


class Colour(Enum):
    RED = "red"
    DARK_BLUE = 2


class Speaks(Protocol):
    def speak(self) -> str: ...


Port = NewType("Port", int)


class Factory:
    def __init__(
        self,
        url: str = "",
        *,
        count: int = 1,
        ratio: float = 0.5,
        fast: bool = False,
        label: str = "",
        folder: Path = Path(),
        limit: int | None = None,
        old_style: Optional[float] = None,  # noqa: UP045
        either: int | str = 0,
        mode: Literal["a", "b", 3] = "a",
        colour: Colour = Colour.RED,
        port: Port = Port(1),
        noted: Annotated[int, "seconds"] = 1,
        many: Sequence[int] = (),
        table: Mapping[str, int] | None = None,
        call: Callable[[], object] | None = None,
        speaker: Speaks | None = None,
        hidden: Unimportable = None,
        whatever: Any = None,
        bare=None,
    ) -> None: ...


def check(**options: object) -> dict[str, object]:
    return checked_options(Factory, "store 's3' of acme", ("s3://x",), options)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("count", "12", 12),
        ("count", 12, 12),
        ("ratio", "1.5", 1.5),
        ("ratio", 2, 2),
        ("fast", "on", True),
        ("fast", "False", False),
        ("label", "12", "12"),
        ("folder", "a/b", Path("a/b")),
        ("limit", "3", 3),
        ("limit", "none", None),
        ("limit", None, None),
        ("old_style", "2.5", 2.5),
        ("either", "7", "7"),
        ("mode", "b", "b"),
        ("mode", "3", 3),
        ("colour", "dark_blue", Colour.DARK_BLUE),
        ("colour", "2", Colour.DARK_BLUE),
        ("colour", Colour.RED, Colour.RED),
        ("port", "80", 80),
        ("noted", "5", 5),
        ("many", [1, 2], [1, 2]),
        ("many", "[1, 2]", [1, 2]),
        ("table", {"a": 1}, {"a": 1}),
        ("table", '{"a": 1}', {"a": 1}),
        ("table", "none", None),
        ("call", print, print),
        ("speaker", "anything", "anything"),
        ("hidden", "anything", "anything"),
        ("whatever", 7, 7),
        ("bare", 7, 7),
    ],
)
def test_value_that_fits_is_read_as_the_annotated_type(name: str, given: object, expected: object) -> None:
    [read] = check(**{name: given}).values()
    assert read == expected
    assert type(read) is type(expected)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("count", "many", "a whole number, and got 'many'"),
        ("count", 1.5, "a whole number, and got 1.5"),
        ("count", True, "a whole number, and got True"),
        ("ratio", "half", "a number, and got 'half'"),
        ("fast", "maybe", "true or false, and got 'maybe'"),
        ("fast", 1, "true or false, and got 1"),
        ("label", 3, "a text, and got 3"),
        ("folder", 3, "a path, and got 3"),
        ("limit", "x", "a whole number or nothing, and got 'x'"),
        ("mode", "c", "one of 'a', 'b', 3, and got 'c'"),
        ("colour", "green", "one of RED, DARK_BLUE, and got 'green'"),
        ("noted", "x", "a whole number, and got 'x'"),
        ("many", "1", "a JSON list, and got '1'"),
        ("many", '["a"]', "a JSON list, and got "),
        ("many", 5, "a JSON list, and got 5"),
        ("table", 5, "a JSON object or nothing, and got 5"),
        ("table", "[1]", "a JSON object or nothing, and got '[1]'"),
    ],
)
def test_value_that_does_not_fit_is_an_error_with_both(name: str, given: object, expected: str) -> None:
    with pytest.raises(PluginOptionError) as caught:
        check(**{name: given})
    assert f"Option {name!r} of the store 's3' of acme expects " in str(caught.value)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "example"),
    [
        ("Sequence[str]", '["name"]'),
        ("list[int] | None", "[1]"),
        ("Mapping[str, float] | None", '{"name": 1.5}'),
        ("Optional[dict[str, str]]", '{"name": "name"}'),
        ("dict[str, bool]", '{"name": true}'),
    ],
)
def test_refused_list_or_table_comes_with_an_example_that_fits(annotation: str, example: str) -> None:
    def factory(option: Any) -> None: ...

    factory.__annotations__["option"] = annotation
    with pytest.raises(PluginOptionError) as caught:
        checked_options(factory, "executor 'x' of y", (), {"option": "{}["})
    assert caught.value.hint == f"An example: `{example}`."
    checked_options(factory, "executor 'x' of y", (), {"option": example})


@pytest.mark.parametrize("annotation", ["int", "list", "list[Path]", "Mapping[str, Any]", "Counter[str]"])
def test_refused_value_without_an_obvious_example_has_none(annotation: str) -> None:
    def factory(option: Any) -> None: ...

    factory.__annotations__["option"] = annotation
    with pytest.raises(PluginOptionError) as caught:
        checked_options(factory, "executor 'x' of y", (), {"option": "{}["})
    assert caught.value.hint is None


def test_annotations_that_only_type_checkers_can_read_are_read_where_they_are_usual() -> None:
    module = ModuleType("annotated_for_type_checkers")
    code = """
from __future__ import annotations

class Factory:
    def __init__(
        self,
        names: Sequence[str] = (),
        amounts: Mapping[str, float] | None = None,
        folder: Path | None = None,
        wait: Optional[timedelta] = None,
        client: Client | None = None,
    ) -> None: ...
"""
    exec(code, module.__dict__)
    given = {"names": '["a"]', "amounts": '{"gpu": 2}', "folder": "a/b", "client": "anything"}
    read = checked_options(module.__dict__["Factory"], "executor 'x' of y", (), given)
    assert read == {"names": ["a"], "amounts": {"gpu": 2.0}, "folder": Path("a/b"), "client": "anything"}
    with pytest.raises(PluginOptionError, match="'amounts' of the executor 'x' of y expects a JSON object or nothing"):
        checked_options(module.__dict__["Factory"], "executor 'x' of y", (), {"amounts": "many"})


def test_unknown_option_lists_the_known_ones() -> None:
    with pytest.raises(PluginOptionError, match=r"has no option 'cuont'. Did you mean 'count'. Known: bare, call"):
        check(cuont=1)


def test_argument_that_is_given_already_is_no_option() -> None:
    with pytest.raises(PluginOptionError, match="no option 'url'"):
        check(url="s3://y")


def test_factory_without_options_says_so() -> None:
    def factory() -> None: ...

    with pytest.raises(PluginOptionError, match="It takes no options"):
        checked_options(factory, "executor 'x' of y", (), {"a": 1})


def test_option_that_has_no_default_must_be_given() -> None:
    def factory(address: str, count: int = 1) -> None: ...

    with pytest.raises(PluginOptionError, match="needs the option 'address'"):
        checked_options(factory, "executor 'x' of y", (), {"count": 1})


def test_factory_that_takes_anything_gets_anything() -> None:
    def factory(count: int = 1, **others: object) -> None: ...

    assert checked_options(factory, "x", (), {"count": "2", "else": "3"}) == {"count": 2, "else": "3"}


def test_factory_that_does_not_tell_its_signature_is_not_checked() -> None:
    assert checked_options(dict, "x", (), {"a": "1"}) == {"a": "1"}


def test_options_can_be_listed() -> None:
    def factory(address: str, count: int | None = None, *, bare=3) -> None: ...

    assert known_options(factory) == (
        Option(name="address", type="a text", default=None),
        Option(name="count", type="a whole number or nothing", default="None"),
        Option(name="bare", type="anything", default="3"),
    )
