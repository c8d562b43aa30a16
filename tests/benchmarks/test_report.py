from __future__ import annotations

import json

import pytest
from benchmarks.report import as_json, render, show
from benchmarks.rows import Quantity, Row, Target

TARGET = Target(column="headrace", limit=15, unit="µs")
ROWS = [
    Row(
        section="Building: time",
        workload="chain",
        size=1_000,
        cells={"headrace": Quantity(value=6, unit="µs")},
        target=TARGET,
    ),
    Row(
        section="Building: time",
        workload="chain",
        size=10_000,
        cells={"headrace": Quantity(value=16, unit="µs"), "dask": "missing"},
        target=TARGET,
    ),
    Row(section="Growth", workload="chain", cells={"headrace": Quantity(value=0.052, unit="")}),
]


def test_each_section_is_a_table_with_the_columns_that_its_rows_have() -> None:
    lines = render({"date": "today"}, ROWS).splitlines()
    assert lines == [
        "date  today",
        "",
        "Building: time",
        "workload    size  headrace     dask            target  met?",
        "--------  ------  --------  -------  ----------------  ----",
        "chain      1,000   6.00 µs           headrace ≤ 15 µs   yes",
        "chain     10,000   16.0 µs  missing  headrace ≤ 15 µs    NO",
        "",
        "Growth",
        "workload  headrace",
        "--------  --------",
        "chain         0.05",
        "",
        "1 of 2 targets met.",
        "  missed: Building, chain 10,000",
    ]


@pytest.mark.parametrize(
    ("quantity", "text"),
    [
        (Quantity(value=1.234, unit="µs"), "1.23 µs"),
        (Quantity(value=12.34, unit="µs"), "12.3 µs"),
        (Quantity(value=12_345.6, unit="µs", note="@200"), "12,346 µs @200"),
        (Quantity(value=0.9876, unit="of ideal"), "0.988 of ideal"),
        (Quantity(value=0, unit="found"), "0 found"),
    ],
)
def test_a_number_has_as_many_digits_as_mean_something(quantity: Quantity, text: str) -> None:
    assert show(quantity) == text


def test_json_holds_the_numbers() -> None:
    found = json.loads(as_json({"date": "today"}, ROWS))
    assert found["machine"] == {"date": "today"}
    assert found["rows"][1]["cells"]["headrace"] == {"value": 16, "unit": "µs", "note": ""}
    assert [row["met"] for row in found["rows"]] == [True, False, None]
