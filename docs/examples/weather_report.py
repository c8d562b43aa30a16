"""A report on the weather of Seattle: fetch, load, query year by year, check, write.

Run it with ``headrace run docs/examples/weather_report.py``; choose years with ``-p years='[2012, 2015]'`` and another
source with ``-p url=https://...``. It needs the extras ``http`` and ``sql`` and writes to ``./weather_report/``.
"""

from __future__ import annotations

import csv
import functools
import http.server
import threading
from pathlib import Path
from string import Template

from headrace import Flow, Parameter, resource_manager, task, triggers
from headrace.retries import exponential_backoff
from headrace_tasklib.http import HttpDownload, HttpTransientError
from headrace_tasklib.shell import ShellTask
from headrace_tasklib.sql import SqlLoad, SqlQuery

DATA = Path(__file__).parent / "data"
OUTPUT = Path("weather_report")
WORK = OUTPUT / "work"
DATABASE = f"sqlite:///{WORK / 'observations.db'}"
COLUMNS = {"date": str, "precipitation": float, "temp_max": float, "temp_min": float, "wind": float, "weather": str}


@resource_manager
class FileServer:
    """Serves the example's data on a free port of this machine, for as long as the flow needs it."""

    def setup(self) -> http.server.ThreadingHTTPServer:
        handler = functools.partial(QuietHandler, directory=str(DATA))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), name="file-server", daemon=True).start()
        return server

    def cleanup(self, server: http.server.ThreadingHTTPServer) -> None:
        server.shutdown()
        server.server_close()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Answers without writing a line for each request."""

    def log_message(self, *_: object) -> None:
        pass


@task
def choose_source(url: str | None, server: http.server.ThreadingHTTPServer) -> str:
    return url or f"http://127.0.0.1:{server.server_port}/seattle-weather.csv"


@task
def read_observations(path: Path) -> list[dict[str, str]]:
    """Return the rows with ISO dates, so that SQL can compare them as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return [row | {"date": row["date"].replace("/", "-")} for row in csv.DictReader(file)]


@task
def bounds(year: int) -> dict[str, str]:
    return {"first": f"{year}-01-01", "last": f"{year}-12-31"}


months_of = SqlQuery(
    name="months of a year",
    url=DATABASE,
    query="""
        SELECT substr(date, 1, 7) AS month, count(*) AS days, sum(precipitation) AS rain,
               avg(temp_max) AS high, avg(temp_min) AS low, sum(weather = 'snow') AS snow_days
        FROM observations WHERE date BETWEEN :first AND :last GROUP BY month ORDER BY month
    """,
)


@task
def summarize(year: int, months: list[dict]) -> dict:
    """Return the figures of one year; a year without observations is an error, not a row of zeros."""
    if not months:
        raise ValueError(f"There are no observations for {year}; the data cover 2012 to 2015.")
    days = sum(month["days"] for month in months)
    return {
        "year": year,
        "days": days,
        "rain": sum(month["rain"] for month in months),
        "high": sum(month["high"] * month["days"] for month in months) / days,
        "low": sum(month["low"] * month["days"] for month in months) / days,
        "snow_days": sum(month["snow_days"] for month in months),
        "wettest": max(months, key=lambda month: month["rain"])["month"],
        "months": months,
    }


@task
def check_command(path: Path, years: list[dict]) -> str:
    """Let awk add up the same years again from the file itself."""
    wanted = "|".join(str(year["year"]) for year in years)
    expected = f"{sum(year['days'] for year in years)} days, {sum(year['rain'] for year in years):.1f} mm"
    script = f'/^({wanted})/ {{ days += 1; rain += $2 }} END {{ printf "%d days, %.1f mm", days, rain }}'
    return (
        f"found=$(awk -F, '{script}' '{path}')\n"
        f'if [ "$found" = "{expected}" ]; then echo "$found"; else\n'
        f'  echo "the file has $found, the database {expected}"; exit 1\nfi'
    )


