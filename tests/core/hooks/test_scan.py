from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import importlib_metadata
import pytest

from headrace.hooks.scan import PluginRecord, normalize, refresh, scan

ONE = "[headrace.executors]\none = one_module\n"


def peer_answer() -> set[tuple[str, str, str, str, str]]:
    """What importlib_metadata finds, which headrace's own reading of directories must agree with."""
    importlib.invalidate_caches()
    return {
        (point.group, point.name, point.value, point.dist.metadata["Name"], point.dist.version)
        for point in importlib_metadata.entry_points()
        if point.group.startswith("headrace.") and point.dist is not None
    }


def own_answer() -> set[tuple[str, str, str, str, str]]:
    refresh()
    return {(each.group, each.name, each.value, each.distribution, each.version) for each in scan().records}


def found(site: Any) -> list[tuple[str, str]]:
    return [(record.name, record.value) for record in site.records()]


def test_running_environment_is_read_as_importlib_metadata_reads_it() -> None:
    assert own_answer() == peer_answer()


def test_record_says_everything_about_an_entry_point(site: Any) -> None:
    site.add("headrace-one", ONE, version="2.3")
    assert site.records() == [
        PluginRecord(
            group="headrace.executors",
            name="one",
            value="one_module",
            distribution="headrace-one",
            version="2.3",
            summary="About headrace-one.",
        )
    ]
    assert site.records()[0].kind == "executor"
    assert site.records()[0].owner == "headrace-one 2.3"


def test_group_that_headrace_does_not_use_keeps_its_name_as_kind(site: Any) -> None:
    site.add("headrace-one", "[headrace.gadgets]\na = b\n")
    assert [record.kind for record in site.records()] == ["gadgets"]


def test_records_are_sorted_by_distribution_and_name(site: Any) -> None:
    site.add("zeta", "[headrace.tasks]\nb = m\na = m\n")
    site.add("Alpha", "[headrace.tasks]\nc = m\n")
    assert [(record.distribution, record.name) for record in site.records()] == [
        ("Alpha", "c"),
        ("zeta", "a"),
        ("zeta", "b"),
    ]


def test_groups_of_others_are_left_out(site: Any) -> None:
    site.add("other", "[console_scripts]\nx = y:z\n[headraceful]\nq = r\n[headrace.tasks]\na = m\n")
    assert found(site) == [("a", "m")]


def test_comments_blank_lines_and_odd_spacing_agree_with_importlib_metadata(site: Any) -> None:
    text = "stray line\n# [headrace.tasks]\n  [headrace.tasks]  \n\n   # c = d\n\ta=m\r\n"
    text += "b  =  n:o [extra]  \n  c = p = q\n"
    site.add("headrace-odd", text.encode())
    assert own_answer() == peer_answer()
    assert found(site) == [("a", "m"), ("b", "n:o [extra]"), ("c", "p = q")]


