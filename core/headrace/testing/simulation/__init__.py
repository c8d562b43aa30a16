"""Deterministic simulation of runs that crash and are resumed; ``python -m headrace.testing.simulate`` plays it.

A seed gives a random flow (`scripts`, `tasks`), an executor that reorders, delays, repeats and loses completions
(`executor`), a history that can be killed at every call (`memory`, `stepping`), and the lives of the processes that
drive the run until they crash (`lives`). After each, `checks` compares the history with what the tasks themselves have
put on a list, and in the end the results are those of a run to which nothing happened (`rounds`).
"""

from __future__ import annotations

from headrace.testing.simulation.rounds import Round, play

__all__ = ["Round", "play"]
