"""What a URL says, and that nothing tells the password."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_postgres import PostgresRunStore
from headrace_postgres.addresses import address_of

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def _a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGPASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("postgresql://me:s3cr3t@db.example:5433/team", "postgresql://me@db.example:5433/team?schema=headrace"),
        ("postgres://me@db.example/team", "postgresql://me@db.example:5432/team?schema=headrace"),
        ("postgresql://me@h/team?schema=a%20b", "postgresql://me@h:5432/team?schema=a%20b"),
        ("postgresql://me@h", "postgresql://me@h:5432/me?schema=headrace"),
        ("postgresql://me@[::1]:7/team", "postgresql://me@[::1]:7/team?schema=headrace"),
        ("postgresql://me@a:1,b:2/team", "postgresql://me@a:1,b:2/team?schema=headrace"),
        ("postgresql://me@/team?host=/run/pg", "postgresql://me@%2Frun%2Fpg:5432/team?schema=headrace"),
    ],
)
def test_messages_say_where_it_is_without_the_password(url: str, where: str) -> None:
    assert address_of(url).where == where


def test_what_is_not_ours_goes_to_the_driver() -> None:
    options = address_of("postgresql://me:s3cr3t@h/team?sslmode=require&schema=x&connect_timeout=3").options
    assert options == {
        "user": "me",
        "password": SECRET,
        "host": "h",
        "dbname": "team",
        "sslmode": "require",
        "connect_timeout": "3",
    }


def test_the_environment_says_what_the_url_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "elsewhere")
    monkeypatch.setenv("PGUSER", "her")
    assert address_of("postgresql:///team").where == "postgresql://her@elsewhere:5432/team?schema=headrace"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("mysql://me:s3cr3t@h/team", "of the form"),
        ("postgresql:me:s3cr3t@h/team", "of the form"),
        ("postgresql://me:s3cr3t@t@h/team", "another place"),
        ("postgresql://me:s3cr3t#t@h/team", "another place"),
        ("postgresql://me:12/s3cr3t@h/team", "another place"),
        ("postgresql://me:s3cr3t?t@h/team", "another place"),
        ("postgresql://me:s3cr3t/t", "not a number|of the form"),
        ("postgresql://me:%s3cr3t@h/team", "of the form"),
        ("postgresql://[me:s3cr3t@h/team", "of the form"),
        ("postgresql://me:s3cr3t@h/team?colour=red", "'colour'"),
        ("postgresql://me:s3cr3t@h/team?schema=", "`schema`"),
        ("postgresql://me:s3cr3t@h/team?schema=pg_x", "`schema`"),
        ("postgresql://me:s3cr3t@h/team?schema=" + "x" * 64, "`schema`"),
        ("postgresql://me:s3cr3t@h/team?journals=here", "absolute"),
    ],
)
def test_a_wrong_url_is_refused_without_repeating_the_password(url: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as caught:
        address_of(url)
    told = caught.value
    while told is not None:
        assert SECRET not in str(told)
        told = None if told.__suppress_context__ else told.__context__  # type: ignore[assignment]


@given(st.text(min_size=4, alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_no_password_is_shown(password: str) -> None:
    """Whatever is in it, and however it is written: a store that is made does not show it, nor does an error."""
    secret = f"Q{password}Q"
    try:
        store = PostgresRunStore(f"postgresql://me:{secret}@h/team")
    except ValueError as error:
        shown = str(error)
    else:
        shown = repr(store) + repr(store._address) + store.place(Path()) + str(store._address.live)
    assert secret not in shown


def test_a_store_is_made_without_touching_anything(tmp_path: Path) -> None:
    PostgresRunStore("postgresql://me@203.0.113.1/team")
    assert list(tmp_path.iterdir()) == []


def test_journals_lie_in_the_project_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    url = "postgresql://me:s3cr3t@h/team"
    mine, hers = address_of(url), address_of("postgresql://her@h/team")
    assert mine.live.parent == tmp_path / ".headrace" / "history"
    assert mine.live == hers.live
    assert mine.live != address_of(url + "?schema=x").live
    elsewhere = tmp_path / "elsewhere"
    named = address_of(f"{url}?journals={elsewhere}")
    assert named.live == elsewhere / mine.live.name
    elsewhere.mkdir()
    assert named.make_live().is_dir()


def test_the_same_history_has_one_place_for_everybody(tmp_path: Path) -> None:
    mine = PostgresRunStore("postgresql://me:s3cr3t@h/team").place(tmp_path)
    assert mine == PostgresRunStore("postgres://her@h:5432/team?sslmode=require").place(tmp_path)
    assert mine != PostgresRunStore("postgres://her@h:5432/other").place(tmp_path)
