from __future__ import annotations

import os
from pathlib import Path

import pytest

from headrace.atomic import make_folder, publish, write_atomically


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old and longer")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.mkdir()
    with pytest.raises(OSError, match="a"):
        write_atomically(path, b"new")
    assert path.is_dir()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("mode", "expected"), [(None, 0o600), (0o644, 0o644)])
def test_the_file_has_the_permissions_asked_for(tmp_path: Path, mode: int | None, expected: int) -> None:
    write_atomically(tmp_path / "a", b"", mode=mode)
    assert (tmp_path / "a").stat().st_mode & 0o777 == expected


class TestPublish:
    def test_a_complete_file_gets_its_name(self, tmp_path: Path) -> None:
        (tmp_path / "new").write_bytes(b"whole")
        assert publish(tmp_path / "new", tmp_path / "a")
        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"whole")]

    def test_what_has_the_name_keeps_it(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"first")
        (tmp_path / "new").write_bytes(b"second")
        assert not publish(tmp_path / "new", tmp_path / "a")
        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"first")]


def test_folders_are_flushed_into_those_above_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    original = os.fsync

    def fsync(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_ino)
        original(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    make_folder(tmp_path / "a" / "b")
    assert flushed == [tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino]
    make_folder(tmp_path / "a" / "b")
    assert len(flushed) == 2


def test_a_folder_whose_place_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(FileExistsError):
        make_folder(tmp_path / "a")
    with pytest.raises(NotADirectoryError):
        make_folder(tmp_path / "a" / "b")
