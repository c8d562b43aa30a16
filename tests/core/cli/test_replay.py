"""``headrace replay``: one task of a run again, with what it was called with, and nothing else."""

from __future__ import annotations

import json

import pytest

FLOW = """
    import asyncio
    from pathlib import Path

    from headrace import mapped, flatten
    from headrace.signals import LOOP

    def log(*what):
        with Path("calls").open("a") as file: print(*what, file=file)

    @task
    def numbers(n):
        log("numbers")
        return list(range(n))

    @task(max_retries=2, retry_delay=0, cache_for=3600)
    def half(x, scale, by=2):
        log("half", x)
        if x == 3: raise ValueError("three is odd")
        return scale * x / by

    @task
    def double(x): return 2 * x

    @task
    def pairs(x): return [x, x]

    @task
    def one(x): return x + 1

    @task
    async def total(xs, name):
        await asyncio.sleep(0)
        return f"{name}: {sum(xs)}, run {context.flow_run_name}, parameter {context.parameters['n']}"

    @task
    def letters(): return "x" * 50_000

    @task
    def length(text): return len(text)

    @task
    def lock():
        import threading
        return threading.Lock()

    @task
    def use(it): return 1

    @task
    def twice():
        count = context.get("task_loop_count", 1)
        if count < 3: raise LOOP(result=count)
        return count

    with Flow("halves") as flow:
        found = numbers(Parameter("n", default=3))
        halves = half.map(found, scale=unmapped(2))
        total(halves, name="sum")
        double.map(halves)
        one.map(flatten(pairs.map(found)))
        length(letters())
        use(lock())
        twice()
"""


@pytest.fixture(name="ran")
def _ran(cli):
    """Return a command line with a run ``fine`` and a run ``bad``, in which a child failed, behind it."""
    file = cli.file(FLOW)
    cli.here("run", file, "--run-name", "fine", "--quiet")
    cli.here("run", file, "--run-name", "bad", "-p", "n=4", "--quiet")
    return cli


def replayed(cli, *arguments: str):
    return json.loads(cli.here("replay", *arguments, "--json").out)


@pytest.mark.parametrize(
    ("task", "arguments", "result"),
    [
        ("numbers", {"n": "3"}, "[0, 1, 2]"),
        ("half[1]", {"x": "1", "scale": "2"}, "1.0"),
        ("double[2]", {"x": "2.0"}, "4.0"),
        ("one[3]", {"x": "1"}, "2"),
        ("total", {"xs": "[0.0, 1.0, 2.0]", "name": "'sum'"}, "'sum: 3.0, run fine, parameter 3'"),
        ("twice", {}, "3"),
    ],
)
def test_a_task_gets_what_it_got_then(ran, task: str, arguments: dict[str, str], result: str) -> None:
    found = replayed(ran, "fine", task)
    assert (found["state"], found["arguments"], found["result"]) == ("Success", arguments, result)
    assert list(found["arguments"]) == list(arguments)


def test_a_large_result_is_read_from_where_it_is(ran) -> None:
    assert replayed(ran, "fine", "length")["result"] == "50000"


def test_a_failure_is_told_with_its_traceback_and_without_a_retry(ran) -> None:
    (ran.folder / "calls").unlink()
    done = ran.here("replay", "bad", "half[3]")
    assert done.code == 1
    assert done.out.splitlines()[:4] == [
        "half-1[3] of run bad",
        "recorded: failed: ValueError: three is odd",
        "  x      = 3",
        "  scale  = 2",
    ]
    assert 'if x == 3: raise ValueError("three is odd")' in done.out
    assert done.out.splitlines()[-1] == "half-1[3] failed: ValueError: three is odd"
    assert "headrace/engine" not in done.out
    assert (ran.folder / "calls").read_text() == "half 3\n"


