"""What the emulator remembers can be read while requests come in."""

from __future__ import annotations

import threading
from collections import deque

from airflow_batchext.emulator.remembered import Remembered


def read_while_written(kept: deque[int]) -> Exception | None:
    """Go through it again and again, in Python, while another thread adds to it."""
    is_over = threading.Event()

    def write() -> None:
        number = 1000
        while not is_over.is_set():
            kept.append(number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            numbers = [number + 0 for number in kept]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    except RuntimeError as error:
        return error
    finally:
        is_over.set()
        writer.join()
    return None


def test_it_is_read_as_it_was_when_one_began():
    assert read_while_written(Remembered(range(1000), maxlen=1000)) is None
    kept = Remembered([1, 2, 3], maxlen=2)
    assert (list(kept), len(kept), kept[-1], 2 in kept, list(reversed(kept))) == ([2, 3], 2, 3, True, [3, 2])
    kept.clear()
    assert not kept