def test_first_on_the_path_shadows_a_second_copy(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("headrace-one", ONE, version="1.0")
    front = tmp_path / "front"
    site.add("Headrace.One", "[headrace.tasks]\nother = m\n", version="2.0", folder=front)
    monkeypatch.syspath_prepend(front)
    assert own_answer() == peer_answer()
    assert [(record.name, record.version) for record in site.records()] == [("other", "2.0")]


def test_first_on_the_path_shadows_even_without_entry_points(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.add("headrace-one", ONE)
    front = tmp_path / "front"
    site.add("headrace-one", "", version="2.0", folder=front)
    monkeypatch.syspath_prepend(front)
    assert own_answer() == peer_answer()
    assert site.records() == []


def test_leftover_without_metadata_does_not_shadow(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("headrace-one", ONE)
    front = tmp_path / "front"
    site.add("headrace-one", "[headrace.tasks]\ngone = m\n", version="0.1", metadata="", folder=front)
    monkeypatch.syspath_prepend(front)
    # Not compared with importlib_metadata: its releases before 10 raise here.
    assert found(site) == [("one", "one_module")]


def test_names_of_distributions_compare_as_installers_compare_them() -> None:
    assert normalize("Headrace.Dask") == normalize("headrace__dask") == "headrace-dask"


def test_distribution_without_metadata_is_named_by_its_folder(site: Any) -> None:
    site.add("headrace-bare", ONE, metadata="")
    [record] = [record for record in scan().records if record.name == "one"]
    assert (record.distribution, record.version) == ("headrace_bare", "1.0")


def test_editable_install_is_found(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install leaves its metadata in the site folder and a .pth file that adds the source folder."""
    source = tmp_path / "checkout"
    source.mkdir()
    (source / "one_module.py").write_text("")
    (site.folder / "_headrace_one.pth").write_text(str(source))
    monkeypatch.syspath_prepend(source)
    site.add("headrace-one", ONE)
    assert own_answer() == peer_answer()
    assert found(site) == [("one", "one_module")]


def test_egg_info_beside_the_sources_is_found(site: Any) -> None:
    folder = site.folder / "headrace_old.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text("Name: headrace-old\nVersion: 3\n")
    (folder / "entry_points.txt").write_text(ONE)
    assert own_answer() == peer_answer()
    assert ("headrace.executors", "one", "one_module", "headrace-old", "3") in own_answer()


def test_egg_info_that_is_a_file_is_ignored(site: Any) -> None:
    (site.folder / "ancient-1.0.egg-info").write_text("Name: ancient\nVersion: 1.0\n")
    assert own_answer() == peer_answer()
    assert scan().failures == ()


def test_egg_folder_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    egg = tmp_path / "headrace_egg-1.5-py3.11.egg"
    (egg / "EGG-INFO").mkdir(parents=True)
    (egg / "EGG-INFO" / "PKG-INFO").write_text("Name: headrace-egg\nVersion: 1.5\n")
    (egg / "EGG-INFO" / "entry_points.txt").write_text(ONE)
    monkeypatch.syspath_prepend(egg)
    assert own_answer() == peer_answer()
    assert ("headrace.executors", "one", "one_module", "headrace-egg", "1.5") in own_answer()


def test_zip_archive_on_the_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as bundle:
        bundle.writestr("headrace_zipped-1.0.dist-info/METADATA", "Name: headrace-zipped\nVersion: 1.0\n")
        bundle.writestr("headrace_zipped-1.0.dist-info/entry_points.txt", ONE)
    monkeypatch.syspath_prepend(archive)
    assert own_answer() == peer_answer()
    assert ("headrace.executors", "one", "one_module", "headrace-zipped", "1.0") in own_answer()


class BroughtByHook(importlib_metadata.Distribution):
    def read_text(self, filename: str) -> str | None:
        return {"METADATA": "Name: headrace-hooked\nVersion: 1.0\n", "entry_points.txt": ONE}.get(filename)

    def locate_file(self, path: object) -> Any:
        raise FileNotFoundError(path)


class HookFinder(MetaPathFinder):
    def __init__(self, *found: object) -> None:
        self.found = found

    def find_spec(self, *args: object, **kwargs: object) -> None:
        return None

    def find_distributions(self, context: object) -> Any:
        for each in self.found:
            if isinstance(each, Exception):
                raise each
            yield each


def test_distribution_of_an_import_hook_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [HookFinder(BroughtByHook()), *sys.meta_path])
    assert own_answer() == peer_answer()
    assert ("headrace.executors", "one", "one_module", "headrace-hooked", "1.0") in own_answer()


def test_import_hook_that_raises_is_recorded_and_the_rest_is_found(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site.add("headrace-one", ONE)
    monkeypatch.setattr(sys, "meta_path", [HookFinder(RuntimeError("no list today")), *sys.meta_path])
    refresh()
    assert found(site) == [("one", "one_module")]
    assert ["no list today" in failure.reason for failure in scan().failures] == [True]


@pytest.mark.parametrize(
    "content",
    [
        b"[headrace.executors]\nno equals sign\n",
        b"[headrace.executors]\n= value\n",
        b"[headrace.executors]\nname =\n",
        b"[headrace.executors]\nname = \xff\xfe\n",
    ],
)
def test_malformed_entry_points_cost_only_their_distribution(site: Any, content: bytes) -> None:
    site.add("headrace-good", ONE)
    info = site.add("headrace-bad", content)
    assert [record.distribution for record in site.records()] == ["headrace-good"]
    assert [failure.location for failure in scan().failures] == [str(info)]


def test_malformed_metadata_that_has_nothing_to_do_with_headrace_is_no_failure(site: Any) -> None:
    site.add("foreign", b"[console_scripts]\nno equals sign \xff\n")
    assert scan().failures == ()


def test_malformed_line_names_its_number_and_what_was_expected(site: Any) -> None:
    site.add("headrace-bad", "[headrace.tasks]\nbroken\n")
    [failure] = scan().failures
    assert "line 2 of entry_points.txt, under [headrace.tasks], is not `name = module`: 'broken'" in failure.reason


def test_summary_that_is_not_utf8_does_not_hide_a_plugin(site: Any) -> None:
    info = site.add("headrace-one", ONE)
    (info / "METADATA").write_bytes(b"Name: headrace-one\nVersion: 1.0\nSummary: caf\xe9\n")
    refresh()
    assert [record.summary for record in site.records()] == ["caf\N{REPLACEMENT CHARACTER}"]


def test_description_below_the_header_is_not_read_as_fields(site: Any) -> None:
    site.add("headrace-one", ONE, metadata="Name: headrace-one\nVersion: 1.0\n\nSummary: not a field\n")
    assert [record.summary for record in site.records()] == [""]


def test_answer_is_kept_until_refreshed(site: Any) -> None:
    site.add("headrace-one", ONE)
    before = scan()
    info = site.folder / "headrace_two-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: headrace-two\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ONE)
    assert scan() is before
    refresh()
    assert len(scan().records) == len(before.records) + 1


def test_change_of_the_path_is_noticed(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other"
    site.add("headrace-far", "[headrace.tasks]\nfar = m\n", folder=other)
    assert found(site) == []
    monkeypatch.syspath_prepend(other)
    assert found(site) == [("far", "m")]


def test_path_entries_that_do_not_exist_are_normal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path / "missing")
    assert own_answer() == peer_answer()
    assert scan().failures == ()


def test_ordinary_environment_is_scanned_without_a_metadata_library() -> None:
    code = (
        "import sys; from headrace.hooks.scan import scan; scan();"
        "print(sorted({'importlib_metadata', 'importlib.metadata', 'pluggy', 'email', 'logging'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
