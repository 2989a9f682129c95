"""What the emulator remembers can be read while requests come in."""

from __future__ import annotations

from airflow_batchext.emulator.remembered import Remembered


def test_it_is_read_as_it_was_when_one_began():
    kept = Remembered([1, 2, 3], maxlen=2)
    seen = []
    for number in kept:
        kept.append(number + 10)  # as another thread may, at any time
        seen.append(number)
    assert (seen, list(kept), len(kept), kept[-1], 13 in kept) == ([2, 3], [12, 13], 2, 13, True)
    kept.clear()
    assert not kept
