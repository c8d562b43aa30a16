from __future__ import annotations

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import json
import math
import os
import re
import sqlite3
import subprocess
import sys
import threading
import uuid
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import MappingProxyType, SimpleNamespace
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.exceptions import TaskRunError, UnhashableArgumentError
from headrace.hashing import digest, digest_arguments


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


class Right(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Point(NamedTuple):
    x: int
    y: int


class Place(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Station:
    name: str
    readings: list[float] = dataclasses.field(default_factory=list)
    kind: dataclasses.InitVar[str] = ""

    @functools.cached_property
    def mean(self) -> float:
        return sum(self.readings) / len(self.readings)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    name: str


class Plain:
    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Slotted:
    __slots__ = ("left", "right")


class Text(str):
    __slots__ = ()


class Numbers(list):
    pass


class Bag(set):
    pass


class Model:
    """Has a cache that is no content."""

    def __init__(self, weights):
        self.weights = weights
        self.lock = threading.Lock()

    def __headrace_content__(self):
        return self.weights


class Broken:
    def __reduce_ex__(self, protocol):
        raise RuntimeError("no state today")


def double(x):
    return 2 * x


def doubled(x):
    return x * 2


def make_adder(n):
    def add(x):
        return x + n

    return add


def make_recursive():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    return even, odd


def local_time(zone):
    return datetime.datetime(2026, 10, 25, 2, 30, tzinfo=zone)


BERLIN = ZoneInfo("Europe/Berlin")
UTC = datetime.UTC

# Every one of these differs from all others.
DIFFERENT = [
    None,
    ...,
    NotImplemented,
    True,
    False,
    0,
    1,
    -1,
    2**64,
    10**5000,
    1.0,
    0.0,
    -0.0,
    math.nan,
    math.inf,
    -math.inf,
    1j,
    -0j,
    complex(0, math.nan),
    "",
    "1",
    "é",
    "e\u0301",
    "\ud800",
    "x" * 5000,
    b"",
    b"1",
    bytearray(b"1"),
    memoryview(b"1"),
    [],
    (),
    {},
    set(),
    frozenset(),
    [1],
    (1,),
    {1},
    frozenset({1}),
    [[1], 2],
    [[1, 2]],
    [1, [2]],
    ["a", "b"],
    ["ab"],
    ["a,b"],
    [1] * 20,
    [True] * 20,
    [1.0] * 20,
    ["1"] * 20,
    [b"1"] * 20,
    [None] * 20,
    (1,) * 20,
    list(range(5000)),
    [*range(4999), "x"],
    range(3),
    range(1, 3),
    slice(1),
    slice(1, None),
    slice(1, 2, 3),
    {"a": 1},
    {"a": 1, "b": 2},
    {"a": 2, "b": 1},
    {"a": [1]},
    {1: "a"},
    {1.0: "a"},
    {("a", 1): 1},
    MappingProxyType({"a": 1}),
    collections.OrderedDict(a=1, b=2),
    collections.OrderedDict(b=2, a=1),
    collections.defaultdict(int, a=1),
    collections.Counter(a=1),
    collections.deque([1]),
    collections.deque([1], maxlen=2),
    array.array("i", [1, 2]),
    array.array("d", [1, 2]),
    Color.RED,
    Color.BLUE,
    Level.LOW,
    Right.READ,
    Right.READ | Right.WRITE,
    Point(1, 2),
    Place(1, 2),
    (1, 2),
    Station("a"),
    Station("a", [1.0]),
    Frozen("a"),
    Plain(),
    Plain(a=1),
    Plain(a=[1]),
    SimpleNamespace(a=1),
    Text("1"),
    Numbers([1]),
    Bag([1]),
    datetime.date(2026, 1, 1),
    datetime.datetime(2026, 1, 1),  # noqa: DTZ001 - times without a zone are values too
    datetime.datetime(2026, 1, 1, tzinfo=UTC),
    datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
    local_time(BERLIN),
    local_time(BERLIN).replace(fold=1),
    local_time(ZoneInfo("Europe/Paris")),
    datetime.time(1),
    datetime.timedelta(1),
    datetime.timedelta(0, 1),
    UTC,
    datetime.timezone(datetime.timedelta(hours=1), "X"),
    datetime.timezone(datetime.timedelta(hours=2), "X"),
    BERLIN,
    decimal.Decimal(1),
    decimal.Decimal("1.0"),
    decimal.Decimal("NaN"),
    decimal.Decimal("-0"),
    fractions.Fraction(1, 2),
    Path("a"),
    PurePosixPath("a"),
    PureWindowsPath("a"),
    uuid.UUID(int=1),
    re.compile("a"),
    re.compile("a", re.IGNORECASE),
    ValueError("a"),
    KeyError("a"),
    int,
    float,
    Plain,
    Slotted,
    list[int],
    list[str],
    int | None,
    int | str,
    len,
    math.sin,
    math,
    json.dumps,
    json.loads,
    double,
    doubled,
    lambda x: x,
    lambda x: x + 1,
    make_adder(1),
    make_adder(2),
    functools.partial(double, 1),
    functools.partial(double, x=1),
    functools.lru_cache(double),
    [1].append,
    [2].append,
    Model([1]).__headrace_content__,
    Model([1]),
    Model([2]),
]


def test_different_values_have_different_digests() -> None:
    seen: dict[str, object] = {}
    for value in DIFFERENT:
        other = seen.setdefault(digest(value), value)
        assert other is value, f"{value!r} has the digest of {other!r}"


def test_digest_is_forty_hexadecimal_digits() -> None:
    assert re.fullmatch("[0-9a-f]{40}", digest(object)) is not None


def test_every_argument_has_its_own_digest() -> None:
    assert digest_arguments({"x": 1, "y": [2]}) == {"x": digest(1), "y": digest([2])}


SAME = {
    "a copy": ([1, [2, {"a": 3}]], [1, [2, {"a": 3}]]),
    "the order of a dictionary": ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
    "the order of mixed keys": ({1: 1, "b": 2, (1,): 3}, {(1,): 3, "b": 2, 1: 1}),
    "the order of attributes": (Plain(a=1, b=2), Plain(b=2, a=1)),
    "nan": ([math.nan, float("-nan")], [float("nan"), math.nan]),
    "many nans": ([math.nan] * 20, [float("-nan")] * 20),
    "big integers": (10**6000 + 1, 10**6000 + 1),
    "integers as dictionary values": ({str(i): i for i in range(50)}, {str(i): i for i in reversed(range(50))}),
    "a shared element and two equal ones": ([shared := [[1]], shared], [[[1]], [[1]]]),
    "a range of the same three numbers": (range(3), range(0, 3, 1)),
    "functions made twice": (make_adder(1), make_adder(1)),
    "classes": (Plain, Plain),
    "the names of one union": (int | str, str | int),
    "one instant": (local_time(BERLIN), local_time(ZoneInfo("Europe/Berlin"))),
    "what a class says is its content": (Model([1]), Model([1])),
    "partials": (functools.partial(double, 1), functools.partial(double, 1)),
    "exceptions": (ValueError("a", 1), ValueError("a", 1)),
    "sets of containers": ({(1, (2,)), (3, (4,))}, {(3, (4,)), (1, (2,))}),
    "subclasses of set": (Bag(["x", "y", "z"]), Bag(["z", "y", "x"])),
}


@pytest.mark.parametrize("what", SAME)
def test_equal_values_have_one_digest(what: str) -> None:
    one, other = SAME[what]
    assert digest(one) == digest(other)


def test_what_a_cached_property_left_behind_does_not_count() -> None:
    class Lazy:
        def __init__(self):
            self.value = 2

        @functools.cached_property
        def square(self):
            return self.value**2

    used, unused = Lazy(), Lazy()
    assert used.square == 4
    assert digest(used) == digest(unused)
    station = Station("a", [1.0])
    before = digest(station)
    assert station.mean == 1.0
    assert digest(station) == before


def test_slots_count() -> None:
    one, other, empty = Slotted(), Slotted(), Slotted()
    one.left, other.right = 1, 1  # type: ignore[attr-defined]
    assert len({digest(one), digest(other), digest(empty)}) == 3


def test_attrs_classes_count_by_their_fields() -> None:
    attrs = pytest.importorskip("attrs", reason="attrs is not installed")
    made = attrs.make_class("Made", ["x", "y"])
    assert digest(made(1, [2])) == digest(made(1, [2])) != digest(made(1, [3]))


def test_pendulum_times_count_by_their_zone() -> None:
    pendulum = pytest.importorskip("pendulum", reason="pendulum is not installed")
    assert digest(pendulum.datetime(2026, 1, 1)) == digest(pendulum.datetime(2026, 1, 1))
    assert digest(pendulum.datetime(2026, 1, 1)) != digest(pendulum.datetime(2026, 1, 1, tz="Europe/Paris"))


# Depth and sharing


def test_depth_does_not_matter() -> None:
    deep: list[object] = []
    for _ in range(50_000):
        deep = [deep]
    assert digest(deep) != digest(deep[0])


def test_a_value_that_is_shared_at_every_level_takes_no_time() -> None:
    value: list[object] = ["x", {"a": 1}]
    for _ in range(100):
        value = [value, value]
    assert digest(value) == digest([value[0], value[1]])


def test_a_value_that_holds_itself_is_refused_at_the_place() -> None:
    value: dict[str, object] = {"a": [1]}
    value["b"] = [2, value]
    with pytest.raises(UnhashableArgumentError, match=r'value\["b"\]\[1\] is of type dict, which holds itself'):
        digest(value)


def test_functions_that_call_each_other_have_a_digest_that_does_not_depend_on_the_order() -> None:
    even, odd = make_recursive()
    assert digest(even) == digest(make_recursive()[0]) != digest(odd)
    assert digest({even, odd}) == digest({odd, even})
    assert digest((odd, even, odd)) == digest((make_recursive()[1], even, odd))


# Functions


def test_lambdas_of_one_line_are_told_apart() -> None:
    first, second, nested = lambda: 1, lambda: 2, lambda: lambda: 1  # fmt: skip
    assert len({digest(first), digest(second), digest(nested), digest(nested())}) == 3
    assert digest(first) == digest(nested())


def test_default_values_of_a_function_count() -> None:
    def build(default):
        def function(x=default, *, y=default):
            return x, y

        return function

    assert digest(build(1)) == digest(build(1)) != digest(build(2))


def test_a_function_without_source_is_refused() -> None:
    names: dict[str, object] = {}
    exec("def nowhere(x): return x", names)
    with pytest.raises(UnhashableArgumentError, match="whose source cannot be found"):
        digest(names["nowhere"])


def test_the_source_of_a_function_counts_and_its_file_does_not(tmp_path: Path) -> None:
    programs = {
        "one.py": "def add(x):\n    return x + 1\n",
        "two.py": "import os\n\n@staticmethod\ndef other(): pass\n\ndef add(x):\n    return x + 1\n",
        "three.py": "def add(x):\n    return x + 2\n",
    }
    found = []
    for name, text in programs.items():
        script = f"{text}\nfrom headrace.hashing import digest\nprint(digest(add))\n"
        (tmp_path / name).write_text(script)
        found.append(run(str(tmp_path / name)))
    assert found[0] == found[1] != found[2]


# The same everywhere


def run(*arguments: str, **variables: str) -> str:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | variables
    return subprocess.run(
        [sys.executable, *arguments], env=environ, capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


GOLDEN = """
import collections, datetime, decimal, enum, pathlib, uuid, zoneinfo
from headrace.hashing import digest
class Kind(enum.Enum):
    SMALL = "small"
class Plain:
    def __init__(self, **attributes):
        vars(self).update(attributes)
class Numbers(list):
    pass
value = {
    "scalars": [None, True, 7, -1.5, 2j, "text", b"bytes", ...],
    "containers": ({"a", "b", "c"}, frozenset([1, "x", (2,)]), range(3), slice(1, 2), {1: 2, "k": [3]}),
    "many": [list(range(100)), ["a"] * 100, [0.5] * 100],
    "library": [
        datetime.datetime(2026, 3, 29, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")), datetime.timedelta(1),
        decimal.Decimal("1.10"), uuid.UUID(int=5), collections.deque([1]), collections.Counter("abca"), ValueError("x"),
    ],
    "types": [int, list[int], int | None, len, digest.__class__],
    "objects": [Kind.SMALL, Plain(a=1, b=[Plain()]), Numbers([1]), pathlib.Path("a/b")],
}
print(digest(value))
"""


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_digest_does_not_depend_on_the_process(seed: str) -> None:
    """Changing the constant means that no cache that exists is ever hit again: change the scheme's number too."""
    assert run("-c", GOLDEN, PYTHONHASHSEED=seed) == "3adf35c3991ccf39644f3bfeca500b659bf85d3b"


def test_classes_of_a_script_are_those_of_the_flow_file_that_it_is(tmp_path: Path) -> None:
    text = """
from headrace import Flow
from headrace.hashing import digest

class Station:
    pass

with Flow("f") as flow:
    pass
flow.name = digest(Station())
if __name__ == "__main__":
    print(flow.name)
"""
    (tmp_path / "stations.py").write_text(text)
    from headrace.flow_files import load_flow

    assert load_flow(str(tmp_path / "stations.py")).name == run(str(tmp_path / "stations.py"))


def test_hashing_imports_no_library_of_data() -> None:
    code = "import sys; from headrace.hashing import digest; digest([1, {2}, print, Exception()]); print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in run("-c", code).split()}
    assert not loaded & {"numpy", "pandas", "polars", "pyarrow", "attr", "pickle", "decimal", "uuid"}


# Refusals


class Holder:
    __slots__ = ("held",)

    def __init__(self, held):
        self.held = held


def refusal(value: object, name: str = "x") -> UnhashableArgumentError:
    with pytest.raises(UnhashableArgumentError) as caught:
        digest(value, name)
    return caught.value


def test_message_names_the_argument_the_place_the_type_and_the_way_out() -> None:
    connection = sqlite3.connect(":memory:")
    error = refusal({"rows": [Plain(), Plain(), Plain(), Plain(connection=connection)]})
    connection.close()
    assert (error.argument, error.path, error.type_name) == ("x", 'x["rows"][3].connection', "sqlite3.Connection")
    assert str(error).startswith(
        "Argument 'x' cannot be hashed: x[\"rows\"][3].connection is of type sqlite3.Connection"
    )
    assert "__headrace_content__" in str(error)
    assert isinstance(error, TypeError | TaskRunError)


def test_message_of_several_arguments_names_the_one() -> None:
    with pytest.raises(UnhashableArgumentError, match="Argument 'second' cannot be hashed: it is of type object, "):
        digest_arguments({"first": 1, "second": object()})


PATHS = {
    "x": (threading.Lock(), "x"),
    "a generator": ((i for i in range(3)), "x"),
    "an element": ([1, object()], "x[1]"),
    "an element of a long list": ([*range(5000), object()], "x[5000]"),
    "an element of a tuple in a list": ([(1, (object(),))], "x[0][1][0]"),
    "an element of a set": ({1, object()}, "x{…}"),
    "a key of text": ({'a"b': object()}, 'x["a\\"b"]'),
    "a key of another type": ({3: object()}, "x[3]"),
    "a key": ({object(): 3}, "x[<object>]"),
    "a slot": (Holder(object()), "x.held"),
    "a field": (Station("a", [object()]), "x.readings[0]"),  # type: ignore[list-item]
    "an attribute of a list": (Holder([Plain(a=object())]), "x.held[0].a"),
    "a variable of a function": (make_adder(object()), "x.<n>"),
    "an argument of a partial": (functools.partial(double, object()), "x.args[0]"),
    "what a method is bound to": (Holder(object()).__init__, "x.__self__.held"),  # type: ignore[misc]
    "what a class says is its content": (Model([object()]), "x.__headrace_content__()[0]"),
    "an element of a subclass": (Numbers([object()]), "x[0]"),
    "an ordered dictionary": (collections.OrderedDict(a=object()), 'x["a"][1]'),
    "what raises": ([Broken()], "x[0]"),
}


@pytest.mark.parametrize("what", PATHS)
def test_refusal_names_the_place(what: str) -> None:
    value, path = PATHS[what]
    assert refusal(value).path == path


def test_what_a_class_raises_is_the_cause() -> None:
    error = refusal([Broken()])
    assert "no state today" in str(error)
    assert isinstance(error.__cause__, RuntimeError)


def test_very_long_places_are_shortened() -> None:
    value: object = object()
    for _ in range(1000):
        value = [value]
    assert len(str(refusal(value))) < 700


# Properties

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
keys = st.text() | st.integers() | st.tuples(st.integers(), st.text())
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner) | st.tuples(inner, inner) | st.frozensets(keys),
    max_leaves=20,
)


def shuffled(value):
    """Build an equal value anew, with every dictionary and set in another order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    if isinstance(value, frozenset):
        return frozenset(sorted(value, key=repr))
    return type(value)(map(shuffled, value)) if isinstance(value, list | tuple) else value


@given(values)
def test_a_value_made_anew_has_the_same_digest(value: object) -> None:
    assert digest(value) == digest(shuffled(value))


@given(values, values)
def test_one_digest_means_one_text(one: object, other: object) -> None:
    if digest(one) == digest(other):
        assert repr(one) == repr(other) or isinstance(one, dict | frozenset) or one == other or "nan" in repr(one)
    else:
        assert repr(one) != repr(other)
