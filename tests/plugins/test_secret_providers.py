from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from headrace.exceptions import MissingDependencyError, SecretError
from headrace.hooks.registry import Registry
from headrace_plugins import env_secrets, file_secrets, keyring_secrets
from headrace_plugins.env_secrets import EnvironmentSecrets
from headrace_plugins.file_secrets import FileSecrets
from headrace_plugins.keyring_secrets import KeyringSecrets


class TestEnvironment:
    def test_a_variable_is_a_secret(self, monkeypatch):
        monkeypatch.setenv("SOME_TOKEN", " as it is ")
        assert EnvironmentSecrets().find("SOME_TOKEN") == " as it is "
        assert EnvironmentSecrets().find("SOME_OTHER_TOKEN") is None

    def test_a_prefix_goes_before_the_name(self, monkeypatch):
        monkeypatch.setenv("APP_TOKEN", "x")
        assert EnvironmentSecrets(prefix="APP_").find("TOKEN") == "x"


class TestFolder:
    @pytest.mark.parametrize(
        ("data", "value"),
        [(b"abc", "abc"), (b"abc\n", "abc"), (b"abc\r\n", "abc"), (b"a\n\n", "a\n"), (b"", ""), (b"\xff\n", b"\xff\n")],
    )
    def test_a_file_is_a_secret_without_its_last_line_end(self, tmp_path, data, value):
        (tmp_path / "TOKEN").write_bytes(data)
        assert FileSecrets(str(tmp_path)).find("TOKEN") == value

    def test_no_file_is_no_secret(self, tmp_path):
        (tmp_path / "folder").mkdir()
        provider = FileSecrets(str(tmp_path))
        assert provider.find("TOKEN") is None
        assert provider.find("folder") is None

    @pytest.mark.parametrize("name", ["../outside", "..", ".", "a/b", "a\\b", "/etc/hostname", "a\0b"])
    def test_names_do_not_lead_out_of_the_folder(self, tmp_path, name):
        (tmp_path / "outside").write_text("x")
        (tmp_path / "secrets" / "a").mkdir(parents=True)
        (tmp_path / "secrets" / "a" / "b").write_text("x")
        assert FileSecrets(str(tmp_path / "secrets")).find(name) is None

    def test_links_are_followed_as_kubernetes_mounts_them(self, tmp_path):
        (tmp_path / "..data").mkdir()
        (tmp_path / "..data" / "TOKEN").write_text("x")
        (tmp_path / "TOKEN").symlink_to(tmp_path / "..data" / "TOKEN")
        assert FileSecrets(str(tmp_path)).find("TOKEN") == "x"

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every file")
    def test_a_file_that_may_not_be_read_is_an_error(self, tmp_path):
        (tmp_path / "TOKEN").write_text("x")
        (tmp_path / "TOKEN").chmod(0)
        with pytest.raises(SecretError, match="Permission denied"):
            FileSecrets(str(tmp_path)).find("TOKEN")

    def test_a_folder_that_is_not_there_is_an_error_that_names_the_option(self, tmp_path):
        with pytest.raises(SecretError, match=r"\[secrets.file\]"):
            FileSecrets(str(tmp_path / "missing")).find("TOKEN")


class TestTomlFile:
    def test_a_key_is_a_secret(self, tmp_path):
        file = tmp_path / "secrets.toml"
        file.write_text('TOKEN = "x"\nPORT = 5432\n[DB]\nuser = "u"\n')
        provider = FileSecrets(str(file))
        assert provider.find("TOKEN") == "x"
        assert provider.find("PORT") == 5432
        assert provider.find("DB") == {"user": "u"}
        assert provider.find("MISSING") is None

    def test_changes_are_seen(self, tmp_path):
        file = tmp_path / "secrets.toml"
        file.write_text('TOKEN = "x"')
        provider = FileSecrets(str(file))
        assert provider.find("TOKEN") == "x"
        file.write_text('TOKEN = "y"')
        assert provider.find("TOKEN") == "y"

    def test_a_damaged_file_is_an_error_without_its_content(self, tmp_path):
        file = tmp_path / "secrets.toml"
        file.write_text("TOKEN = hunter2 x")
        with pytest.raises(SecretError, match=r"are not TOML: .*line 1") as caught:
            FileSecrets(str(file)).find("TOKEN")
        assert "hunter2" not in str(caught.value)


class TestKeyring:
    def test_the_store_is_asked_for_a_service_and_a_user(self, monkeypatch):
        passwords = {("headrace", "TOKEN"): "x", ("mine", "TOKEN"): "y"}
        fake = SimpleNamespace(get_password=lambda service, name: passwords.get((service, name)))
        monkeypatch.setitem(sys.modules, "keyring", fake)
        assert KeyringSecrets().find("TOKEN") == "x"
        assert KeyringSecrets(service="mine").find("TOKEN") == "y"
        assert KeyringSecrets().find("MISSING") is None

    def test_without_the_library_the_message_names_the_extra(self, monkeypatch):
        class Absent:
            def find_spec(self, name, path=None, target=None):
                if name == "keyring":
                    raise ModuleNotFoundError("No module named 'keyring'", name="keyring")

        monkeypatch.delitem(sys.modules, "keyring", raising=False)
        monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])
        with pytest.raises(MissingDependencyError, match=r"headrace\[keyring\]"):
            KeyringSecrets().find("TOKEN")


@pytest.mark.parametrize("module", [env_secrets, file_secrets, keyring_secrets], ids=lambda module: module.__name__)
def test_the_plugin_can_be_made_by_name(module):
    (spec,) = module.headrace_secret_providers()
    made = Registry((), plugins=[module]).create("secret-provider", spec.name)
    assert type(made).__module__ == module.__name__
