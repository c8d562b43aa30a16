from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.__main__ import main

TINY = ["--sizes", "10", "--repeat", "1", "--peers", "none"]


def test_a_workload_by_name_prints_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", *TINY]) == 0
    printed = capsys.readouterr().out
    assert "Running a flow" in printed
    assert "Importing" not in printed
    assert "targets met." in printed


def test_the_table_says_when_and_on_what_it_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["chain", *TINY])
    words = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()[:5]]
    assert words == ["date", "python", "machine", "load at start", "headrace"]


def test_the_figures_go_to_a_file(tmp_path: Path) -> None:
    main(["map", *TINY, "--json", str(tmp_path / "figures.json")])
    found = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert {row["workload"] for row in found["rows"]} == {"map"}


def test_hello_world_and_the_import_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    main(["import", "hello", *TINY])
    printed = capsys.readouterr().out
    assert "0 found" in printed
    assert "hello world" in printed
    assert "Failed" not in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nonsense"], "there is no workload 'nonsense'; there are import, hello"),
        (["--peers", "airflow"], "there is no peer airflow; there are dask"),
        (["--sizes", "3"], "10 or more"),
        (["--sizes", "many"], "invalid"),
        (["--repeat", "0"], "1 or more"),
    ],
)
def test_a_wrong_argument_is_explained(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err
