from __future__ import annotations

import pytest

from headrace.engine import Engine
from headrace.exceptions import HistoryError, PluginOptionError
from headrace_plugins.sqlite import headrace_run_stores
from headrace_plugins.sqlite.modes import choose_mode, has_wal_reset_bug
from headrace_plugins.sqlite.places import places_of
from headrace_plugins.sqlite.store import SQLiteRunStore


class TestURL:
    def test_without_a_path_it_is_the_project_s_own(self, tmp_path, monkeypatch):
        (tmp_path / ".headrace").mkdir()
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path / "below")
        places = places_of("sqlite:")
        assert places.database == tmp_path / ".headrace" / "history" / "runs.db"
        assert places.is_default

    @pytest.mark.parametrize(
        "url", ["sqlite:a/b.db", "sqlite:./a/b.db", "sqlite://localhost{}/a/b.db", "sqlite:{}/a/b.db"]
    )
    def test_a_path_is_relative_or_absolute(self, tmp_path, monkeypatch, url):
        monkeypatch.chdir(tmp_path)
        places = places_of(url.format(tmp_path))
        monkeypatch.chdir("/")
        assert (places.database, places.is_default) == (tmp_path / "a" / "b.db", False)

    def test_a_path_may_hold_any_character(self, tmp_path):
        assert places_of(f"sqlite:{tmp_path}/a%20%3F%25.db").database == tmp_path / "a ?%.db"

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("sqlite://elsewhere/a.db", "'elsewhere'"),
            ("sqlite:a.db?mode=fast", "'fast'"),
            ("sqlite:a.db?cache=1", "'cache'"),
        ],
    )
    def test_what_it_does_not_know_is_refused(self, url, said):
        with pytest.raises(PluginOptionError, match=said):
            Engine(plugins=["headrace_plugins.sqlite"]).registry.create_from_url("history", url)

    def test_the_registry_makes_it(self, tmp_path):
        (spec,) = headrace_run_stores()
        assert spec.name == "sqlite"
        store = Engine(plugins=["headrace_plugins.sqlite"]).registry.create_from_url(
            "history", f"sqlite:{tmp_path}/a.db"
        )
        assert isinstance(store, SQLiteRunStore)
        assert list(tmp_path.iterdir()) == []


class TestFolder:
    def test_the_project_s_own_is_made_and_kept_out_of_version_control(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        places_of("sqlite:").make_folder()
        assert (tmp_path / ".headrace" / "history").is_dir()
        assert (tmp_path / ".headrace" / ".gitignore").read_text(encoding="utf-8").endswith("*\n")

    def test_no_other_is_made(self, tmp_path):
        with pytest.raises(HistoryError, match=f"{tmp_path}/none does not exist.*Make that folder"):
            places_of(f"sqlite:{tmp_path}/none/a.db").make_folder()
        assert list(tmp_path.iterdir()) == []

    def test_a_file_in_its_place_is_named(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(HistoryError, match=f"{tmp_path}/file is a file, and should be a folder"):
            places_of(f"sqlite:{tmp_path}/file/a.db").make_folder()


class TestMode:
    @pytest.mark.parametrize("version", [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 50, 6), (3, 51, 2)])
    def test_some_versions_of_sqlite_have_the_wal_reset_bug(self, tmp_path, version):
        assert has_wal_reset_bug(version)
        assert choose_mode(tmp_path / "a.db", None, version) == "truncate"
        with pytest.raises(HistoryError, match="WAL-reset bug"):
            choose_mode(tmp_path / "a.db", "wal", version)

    @pytest.mark.parametrize("version", [(3, 44, 6), (3, 44, 7), (3, 50, 7), (3, 51, 3), (3, 52, 0), (4, 0, 0)])
    def test_others_do_not(self, tmp_path, version):
        assert not has_wal_reset_bug(version)
        assert choose_mode(tmp_path / "a.db", None, version) == "wal"
        assert choose_mode(tmp_path / "a.db", "wal", version) == "wal"
        assert choose_mode(tmp_path / "a.db", "rollback", version) == "truncate"