@task(log_stdout=True)
def write_report(years: list[dict], totals: str) -> Path:
    """Write the Markdown and the plot; each appears under its name only when it is complete."""
    write(OUTPUT / "precipitation.svg", plot([month for year in years for month in year["months"]]))
    rows = "\n".join(REPORT_ROW.format(**year) for year in years)
    report = OUTPUT / "report.md"
    write(report, REPORT.substitute(rows=rows, totals=totals))
    print(f"Wrote {report}")
    return report


@task(trigger=triggers.all_finished, skip_on_upstream_skip=False)
def remove_work_files() -> None:
    """Leave nothing but the report, however the run went."""
    for path in WORK.glob("*"):
        path.unlink()
    if WORK.exists():
        WORK.rmdir()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


# -- what the report looks like --------------------------------------------------------------------------------------

REPORT = Template("""# The weather of Seattle

Daily observations by NOAA. Checked against the source: $totals.

| year | days | precipitation | mean high | mean low | days with snow | wettest month |
|---|---:|---:|---:|---:|---:|---|
$rows

![Precipitation and temperature by month](precipitation.svg)
""")
REPORT_ROW = "| {year} | {days} | {rain:.0f} mm | {high:.1f} °C | {low:.1f} °C | {snow_days} | {wettest} |"

PLOT = Template("""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width 300" font-family="sans-serif"
 font-size="11">
<title>Precipitation and temperature by month</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="48" y="20" font-size="15" font-weight="bold">Seattle by month</text>
<text x="48" y="38" fill="#2f74a8">■ precipitation, up to $most mm</text>
<text x="250" y="38" fill="#c4552d">■ mean low to mean high, 0 to 30 °C</text>
$bars
<polygon points="$band" fill="#c4552d" fill-opacity="0.35" stroke="#c4552d"/>
<line x1="48" y1="260" x2="$right" y2="260" stroke="#555"/>
$labels
</svg>
""")
STEP = 16


def plot(months: list[dict]) -> str:
    """Return an SVG: a bar a month for precipitation and a band for temperature."""
    most = max(month["rain"] for month in months)
    x = [52 + STEP * i for i in range(len(months))]
    bars = [
        f'<rect x="{left}" y="{260 - 200 * m["rain"] / most:.1f}" width="{STEP - 3}" '
        f'height="{200 * m["rain"] / most:.1f}" fill="#2f74a8"><title>{m["month"]}: {m["rain"]:.0f} mm</title></rect>'
        for left, m in zip(x, months, strict=True)
    ]
    upper = [(left + 6, 260 - 200 * m["high"] / 30) for left, m in zip(x, months, strict=True)]
    lower = [(left + 6, 260 - 200 * m["low"] / 30) for left, m in zip(x, months, strict=True)]
    labels = [
        f'<text x="{left}" y="278">{m["month"][:4]}</text>'
        for left, m in zip(x, months, strict=True)
        if m["month"].endswith("-01")
    ]
    return PLOT.substitute(
        width=max(480, x[-1] + 60),
        right=x[-1] + STEP,
        most=f"{most:.0f}",
        bars="\n".join(bars),
        band=" ".join(f"{px},{py:.1f}" for px, py in [*upper, *reversed(lower)]),
        labels="\n".join(labels),
    )


with Flow("weather-report") as flow:
    url = Parameter("url", default=None, type=str)
    years = Parameter("years", default=[2012, 2013, 2014, 2015], type=list[int])

    with FileServer() as server:
        download = HttpDownload(
            name="download",
            path=WORK / "observations.csv",
            max_retries=3,
            retry_delay=exponential_backoff(0.2),
            retry_on=HttpTransientError,
        )
        source = download(choose_source(url, server))

    load = SqlLoad(name="load", url=DATABASE, table="observations", columns=COLUMNS, if_exists="replace")
    loaded = load(read_observations(source))
    summaries = summarize.map(years, months_of.map(parameters=bounds.map(years), upstream_tasks=[loaded]))
    checked = ShellTask(name="check totals")(command=check_command(source, summaries))
    report = write_report(summaries, checked)
    remove_work_files(upstream_tasks=[report, checked, loaded])
    flow.set_reference_tasks([report])

if __name__ == "__main__":
    flow.run()
