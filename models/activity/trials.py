"""Trials of a network as one labelled dataset: states, rates, outputs, inputs, targets."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib import Task
from tasks_lib.base import Condition
from tasks_lib.errors import MAX_COUNT, ParameterError, check_bool, check_int
from tasks_lib.masks import asked, read_mask
from tasks_lib.mixture_components import TASK
from tasks_lib.sizes import bytes_in_words, physical_bytes

from ..network.rnn_numpy import RNNNumpy
from .coordinates import trial_coordinates

if TYPE_CHECKING:
    import xarray

Float = NDArray[np.float64]
Wanted: TypeAlias = Mapping[str, Any] | Sequence[Condition]


def get_trials(
    rnn: RNNNumpy,
    task: Task | None = None,
    *,
    conditions: Wanted | None = None,
    inputs: ArrayLike | None = None,
    noise: bool = False,
    n_repeats: int = 1,
    seed: int = 0,
    max_trials: int | None = None,
    x_init: ArrayLike | None = None,
) -> xarray.Dataset:
    """Run trials and return the activity of all units, with what each trial is.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task, optional
        What the trials are of; not needed with ``inputs``.
    conditions : dict or sequence of dicts, optional
        A dict chooses from the task's batch: field -> value, list of values, or a function of the
        value that says whether the trial is wanted. A sequence gives the condition of each trial
        itself, as `Task.generate_trials` takes it. By default the whole batch.
    inputs : array (n_inputs, T, B) or (n_inputs, T), optional
        Inputs of one's own, in place of a task's trials.
    noise : bool
        Whether the network runs with its noise.
    n_repeats : int
        How often each trial is run; with noise, which differs from one to the next.
    seed : int
        Of what is random in the task's trials, and of the noise: the same seed, the same dataset.
    max_trials : int, optional
        Of a batch (before repeats) with more trials as many, evenly spread over it, are run.
    x_init : array (N,), optional
        Initial state; the network's own by default.

    Returns
    -------
    xarray.Dataset
        ``states``, ``rates`` (trial, time, unit): x and what W_out reads, f(x) in form h and x
        in form s; ``outputs``, ``targets`` (trial, time, output); ``inputs`` (trial, time, input).
        Coordinates: ``time`` in the unit of tau and dt; of each trial every field of its condition,
        ``kind`` (what kind of trial it is, in words), ``repeat``, and where the task has choices
        ``choice``, ``correct_choice`` (0: none) and ``correct``, and where it has several contexts
        (`Task.signed_stimuli`) ``context``; ``counts``, whether a step counts
        in the scores, of each trial where they differ (targets are NaN where nothing is asked).
        Without a task there are no targets and no conditions.

    Raises
    ------
    ParameterError
        Where task and network do not fit, no trial is of the wanted conditions, or this machine
        does not hold the trials.

    Examples
    --------
    >>> trials = get_trials(rnn, task, conditions={"context": "motion"})  # doctest: +SKIP
    >>> trials.rates.groupby("motion_coh").mean()                         # doctest: +SKIP
    """
    check_bool("noise", noise)
    check_int("n_repeats", n_repeats, 1, MAX_COUNT)
    check_int("seed", seed, 0, 2**63 - 1)
    if max_trials is not None:
        check_int("max_trials", max_trials, minimum=1)
    if inputs is not None:
        if conditions is not None:
            raise ParameterError("conditions", "given", "inputs are given too", "give one of both")
        given = np.asarray(inputs, dtype=np.float64)
        batch, targets = given[:, :, None] if given.ndim == 2 else given, None
        said: list[Condition] = [{} for _ in range(batch.shape[-1])]
    elif task is not None:
        task.check_network(
            rnn, "run the network on the task that it was trained on, or give inputs"
        )
        batch, targets, said = _task_trials(task, conditions, seed)
    else:
        raise ParameterError(
            "task", None, "is missing, and so are inputs", "give a task, or inputs (n_inputs, T, B)"
        )
    if max_trials is not None and max_trials < batch.shape[-1]:
        spread = np.linspace(0, batch.shape[-1] - 1, max_trials).round().astype(int)
        batch, said = batch[:, :, spread], [said[i] for i in spread]
        targets = None if targets is None else targets[:, :, spread]
    _check_memory(rnn, batch, n_repeats)
    repeat = np.repeat(np.arange(n_repeats), batch.shape[-1])
    batch = np.tile(batch, n_repeats)
    said = said * n_repeats
    # A network of its own: that of the user keeps its generator where it was.
    drawn = copy.copy(rnn)
    drawn.rng = np.random.default_rng([seed, 1])
    states, outputs = drawn.run(batch, x_init, noise=noise)
    named = task if inputs is None else None
    if targets is not None:
        targets = np.tile(targets, n_repeats)
    return _dataset(rnn, named, (batch, states, outputs, targets), said, repeat).assign_attrs(
        noise=int(noise), seed=seed
    )


def _task_trials(
    task: Task, wanted: Wanted | None, seed: int
) -> tuple[Float, Float, list[Condition]]:
    """Return inputs, targets and conditions; the task's generator stays where it was."""
    before = task.rng
    try:
        task.reset(seed)
        if wanted is None or isinstance(wanted, Mapping):
            inputs, targets, conditions = task.get_batch()
            if wanted is not None:
                chosen = _chosen(conditions, wanted)
                inputs, targets = inputs[:, :, chosen], targets[:, :, chosen]
                conditions = [conditions[i] for i in chosen]
            return inputs, targets, conditions
        if np.ndim(task.mask) == 2:
            raise ParameterError(
                "conditions",
                list(wanted),
                f"are not the batch of {type(task).__name__}, whose mask is of each trial of it",
                "choose trials of the batch by {field: value}, or let the task put NaN in targets",
            )
        task.check_memory(len(wanted))
        return task.generate_trials([dict(c) for c in wanted])
    finally:
        task.rng = before