def test_nothing_is_recorded_cached_or_run_beside_the_task(ran) -> None:
    (ran.folder / "calls").unlink()
    before = ran.here("export", "fine").out, ran.here("runs", "--json").out, ran.here("cache", "ls", "--json").out
    assert ran.here("replay", "fine", "half[1]").code == 0
    assert (ran.folder / "calls").read_text() == "half 1\n"
    assert before == (
        ran.here("export", "fine").out,
        ran.here("runs", "--json").out,
        ran.here("cache", "ls", "--json").out,
    )


def test_changed_code_is_what_runs_and_that_is_said(ran) -> None:
    ran.file(FLOW.replace("return scale * x / by", "return 100 * x"))
    done = ran.here("replay", "fine", "half[1]")
    assert "Its code is not what it was in that run." in done.out
    assert done.out.splitlines()[-1] == "half-1[1] succeeded, and returned 100"


def test_what_failed_can_be_tried_until_it_works(ran) -> None:
    ran.file(FLOW.replace('raise ValueError("three is odd")', "x = 30"))
    assert replayed(ran, "bad", "half[3]")["result"] == "30.0"


# debuggers


def test_pdb_begins_where_the_task_failed(ran) -> None:
    with ran.start("replay", "bad", "half[3]", "--pdb") as process:
        process.stdin = None
        out, _ = process.communicate(timeout=20)
    assert "-> if x == 3: raise" in out
    assert "(Pdb)" in out
    assert process.returncode == 1


def test_pdb_has_nothing_to_do_where_nothing_fails(ran) -> None:
    done = ran.here("replay", "fine", "half[1]", "--pdb")
    assert (done.code, "(Pdb)" in done.out) == (0, False)


# what cannot be replayed


@pytest.mark.parametrize(
    ("run", "task", "said"),
    [
        ("fine", "half", "Name one: `headrace replay fine 'half-1[0]'`."),
        ("fine", "n", "'n' is a parameter: it has its value without running."),
        ("fine", "half[7]", "has 3 children, and none 7."),
        ("fine", "hlf", "Did you mean 'half'?"),
        ("fine", "use", "The result of lock-1, which gives 'use-1' its argument 'it', cannot be had: "),
        (
            "bad",
            "total",
            "The result of half-1[3], which gives 'total-1' its argument 'xs', cannot be had: it is Failed",
        ),
    ],
)
def test_what_cannot_be_called_is_told_with_the_reason(ran, run: str, task: str, said: str) -> None:
    done = ran.here("replay", run, task)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_task_that_the_flow_does_not_have_any_more_is_named(ran) -> None:
    ran.file(FLOW.replace("double.map(halves)", "pass"))
    assert "Flow 'halves' has no task 'double-1' any more." in ran.here("replay", "fine", "double[0]").err


def test_a_flow_file_that_is_gone_is_named(ran) -> None:
    (ran.folder / "flow.py").unlink()
    done = ran.here("replay", "fine", "numbers")
    assert done.code == 2
    assert "there is no such file any more" in done.err


def test_a_parameter_that_was_not_kept_is_asked_for_and_can_be_given(cli) -> None:
    file = cli.file("""
        @task
        def use(key, n): return len(key) + n

        with Flow("hush") as flow:
            use(Parameter("key"), Parameter("n", default=1))
    """)
    secret = "sesame-open-now"
    hushed = {"HEADRACE__CONTEXT__SECRETS__DOOR": secret}
    assert cli.apart("run", file, "-p", f"key={secret}", "--run-name", "first", "--quiet", **hushed).code == 0
    done = cli.here("replay", "first", "use")
    assert (done.code, "Parameter 'key' of run 'first' was not kept: it is a secret" in done.err) == (2, True)
    found = cli.apart("replay", "first", "use", "-p", f"key={secret}", "--json")
    document = json.loads(found.out)
    assert (document["arguments"], document["result"]) == ({"key": "'********'", "n": "1"}, "16")
    assert secret not in found.out + found.err
