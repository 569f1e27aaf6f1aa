"""A byte from another thread runs the loop's function."""

from __future__ import annotations

import asyncio
import os
import threading

from kite_live_feed.bridge import Waker


def test_a_byte_from_a_thread_wakes_the_loop_at_once() -> None:
    async def play() -> None:
        woken = asyncio.Event()
        waker = Waker(woken.set)
        writer = threading.Thread(target=os.write, args=(waker.descriptor, b"x"))
        writer.start()
        async with asyncio.timeout(10):
            await woken.wait()
        writer.join()
        woken.clear()
        await asyncio.sleep(0.01)
        assert not woken.is_set(), "the byte was read: once is once"
        waker.close()

    asyncio.run(play())


def test_a_pipe_that_is_full_neither_blocks_nor_fails_the_loop() -> None:
    async def play() -> int:
        calls = 0

        def wake() -> None:
            nonlocal calls
            calls += 1

        waker = Waker(wake)
        try:
            while True:
                os.write(waker.descriptor, b"x" * 4096)
        except BlockingIOError:
            pass  # as librdkafka has it: it writes and does not look
        async with asyncio.timeout(10):
            while not calls:
                await asyncio.sleep(0)
        waker.close()
        return calls

    assert asyncio.run(play()) > 0
