"""What flow files define is pickled by value."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from threading import Thread

import cloudpickle
import pytest

from headrace.flow_files import MODULE_PREFIX, load_flow
from headrace.pickling import by_value, dump
from headrace.serializers import PickleSerializer

FILE = """
    from headrace import Flow, task

    class Row:
        value = 41

    @task
    def make():
        return Row()

    with Flow("rows") as flow:
        make()
"""


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith(MODULE_PREFIX)]:
        del sys.modules[name]


@pytest.fixture
def row(tmp_path: Path) -> object:
    """Return an instance of a class that only a flow file knows."""
    (tmp_path / "rows.py").write_text(dedent(FILE))
    flow = load_flow(tmp_path / "rows.py")
    (made,) = flow.tasks
    return made.run()


@pytest.mark.parametrize("pickled", [dump, PickleSerializer().serialize])
def test_another_process_can_read_it(row, pickled, tmp_path):
    (tmp_path / "row").write_bytes(pickled(row))
    code = f"import pickle; print(pickle.load(open({str(tmp_path / 'row')!r}, 'rb')).value)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert found.stdout.strip() == "41"


def test_the_list_that_cloudpickle_keeps_is_as_it_was(row):
    before = cloudpickle.list_registry_pickle_by_value()
    with by_value():
        assert type(row).__module__ in cloudpickle.list_registry_pickle_by_value()
    assert cloudpickle.list_registry_pickle_by_value() == before


def test_a_module_that_somebody_else_registered_stays(row):
    module = sys.modules[type(row).__module__]
    cloudpickle.register_pickle_by_value(module)
    try:
        dump(row)
        assert module.__name__ in cloudpickle.list_registry_pickle_by_value()
    finally:
        cloudpickle.unregister_pickle_by_value(module)


def test_blocks_nest(row):
    with by_value():
        dump(row)
        assert type(row).__module__ in cloudpickle.list_registry_pickle_by_value()


def test_threads_do_not_take_it_from_each_other(row):
    wrong: list[bytes] = []

    def work() -> None:
        wrong.extend(data for data in (dump(row) for _ in range(50)) if b"__module__" not in data)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert b"__module__" not in pickle.dumps(row)
