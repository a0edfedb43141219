"""Windows of a trial: half-open intervals [on, off) of steps, their shifts and their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ParameterError, check_int
from .stored_values import are_stored

Window = tuple[int, int]


def check_window(name: str, on: Any, off: Any, n_steps: int) -> Window:
    """Return the window [on, off) after checking that 0 <= on < off <= n_steps.

    ``name`` makes the fields' names, name_on and name_off; no ``off`` means the trial's end.
    """
    start = check_int(f"{name}_on", on, minimum=0, maximum=n_steps - 1)
    if off is None:
        return start, n_steps
    stop = check_int(f"{name}_off", off, minimum=1, maximum=n_steps)
    check_order(f"{name}_off", stop, f"{name}_on", start + 1)
    return start, stop


def check_order(field: str, value: int, other: str, earliest: int) -> None:
    """Refuse a step that comes before ``earliest``, which the field ``other`` asks for."""
    if value < earliest:
        raise ParameterError(
            field, value, f"is too early for {other}", f"give at least {earliest}, or move {other}"
        )


def check_due(due: Mapping[str, int], shown: Mapping[str, int]) -> None:
    """Refuse what is due before what it depends on is first shown.

    Both at one step is allowed: outputs follow inputs within a time constant.

    Parameters
    ----------
    due, shown : mapping
        Field of an onset -> step. ``due`` has one.
    """
    ((field, value),) = due.items()
    for other, onset in shown.items():
        if value < onset and not are_stored():
            raise ParameterError(
                field,
                value,
                f"is before {other} = {onset}, of what it depends on",
                f"give at least {onset}, or move {other}",
            )


def check_shifts(random_window: Any, windows: Mapping[str, Window], n_steps: int) -> int:
    """Return the half-width of random shifts after checking that windows stay in the trial.

    A window is shifted by an integer in [-random_window, random_window); ``windows`` are named
    by the fields of their onsets.
    """
    width = check_int("random_window", random_window, minimum=0)
    for field, (on, off) in windows.items():
        room = min(on, n_steps - off + 1)
        if width > room:
            raise ParameterError(
                "random_window",
                width,
                f"moves the window from {field} = {on} to {off} out of the trial's {n_steps} steps",
                f"give at most {room}, or move {field}",
            )
    return width


def check_stimulus_pair(
    stimuli: Mapping[str, tuple[Any, Any]],
    called: tuple[str, str],
    decision: tuple[Any, Any],
    random_window: Any,
    n_steps: int,
) -> tuple[Window, Window, Window, int]:
    """Return the windows of two stimuli and of a decision after them, and the half-width of shifts.

    Parameters
    ----------
    stimuli : mapping
        Name of each of the two, as in ``stim_on_NAME``, -> its onset and its end.
    called : tuple of str
        What each is in words, once it is shifted.
    decision : tuple
        Onset and end of the decision.
    random_window : int
        Each stimulus is shifted by its own integer from [-random_window, random_window).

    Raises
    ------
    ParameterError
        Where a window is none, or leaves the trial, or may begin before the one before it ends.
    """
    first, second = (
        (
            check_int(f"stim_on_{name}", on, minimum=0),
            check_int(f"stim_off_{name}", off, maximum=n_steps),
        )
        for name, (on, off) in stimuli.items()
    )
    onsets = [f"stim_on_{name}" for name in stimuli]
    for name, window in zip(stimuli, (first, second), strict=True):
        check_order(f"stim_off_{name}", window[1], f"stim_on_{name}", window[0] + 1)
    due = check_window("dec", *decision, n_steps)
    width = check_shifts(random_window, dict(zip(onsets, (first, second), strict=True)), n_steps)
    check_order(onsets[1], second[0], called[0], latest_end(first, width) + width)
    check_order("dec_on", due[0], called[1], latest_end(second, width))
    return first, second, due, width


def latest_end(window: Window, random_window: int) -> int:
    """Return the end of a window under the largest shift."""
    return window[1] + max(random_window - 1, 0)


def draw_shifts(rng: np.random.Generator, random_window: int, n: int) -> NDArray[np.int64]:
    """Draw n integers from [-random_window, random_window); zeros where it is 0."""
    if random_window == 0:
        return np.zeros(n, dtype=np.int64)
    return rng.integers(-random_window, random_window, size=n)


def draw_shift(rng: np.random.Generator, random_window: int) -> int:
    """Draw one such shift."""
    return int(draw_shifts(rng, random_window, 1)[0])


def shifted(onsets: NDArray[np.int64], duration: int, n_steps: int) -> NDArray[np.bool_]:
    """Return which steps (T, B) lie within ``duration`` steps from the onset of each trial (B,)."""
    since = np.arange(n_steps)[:, None] - onsets
    return (since >= 0) & (since < duration)


def after_grace(window: Window, grace: int) -> Window:
    """Return a window without its first steps, in which the outputs may still be moving.

    At most half of a short window is left out, so that something always counts.
    """
    on, off = window
    return on + min(grace, (off - on) // 2), off


def steps(*windows: Window) -> NDArray[np.int64]:
    """Return the steps that lie in any of the windows, ascending."""
    return np.unique(np.concatenate([np.arange(on, off, dtype=np.int64) for on, off in windows]))


def check_channels(task: str, field: str, value: Any, allowed: Sequence[int]) -> int:
    """Return a number of channels after checking that the task can have it."""
    number = check_int(field, value)
    if number not in allowed:
        wanted = " or ".join(str(n) for n in allowed)
        raise ParameterError(field, number, f"disagrees with {task}", f"give {wanted}")
    return number


def decision_sign(
    outputs: Any, window: Window, threshold: float | None = None
) -> NDArray[np.int64]:
    """Return the choice (B,) in a window of outputs (n_outputs, T, B).

    The sign of the mean of output 0 minus output 1; with one output, of output 0 minus
    ``threshold``.
    """
    mean = np.asarray(outputs)[:, slice(*window)].mean(axis=1)
    evidence = mean[0] - mean[1] if len(mean) > 1 else mean[0] - (threshold or 0.0)
    return np.sign(evidence).astype(np.int64)
