"""Makes `benchmarks` importable, which is a folder of the repository and not installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
