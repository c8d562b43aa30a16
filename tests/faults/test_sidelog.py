from __future__ import annotations

import threading

from tests.faults.sidelog import SideLog


def test_lines_of_many_writers_do_not_mix(tmp_path):
    log = SideLog(tmp_path / "side.log")

    def write() -> None:
        for number in range(50):
            log.write("begin", "x" * 500, number)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(log.count("begin").values()) == {8}
    assert len(log.read()) == 400


def test_waiting_ends_when_it_has_happened_often_enough_or_takes_too_long(tmp_path):
    log = SideLog(tmp_path / "side.log")
    assert log.wait("begin", 1, 0.05) is False
    log.write("begin", "task")
    assert log.wait("begin", 1, 0.05) is True
