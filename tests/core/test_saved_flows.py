"""Flows in files."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

from headrace import Flow, Parameter, Task, task
from headrace.exceptions import FlowFileError
from headrace.saved_flows import SUFFIX


@task
def double(x):
    return 2 * x


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def flow() -> Flow:
    with Flow("My flow") as flow:
        double(Parameter("n"))
    return flow


def result_of(flow: Flow) -> object:
    (made,) = flow.get_tasks(name="double")
    return flow.run(n=4).result[made].result


def refused(path: Path) -> FlowFileError:
    with pytest.raises(FlowFileError) as caught:
        Flow.load(path)
    return caught.value


def header_of(path: Path) -> dict[str, object]:
    found: dict[str, object] = json.loads(path.read_bytes().split(b"\n")[1])
    return found


def rewrite(path: Path, **changes: object) -> None:
    """Change the header of a saved flow."""
    magic, header, data = path.read_bytes().split(b"\n", 2)
    path.write_bytes(b"\n".join([magic, json.dumps({**json.loads(header), **changes}).encode(), data]))


class TestSave:
    def test_what_is_loaded_runs(self, flow, tmp_path):
        path = flow.save(tmp_path / "a.flow")
        assert result_of(Flow.load(path)) == 8

    def test_by_default_it_goes_to_the_project(self, flow, tmp_path):
        path = flow.save()
        assert path.parent == tmp_path / ".headrace" / "flows"
        assert path.suffix == SUFFIX
        assert Flow.load(path).name == "My flow"

    def test_the_folder_is_kept_out_of_version_control(self, flow, tmp_path):
        flow.save()
        assert "*" in (tmp_path / ".headrace" / ".gitignore").read_text()

    def test_it_overwrites_whole(self, flow, tmp_path):
        path = flow.save(tmp_path / "a.flow")
        flow.name = "other"
        flow.save(path)
        assert Flow.load(path).name == "other"
        assert [file.name for file in tmp_path.iterdir()] == ["a.flow"]

    def test_the_header_says_what_it_was_written_with(self, flow, tmp_path):
        header = header_of(flow.save(tmp_path / "a.flow"))
        assert header["flow"] == "My flow"
        assert header["cloudpickle"] == cloudpickle.__version__
        assert set(header) == {"format", "flow", "headrace", "cloudpickle", "python", "digest"}

    def test_a_flow_of_a_script_can_be_loaded_anywhere(self, tmp_path):
        script = tmp_path / "script.py"
        script.write_text(
            "from headrace import Flow, task\n@task\ndef one(): return 1\n"
            "with Flow('s') as flow: one()\nflow.save('s.flow')\n"
        )
        subprocess.run([sys.executable, str(script)], check=True, cwd=tmp_path)
        assert Flow.load(tmp_path / "s.flow").run().is_successful()

    def test_what_cannot_be_pickled_names_the_task(self, tmp_path):
        with Flow("f") as flow:
            double(1)
            double(sys._getframe())
        with pytest.raises(FlowFileError, match=r"'f' cannot be saved: task 'double-2' cannot be pickled"):
            flow.save(tmp_path / "a.flow")
        assert not list(tmp_path.iterdir())

    def test_a_path_that_cannot_be_written_is_named(self, flow, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(FlowFileError, match=r"file/a\.flow' cannot be written"):
            flow.save(tmp_path / "file" / "a.flow")


class TestLoad:
    def test_a_missing_file_lists_its_neighbours(self, flow, tmp_path):
        flow.save(tmp_path / "a.flow")
        assert "a.flow" in str(refused(tmp_path / "b.flow"))

    @pytest.mark.parametrize("position", [0.3, 0.6, 0.99])
    def test_a_damaged_file_is_refused(self, flow, tmp_path, position):
        path = flow.save(tmp_path / "a.flow")
        data = bytearray(path.read_bytes())
        start = data.index(b"\n", 14) + 1
        data[start + int((len(data) - start) * position)] ^= 1
        path.write_bytes(data)
        assert "digest does not match" in str(refused(path))

    def test_half_a_file_is_refused(self, flow, tmp_path):
        path = flow.save(tmp_path / "a.flow")
        path.write_bytes(path.read_bytes()[:-20])
        assert "damaged" in str(refused(path))

    def test_a_damaged_header_is_refused(self, tmp_path):
        path = tmp_path / "a.flow"
        path.write_bytes(b"headrace-flow\n[1]\nrest")
        assert "its header cannot be read" in str(refused(path))

    @pytest.mark.parametrize("data", [b"", b"\x80\x04.", b'{"flow": 1}'])
    def test_a_foreign_file_is_refused(self, tmp_path, data):
        path = tmp_path / "a.flow"
        path.write_bytes(data)
        assert "is not a saved flow" in str(refused(path))

    def test_a_python_file_is_told_where_to_go(self, tmp_path):
        path = tmp_path / "a.py"
        path.write_text("flow = 1")
        assert "load_flow" in str(refused(path))

    def test_a_later_format_is_refused_with_a_reason(self, flow, tmp_path):
        path = flow.save(tmp_path / "a.flow")
        rewrite(path, format=2, headrace="9.0")
        assert "by headrace 9.0 in format 2" in str(refused(path))

    @pytest.mark.parametrize("versions", [{"headrace": "0.0.1"}, {"cloudpickle": "1.0"}, {"python": "3.2.1"}])
    def test_another_version_warns(self, flow, tmp_path, versions):
        path = flow.save(tmp_path / "a.flow")
        rewrite(path, **versions)
        ((name, version),) = versions.items()
        with pytest.warns(UserWarning, match=f"was saved with {name} {version}") as caught:
            assert result_of(Flow.load(path)) == 8
        assert caught[0].filename == __file__

    def test_another_patch_release_of_python_does_not_warn(self, flow, tmp_path):
        path = flow.save(tmp_path / "a.flow")
        rewrite(path, python=f"{sys.version_info.major}.{sys.version_info.minor}.99")
        assert result_of(Flow.load(path)) == 8

    def test_what_cannot_be_imported_any_more_is_said(self, tmp_path, monkeypatch):
        (tmp_path / "gone_module.py").write_text("class Thing:\n    pass\n")
        monkeypatch.syspath_prepend(tmp_path)
        import gone_module  # type: ignore[import-not-found]

        with Flow("f") as flow:
            double(gone_module.Thing())
        path = flow.save(tmp_path / "a.flow")
        monkeypatch.delitem(sys.modules, "gone_module")
        (tmp_path / "gone_module.py").unlink()
        importlib.invalidate_caches()
        assert "No module named 'gone_module'" in str(refused(path))

    def test_something_else_in_the_envelope_is_refused(self, tmp_path):
        path = Flow.save(Task("no flow"), tmp_path / "a.flow")  # type: ignore[arg-type]
        assert "holds a Task, and no flow" in str(refused(path))
