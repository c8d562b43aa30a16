"""The example that README runs: as a user runs it, and what it does when something is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "weather_report.py"


def headrace_run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"COLUMNS": "120", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "headrace", "run", str(EXAMPLE), *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("weather")
    return folder, headrace_run(folder)


def test_run_succeeds_and_names_the_report(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = finished
    assert done.returncode == 0, done.stdout + done.stderr
    assert "weather_report/report.md" in done.stdout + done.stderr


def test_report_has_the_figures_of_every_year(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    report = (finished[0] / "weather_report" / "report.md").read_text(encoding="utf-8")
    assert "1461 days, 4426.0 mm" in report
    assert "| 2012 | 366 | 1226 mm | 15.3 °C | 7.3 °C | 21 | 2012-11 |" in report
    assert [line[2:6] for line in report.splitlines() if line.startswith("| 20")] == ["2012", "2013", "2014", "2015"]


def test_plot_is_an_image_with_a_bar_for_each_month(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    root = ElementTree.parse(finished[0] / "weather_report" / "precipitation.svg").getroot()
    namespace = {"svg": "http://www.w3.org/2000/svg"}
    assert len(root.findall("svg:rect/svg:title", namespace)) == 48


def test_nothing_but_the_report_is_left(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    left = {path.name for path in (finished[0] / "weather_report").iterdir()}
    assert left == {"report.md", "precipitation.svg"}


def test_years_can_be_chosen_and_threads_give_the_same_report(tmp_path: Path) -> None:
    done = headrace_run(tmp_path, "-p", "years=[2015, 2013]", "--executor", "threads")
    assert done.returncode == 0, done.stdout + done.stderr
    report = (tmp_path / "weather_report" / "report.md").read_text(encoding="utf-8")
    assert [line[2:6] for line in report.splitlines() if line.startswith("| 20")] == ["2015", "2013"]


def test_a_year_without_observations_fails_the_run_and_says_so(tmp_path: Path) -> None:
    done = headrace_run(tmp_path, "-p", "years=[2012, 2031]")
    assert done.returncode == 1
    assert "There are no observations for 2031" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "weather_report" / "report.md").exists()
    assert not (tmp_path / "weather_report" / "work").exists()


def test_an_unreachable_source_fails_the_run_after_its_retries(tmp_path: Path) -> None:
    done = headrace_run(tmp_path, "-p", "url=http://127.0.0.1:9/weather.csv")
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert "http://127.0.0.1:9/weather.csv" in output
    assert "Traceback" not in output


def test_a_year_that_is_no_number_is_refused_before_anything_runs(tmp_path: Path) -> None:
    done = headrace_run(tmp_path, "-p", "years=[soon]")
    assert done.returncode == 2
    assert "years" in done.stderr
    assert not (tmp_path / "weather_report").exists()