def _chosen(conditions: Sequence[Condition], wanted: Mapping[str, Any]) -> list[int]:
    """Return which trials are of the wanted conditions; at least one."""
    fields = dict.fromkeys(name for c in conditions for name in c)
    for field in wanted:
        if field not in fields:
            raise ParameterError(
                f"conditions.{field}",
                wanted[field],
                "is not a field of this task's conditions",
                f"use {', '.join(fields)}" if fields else "leave it out: it has none",
            )
    chosen = [
        i
        for i, condition in enumerate(conditions)
        if all(_is(condition.get(field), value) for field, value in wanted.items())
    ]
    if not chosen:
        field = next(iter(wanted))
        there = dict.fromkeys(repr(c.get(field)) for c in conditions)
        raise ParameterError(
            "conditions",
            dict(wanted),
            "no trial of the batch is like that",
            f"of {field} there are {', '.join(list(there)[:12])}",
        )
    return chosen


def _is(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, Callable):  # type: ignore[arg-type]
        return bool(wanted(value))
    if isinstance(wanted, (list, tuple, set, frozenset, range, np.ndarray)) and not isinstance(
        value, (list, tuple)
    ):
        return any(_is(value, one) for one in wanted)
    if isinstance(wanted, float) and isinstance(value, (int, float)):
        # 0.1 of a user is to find the 0.1 that came out of linspace.
        return bool(np.isclose(value, wanted, rtol=1e-9, atol=1e-12))
    return bool(np.array_equal(value, wanted))


def _check_memory(rnn: RNNNumpy, inputs: Float, n_repeats: int) -> None:
    """Refuse more than this machine holds: states and rates, and as much again in between."""
    each = 8 * (4 * rnn.n_units + 2 * rnn.n_inputs + 3 * rnn.n_outputs)
    needed = each * inputs.shape[-2] * inputs.shape[-1] * n_repeats
    if needed > physical_bytes():
        raise ParameterError(
            "n_repeats" if n_repeats > 1 else "trials",
            n_repeats if n_repeats > 1 else inputs.shape[-1],
            f"the activity of {rnn.n_units} units would take about {bytes_in_words(needed)}, and "
            f"this machine has {bytes_in_words(physical_bytes())}",
            "ask for fewer trials at once",
        )


def _dataset(
    rnn: RNNNumpy,
    task: Task | None,
    arrays: tuple[Float, Float, Float, Float | None],
    conditions: Sequence[Condition],
    repeat: NDArray[Any],
) -> xarray.Dataset:
    import xarray

    inputs, states, outputs, targets = arrays
    n_steps = inputs.shape[1]

    def variable(array: Float, channel: str, text: str) -> tuple[Any, ...]:
        # Trials first, as xarray's users expect of what is grouped by trial.
        return (
            ("trial", "time", channel),
            np.moveaxis(array, 2, 0).swapaxes(1, 2),
            {
                "long_name": text,
                "units": "a.u.",
            },
        )

    variables = {
        "states": variable(states, "unit", "state x"),
        "rates": variable(rnn.equation.rates(states), "unit", "what the readout reads of x"),
        "outputs": variable(outputs, "output", "output"),
        "inputs": variable(inputs, "input", "input"),
    }
    coordinates: dict[str, Any] = {
        "trial": np.arange(len(conditions)),
        "time": ("time", rnn.equation.dt * np.arange(n_steps), {"units": "unit of tau"}),
        "unit": np.arange(rnn.n_units),
        "repeat": ("trial", repeat),
    }
    if task is not None and targets is not None:
        variables["targets"] = variable(targets, "output", "target")
        coordinates |= trial_coordinates(conditions, task) | _choices(
            task, outputs, targets, conditions
        )
        steps, at_steps = asked(targets, read_mask(task.mask, n_steps).steps)
        counts = np.zeros((len(conditions), n_steps), dtype=np.bool_)
        counts[:, steps] = True if at_steps is None else at_steps.any(axis=0).T
        alike = at_steps is None
        coordinates["counts"] = ("time", counts[0]) if alike else (("trial", "time"), counts)
        coordinates["input"] = np.array(task.input_names, dtype=np.str_)
        coordinates["output"] = np.array(task.output_names, dtype=np.str_)
    return xarray.Dataset(variables, coordinates, _attributes(rnn, task))


def _choices(
    task: Task, outputs: Float, targets: Float, conditions: Sequence[Condition]
) -> dict[str, Any]:
    choice, right = task.read_choices(outputs, targets, conditions)
    if choice is None or right is None:
        return {}
    return {
        "choice": ("trial", np.asarray(choice)),
        "correct_choice": ("trial", np.asarray(right)),
        "correct": ("trial", (np.asarray(choice) == right) & (np.asarray(right) != 0)),
    }


def _attributes(rnn: RNNNumpy, task: Task | None) -> dict[str, Any]:
    """Return what the trials are of, in values that every format of files holds."""
    equation = rnn.equation
    attributes: dict[str, Any] = {
        "equation_type": equation.equation_type,
        "activation": str(getattr(equation.activation, "name", equation.activation)),
        **{
            name: float(getattr(equation, name))
            for name in ("tau", "dt", "gamma", "sigma_inp", "sigma_rec", "sigma_out")
        },
    }
    if task is not None:
        attributes["task"] = type(task).__name__
        if task.condition_fields is not None:
            attributes["condition_fields"] = " ".join(task.condition_fields)
        if task.component_tasks:
            attributes["component_field"] = TASK
    return attributes
