"""Who waits for the end of the agent's work hears of it, on whichever thread, and never waits for ever."""

import asyncio
import threading
import time

import pytest

from streams.working import Working


def test_nobody_waits_while_nothing_is_worked_on() -> None:
    working = Working()
    with working:
        pass
    assert asyncio.run(asyncio.wait_for(working.over(timeout_s=5.0), 1.0))


def test_every_waiting_loop_hears_of_the_end() -> None:
    working, heard, waiting = Working(), [], threading.Barrier(4)

    def wait() -> None:
        async def until_over() -> bool:
            waiting.wait()
            return await working.over(timeout_s=10.0)

        heard.append(asyncio.run(until_over()))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    with working:
        for thread in threads:
            thread.start()
        waiting.wait()
        time.sleep(0.05)
        assert not heard
    for thread in threads:
        thread.join(5.0)
    assert heard == [True, True, True]


def test_work_that_fails_is_over_and_work_without_end_is_given_up() -> None:
    working = Working()
    with pytest.raises(ValueError, match="broken"), working:
        raise ValueError("broken")

    async def run() -> tuple[bool, bool]:
        first = await working.over(timeout_s=1.0)
        with working:
            second = await working.over(timeout_s=0.01)
            assert not working._waiting  # or an endless work would keep everybody who gave up
            return first, second

    assert asyncio.run(run()) == (True, False)


def test_waiter_whose_loop_has_gone_does_not_break_the_work() -> None:
    working = Working()
    loop = asyncio.new_event_loop()
    with working:
        task = loop.create_task(working.over(timeout_s=10.0))
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()
        assert len(working._waiting) == 1
    assert not working._waiting
    assert not task.done()
