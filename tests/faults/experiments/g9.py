"""G9: a secret that tasks use, tell and return is in nothing that headrace writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.faults.experiment import Experiment, Trial
from tests.faults.platforms import options
from tests.faults.telling_flow import NAME, WAYS

_PATIENCE = 60
_FLOW = "from tests.faults.telling_flow import make\nflow = make({way!r})\n"
_COMMANDS = (
    ("resume",),
    ("runs", "--json"),
    ("show",),
    ("show", "--json"),
    ("logs",),
    ("export", "latest"),
    ("resume", "--dry-run"),
    ("doctor", "--deep"),
    ("config", "show"),
    ("diagnostics",),
)
# Runs commands one after the other in this process, and says which one what follows is of.
_ONE_BY_ONE = """
import json, sys
from headrace.cli import main
for arguments in json.loads(sys.argv[1]):
    print("-----", arguments[0], flush=True)
    try:
        main(arguments)
    except SystemExit:
        sys.stdout.flush()
        sys.stderr.flush()
"""


class Canary(Experiment):
    name = "G9"
    title = (
        f"a task does one of {len(WAYS)} things with a secret: prints, raises, returns or passes it on, for instance"
    )
    executors = ("local", "threads", "processes")
    seconds = 180.0

    def inside(self, trial: Trial) -> None:
        way = trial.choose(WAYS)
        canary = f"canary-{trial.random().getrandbits(64):016x}"
        (trial.folder / "telling.py").write_text(_FLOW.format(way=way))
        environ = {**os.environ, f"HEADRACE__CONTEXT__SECRETS__{NAME}": canary, "HOME": str(trial.folder)}
        given = ["-p", f"value={canary}"] if way == "given as a parameter" else []
        shared = ["--context", f"password={canary}"] if way == "in the context" else []
        chosen = [f"-o{name}={value}" for name, value in options(trial.executor, 2).items()]
        run = ("run", "telling.py", "--executor", trial.executor, *chosen, *given, *shared)
        told = way in {"printed by a program", "logged and printed"}
        shown = _headrace(trial.folder, environ, run, ("run", "telling.py", "--json", *run[2:]), *_COMMANDS)
        print(shown)
        parts = [(part.split()[0], part) for part in shown.split("-----")[1:]]
        # What tasks print themselves goes where they print it.
        hits = [
            f"{way}: in what `headrace {command}` shows"
            for command, part in parts
            if canary in part and not (told and command in {"run", "resume"})
        ]
        hits += [f"{way}: in {path}" for path in _files_with(trial.folder / ".headrace", canary.encode())]
        trial.findings.none_of("told", hits)
        trial.findings.none_of("commands that broke", ["see the output"] if "did not expect" in shown else [])
        recorded = (trial.folder / ".headrace" / "history" / "runs.db").exists()
        trial.findings.expect(recorded, "nothing was recorded")


def _headrace(folder: Path, environ: dict[str, str], *commands: tuple[str, ...]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _ONE_BY_ONE, json.dumps(commands)],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_PATIENCE,
        check=False,
    )
    return done.stdout.decode(errors="replace")


def _files_with(folder: Path, canary: bytes) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and canary in path.read_bytes():
            yield path.relative_to(folder).as_posix()
