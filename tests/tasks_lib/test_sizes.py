"""Absurd numbers are refused in one line, before memory is taken."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from tasks_lib import TASKS, base, check_task
from tasks_lib.errors import ParameterError
from tasks_lib.registry import create_task
from tasks_lib.sizes import MOST_BYTES, bytes_in_words, check_bytes, physical_bytes

COUNTS = ("batch_size", "n_repeats")


@pytest.fixture(autouse=True)
def nothing_large(monkeypatch):
    """See that nobody asks for what is refused: the machine of the test would not survive it."""
    zeros = np.zeros

    def guarded(shape, *args, **kwargs):
        assert np.prod(np.atleast_1d(shape).astype(float)) < 1e8, shape
        return zeros(shape, *args, **kwargs)

    monkeypatch.setattr(np, "zeros", guarded)


@pytest.mark.parametrize("n_steps", [10**12, 2 * 10**9])
@pytest.mark.parametrize("name", TASKS)
def test_steps_that_no_machine_holds(name, n_steps):
    with pytest.raises(ParameterError, match=r"^n_steps = .*at most") as refused:
        create_task(name, n_steps=n_steps)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("n_trials", [10**10, 10**30])
@pytest.mark.parametrize("name", TASKS)
def test_trials_that_no_machine_holds(name, n_trials):
    for field in set(COUNTS) & set(inspect.signature(TASKS[name]).parameters):
        with pytest.raises(ParameterError, match=rf"^{field} = .*at most"):
            create_task(name, params={field: n_trials})


def test_channels_that_no_machine_holds():
    with pytest.raises(ParameterError, match="TiB of memory"):
        create_task("NBitFlipFlop", params={"n_bits": 10**9})


@pytest.mark.parametrize("name", TASKS)
def test_batch_that_this_machine_does_not_hold(name, monkeypatch):
    task = create_task(name)
    task.get_batch()
    monkeypatch.setattr(base, "physical_bytes", lambda: 1000)
    for make in (task.get_batch, lambda: check_task(task)):
        with pytest.raises(ParameterError, match="and this machine has 1000 B"):
            make()


def test_limit():
    check_bytes("n", 1, MOST_BYTES, "it", "use less")
    with pytest.raises(ParameterError, match=r"it would take about 4 TiB of memory.*use less"):
        check_bytes("n", 1, MOST_BYTES + 1, "it", "use less")


def test_words():
    assert bytes_in_words(10) == "10 B"
    assert bytes_in_words(1536) == "1.5 KiB"
    assert bytes_in_words(2**50) == "1 PiB"
    assert bytes_in_words(10**5000).endswith("YiB")
    assert 2**28 < physical_bytes() <= MOST_BYTES * 16
