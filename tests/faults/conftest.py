"""Makes this folder importable as the command does: as ``tests.faults``, from the root of the repository."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
