from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path

import pytest

from headrace.exceptions import HistoryError, SealError
from headrace.history.sealing import KEY_FILE, ProjectSealer, Sealer, project_key

KEY = bytes(range(32))


class Planted:
    """Makes whoever unpickles it run code."""

    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('this code must never run')",)


class TestSealer:
    @pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 100])
    def test_what_was_sealed_comes_back(self, data: bytes) -> None:
        assert Sealer(KEY).unseal(Sealer(KEY).seal(data), "it") == data

    def test_a_planted_pickle_is_refused_before_it_is_loaded(self) -> None:
        with pytest.raises(SealError, match="The result of task 'a' carries no seal, so headrace did not write it"):
            pickle.loads(Sealer(KEY).unseal(pickle.dumps(Planted()), "The result of task 'a'"))

    def test_a_pickle_sealed_with_another_key_is_refused(self) -> None:
        planted = Sealer(bytes(32)).seal(pickle.dumps(Planted()))
        with pytest.raises(SealError, match="was not made with this project's key"):
            pickle.loads(Sealer(KEY).unseal(planted, "It"))

    def test_every_changed_bit_is_noticed(self) -> None:
        sealed = Sealer(KEY).seal(b"pay 10")
        for position in range(len(sealed) * 8):
            changed = bytearray(sealed)
            changed[position // 8] ^= 1 << position % 8
            with pytest.raises(SealError):
                Sealer(KEY).unseal(bytes(changed), "It")

    def test_every_shorter_text_is_noticed(self) -> None:
        sealed = Sealer(KEY).seal(b"pay 10")
        for length in range(len(sealed)):
            with pytest.raises(SealError):
                Sealer(KEY).unseal(sealed[:length], "It")

    def test_it_travels_to_where_tasks_run(self) -> None:
        copy = pickle.loads(pickle.dumps(Sealer(KEY)))
        assert copy.unseal(Sealer(KEY).seal(b"x"), "it") == b"x"

    def test_it_does_not_show_its_key(self) -> None:
        assert repr(Sealer(KEY)) == "Sealer(...)"

    def test_a_key_has_its_length(self) -> None:
        with pytest.raises(SealError, match="has 32 bytes, and this one has 5"):
            Sealer(b"short")


class TestProjectSealer:
    def test_nothing_is_made_before_it_is_needed(self, tmp_path: Path) -> None:
        sealer = ProjectSealer(tmp_path / ".headrace")
        with pytest.raises(SealError, match="is missing"):
            sealer.unseal(Sealer(KEY).seal(b"x"), "It")
        assert list(tmp_path.iterdir()) == []

    def test_it_uses_the_key_of_the_project(self, tmp_path: Path) -> None:
        sealed = ProjectSealer(tmp_path).seal(b"x")
        assert ProjectSealer(tmp_path).unseal(sealed, "It") == b"x"
        assert Sealer(project_key(tmp_path / "history")).unseal(sealed, "It") == b"x"

    def test_a_copy_in_another_process_needs_no_folder(self, tmp_path: Path) -> None:
        sealer = ProjectSealer(tmp_path / "gone")
        copy = pickle.loads(pickle.dumps(sealer))
        (tmp_path / "gone").rename(tmp_path / "elsewhere")
        assert copy.unseal(sealer.seal(b"x"), "It") == b"x"

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(HistoryError, match=str(tmp_path / "file" / "history")):
            ProjectSealer(tmp_path / "file").seal(b"x")


class TestKeyInTheEnvironment:
    def test_it_goes_before_the_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        other = project_key(tmp_path)
        monkeypatch.setenv("HEADRACE_KEY", KEY.hex())
        assert project_key(tmp_path) == KEY != other

    def test_no_folder_is_needed_or_made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HEADRACE_KEY", KEY.hex())
        assert ProjectSealer(tmp_path / "none").seal(b"x") == Sealer(KEY).seal(b"x")
        assert list(tmp_path.iterdir()) == []

    def test_what_is_no_key_is_an_error_that_does_not_show_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HEADRACE_KEY", "hunter2")
        with pytest.raises(SealError, match="The variable HEADRACE_KEY has no key: 7 bytes") as caught:
            project_key(tmp_path)
        assert "hunter2" not in str(caught.value)


class TestProjectKey:
    def test_it_is_made_once(self, tmp_path: Path) -> None:
        first = project_key(tmp_path)
        assert project_key(tmp_path) == first
        assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]

    def test_each_project_has_its_own(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        assert project_key(tmp_path / "a") != project_key(tmp_path / "b")

    @pytest.mark.skipif(os.name == "nt", reason="permissions are not like that there")
    def test_nobody_else_may_read_it(self, tmp_path: Path) -> None:
        project_key(tmp_path)
        assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600

    def test_all_who_make_it_at_once_have_the_same(self, tmp_path: Path) -> None:
        ready = threading.Barrier(8)
        found: list[bytes] = []

        def slowly(count: int) -> bytes:
            ready.wait()
            return os.urandom(count)

        threads = [threading.Thread(target=lambda: found.append(project_key(tmp_path, slowly))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert set(found) == {project_key(tmp_path)}
        assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]

    @pytest.mark.parametrize("text", [b"", b"zz" * 32, b"00" * 31, b"\xff" * 64])
    def test_a_file_that_is_no_key_is_not_replaced(self, tmp_path: Path, text: bytes) -> None:
        (tmp_path / KEY_FILE).write_bytes(text)
        with pytest.raises(SealError, match=f"has no key: {len(text)} bytes"):
            project_key(tmp_path)
        assert (tmp_path / KEY_FILE).read_bytes() == text

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
    def test_a_key_of_another_user_is_refused(self, tmp_path: Path) -> None:
        project_key(tmp_path)
        os.chown(tmp_path / KEY_FILE, 4242, 4242)
        with pytest.raises(SealError, match="belongs to user 4242, who could have planted it"):
            project_key(tmp_path)

    def test_a_folder_in_its_place_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        (tmp_path / KEY_FILE).mkdir()
        with pytest.raises(HistoryError, match=str(tmp_path / KEY_FILE)):
            project_key(tmp_path)

    def test_a_missing_folder_is_an_error_that_names_it(self, tmp_path: Path) -> None:
        with pytest.raises(HistoryError, match=str(tmp_path / "none" / KEY_FILE)):
            project_key(tmp_path / "none")
