from __future__ import annotations

from pathlib import Path

import pytest

from headrace.file_systems import file_system, is_on_network


def mounts(tmp_path: Path, *lines: tuple[str, str]) -> str:
    """Return a list of mounts in the form of Linux: where, and which type."""
    path = tmp_path / "mountinfo"
    text = "".join(f"36 35 98:0 / {point} rw,noatime shared:1 - {kind} source rw\n" for point, kind in lines)
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_nearest_mount_above_a_path_counts(tmp_path: Path) -> None:
    listed = mounts(tmp_path, ("/", "ext4"), ("/srv/data", "nfs4"), ("/srv", "xfs"))
    assert file_system(Path("/srv/data/runs.db"), listed) == "nfs4"
    assert file_system(Path("/srv/data"), listed) == "nfs4"
    assert file_system(Path("/srv/database"), listed) == "xfs"
    assert file_system(Path("/home"), listed) == "ext4"


def test_of_several_at_one_place_the_last_one_is_seen(tmp_path: Path) -> None:
    assert file_system(Path("/srv/a"), mounts(tmp_path, ("/srv", "nfs"), ("/srv", "tmpfs"))) == "tmpfs"


def test_names_of_mounts_may_hold_spaces(tmp_path: Path) -> None:
    listed = mounts(tmp_path, ("/", "ext4"), ("/mnt/a\\040b", "cifs"))
    assert file_system(Path("/mnt/a b/c"), listed) == "cifs"


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "ceph", "lustre"])
def test_some_file_systems_are_on_a_network(tmp_path: Path, kind: str) -> None:
    assert is_on_network(Path("/srv/a"), mounts(tmp_path, ("/", "ext4"), ("/srv", kind)))


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "apfs", "fuseblk", "zfs"])
def test_others_are_not(tmp_path: Path, kind: str) -> None:
    assert not is_on_network(Path("/srv/a"), mounts(tmp_path, ("/", "nfs"), ("/srv", kind)))


def test_without_a_list_there_is_no_telling(tmp_path: Path) -> None:
    assert file_system(tmp_path, str(tmp_path / "none")) == ""
    assert not is_on_network(tmp_path, str(tmp_path / "none"))
