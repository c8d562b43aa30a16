"""What is installed, and what that costs those who do not use it."""

from __future__ import annotations

import subprocess
import sys

from headrace.engine import Engine
from headrace_dask import DaskExecutor, plugin


def test_the_entry_point_has_the_name_of_what_it_offers() -> None:
    (record,) = [record for record in Engine().registry.records("executor") if record.name == "dask"]
    (spec,) = plugin.headrace_executors()
    assert (record.distribution, record.value, spec.name) == ("headrace-dask", "headrace_dask.plugin", "dask")
    assert spec.capabilities == DaskExecutor.capabilities


def test_dask_is_imported_when_it_is_used() -> None:
    """Neither finding the plugin nor importing the package costs the import of Dask."""
    code = "import sys, headrace_dask, headrace_dask.plugin; print('distributed' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_what_workers_import_knows_no_plugins() -> None:
    """A worker needs neither pluggy nor the driver."""
    code = (
        "import sys, headrace_dask.site; print([n for n in ('pluggy', 'headrace.engine.driver') if n in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
