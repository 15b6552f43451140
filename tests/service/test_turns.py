"""Turns: one thread computes at a time, and whoever waits lets another go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.turns import Turns

SOON = 10.0
"""Seconds after which a test fails that would otherwise hang."""


def test_one_thread_at_a_time_has_the_turn() -> None:
    turns, inside, most = Turns(), 0, 0

    def work(_: int) -> None:
        nonlocal inside, most
        for _ in range(200):
            with turns.taken():
                inside += 1
                most = max(most, inside)
                inside -= 1

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert most == 1


def test_whoever_stands_aside_lets_another_have_the_turn_and_gets_it_back() -> None:
    turns, was_there = Turns(), threading.Event()

    def other() -> None:
        with turns.taken():
            was_there.set()

    with turns.taken():
        thread = threading.Thread(target=other)
        thread.start()
        assert not was_there.wait(0.05)
        with turns.aside():
            assert was_there.wait(SOON)
        thread.join()
        late = threading.Thread(target=other)
        was_there.clear()
        late.start()
        assert not was_there.wait(0.05)
    late.join(SOON)
    assert was_there.is_set()


def test_the_turn_goes_to_who_comes_back_then_to_whoever_waited_longest() -> None:
    turns, order = Turns(), list[str]()
    away, back = threading.Event(), threading.Event()

    def comes_back() -> None:
        with turns.taken():
            with turns.aside():
                away.set()
                assert back.wait(SOON)
            order.append("back")

    def begins(name: str) -> None:
        with turns.taken():
            order.append(name)

    first = threading.Thread(target=comes_back)
    first.start()
    assert away.wait(SOON)
    threads = [first]
    with turns.taken():
        for name in ("one", "two", "three"):
            threads.append(threading.Thread(target=begins, args=(name,)))
            threads[-1].start()
            _until(lambda: turns.waiting == len(threads) - 1)
        back.set()
        _until(lambda: turns.waiting == len(threads))
    for thread in threads:
        thread.join(SOON)
    assert order == ["back", "one", "two", "three"]


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + SOON
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.001)


def test_without_a_turn_standing_aside_changes_nothing() -> None:
    turns = Turns()
    with turns.aside(), turns.taken():
        pass
    with turns.taken(), turns.aside(), turns.aside():
        pass
    with turns.taken():
        pass


def test_a_thread_that_has_the_turn_is_told_so_and_does_not_wait_for_itself() -> None:
    turns = Turns()

    def twice() -> None:
        with turns.taken(), pytest.raises(RuntimeError, match="already"), turns.taken():
            pass

    with ThreadPoolExecutor(1) as threads:
        threads.submit(twice).result(SOON)
    with turns.taken():
        pass


def test_an_error_gives_the_turn_back() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="within"), turns.taken():
        raise ValueError("within")
    with pytest.raises(ValueError, match="aside"), turns.taken(), turns.aside():
        raise ValueError("aside")
    with turns.taken():
        pass
