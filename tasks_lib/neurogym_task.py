"""Any NeuroGym environment that has a ground truth, as a task (optional extra ``neurogym``)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Condition, Float, Task, Trial
from .errors import ParameterError, check_float, check_int, text_of
from .neurogym_trials import (
    Factory,
    NeuroGymTrial,
    TrialSource,
    environment_name,
    find_environment,
)
from .windows import check_channels

N_SAMPLE = 100  # trials from which lengths, periods and fields are known
MAX_VALUES = 32  # a field with more values than this in the sample is not one to group by


class NeuroGym(Task):
    """Trials of a NeuroGym environment: observations in, ground truth out.

    Discrete actions become one-hot targets, a channel for each; continuous ones stay as they are.
    Every step counts. A trial shorter than ``n_steps`` holds its last observation and ground
    truth; one longer, rare where n_steps is the default, is drawn again.

    Parameters
    ----------
    environment : str
        A name that NeuroGym registers, such as "PerceptualDecisionMaking-v0", or
        "package.module:Class" of an environment of your own.
    n_steps : int, optional
        Length of a trial; by default the longest of a fixed sample of trials.
    n_inputs, n_outputs : int, optional
        What the environment has; any other number is refused.
    dt : float, optional
        Milliseconds per step; the environment's own default (mostly 100) by default.
    session : int
        A trial is one of the first ``session`` trials after the environment was made, each as
        likely. The default lets what alternates do so; more is for what changes in blocks.
    batch_size : int
        Trials in a batch.
    arguments : dict, optional
        Other keyword arguments of the environment, such as timing, as plain values.
    seed : int, optional
    """

    code_names = {"environment": environment_name}

    def __init__(
        self,
        environment: str,
        n_steps: int | None = None,
        n_inputs: int | None = None,
        n_outputs: int | None = None,
        dt: float | None = None,
        session: int = 2,
        batch_size: int = 64,
        arguments: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> None:
        factory = find_environment(environment)
        self.environment = environment
        self.arguments = _plain_arguments(arguments)
        _check_timing(environment, factory, self.arguments)
        self.session = check_int("session", session, minimum=1)
        self.batch_size = check_int("batch_size", batch_size, minimum=1)
        given = None if dt is None else check_float("dt", dt, exclusive_minimum=0.0)
        text = json.dumps(self.arguments)
        self._source = _source(environment, factory, text, given, self.session)
        self.dt = self._source.make().unwrapped.dt
        sample = _sample(environment, factory, text, self.dt, self.session)
        longest = sample.n_steps if n_steps is None else check_int("n_steps", n_steps, minimum=1)
        if longest < sample.n_steps:
            raise ParameterError(
                "n_steps",
                n_steps,
                f"is too short: trials of {environment} have up to {sample.n_steps} steps",
                f"give at least {sample.n_steps}, a longer dt or a shorter timing",
            )
        channels = {"n_inputs": n_inputs, "n_outputs": n_outputs}
        for field, number in channels.items():
            if number is not None:
                check_channels(environment, field, number, (getattr(sample, field),))
        super().__init__(longest, sample.n_inputs, sample.n_outputs, seed)
        self.expect_trials("batch_size", self.batch_size, self.batch_size)
        self._sample = sample

    @property
    def condition_fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """The environment's labels of a trial that vary, and have few enough values to group by."""
        return self._sample.fields

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """The mean observation in each period of the trial, and no input; each vector once."""
        means = {name: np.array(mean) for name, mean in self._sample.period_means.items()}
        inputs: dict[str, Float] = {}
        for name, vector in {**means, "zero": np.zeros(self.n_inputs)}.items():
            if not any(np.array_equal(vector, other) for other in inputs.values()):
                inputs[name] = vector
        return inputs

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel, by the environment where it gives names."""
        return self._sample.input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel, by the environment where it gives names."""
        return self._sample.output_names

    def conditions(self) -> list[Condition]:
        """Return the seed of each trial of a batch."""
        seeds = self.rng.integers(2**32, size=self.batch_size)
        return [{"trial_seed": int(s)} for s in seeds]

    def generate_input_target_stream(  # type: ignore[override]
        self, trial_seed: int, **labels: Any
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        trial_seed : int
            Decides the whole trial, noise included.
        **labels
            What a condition holds besides; it must agree with the trial.

        Returns
        -------
        input : array (n_inputs, T)
        target : array (n_outputs, T)
        condition : dict
            ``trial_seed`` and the scalars by which the environment describes the trial.
        """
        seed = check_int("trial_seed", trial_seed, minimum=0, maximum=2**32 - 1)
        trial = self._source.draw(seed, self.n_steps)
        for field, value in labels.items():
            if field not in trial.labels or trial.labels[field] != value:
                raise ParameterError(
                    field,
                    value,
                    f"is not of the trial that trial_seed = {seed} makes ({trial.labels})",
                    "give trial_seed alone, or take the version of neurogym that made it",
                )
        # The last step is held to the end.
        held = np.minimum(np.arange(self.n_steps), len(trial.observations) - 1)
        condition = {"trial_seed": seed, **trial.labels}
        return trial.observations[held].T, trial.truth[held].T, condition

    def get_choices(self, outputs: Float) -> NDArray[np.int64] | None:
        """Return 1 + the action with the largest output at the last step.

        None for continuous actions, and where every trial ends with the same right action (such
        as timing tasks, which end in fixation): there a choice would say nothing.
        """
        if not self._sample.has_choices:
            return None
        return 1 + np.argmax(np.asarray(outputs)[:, -1], axis=0).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Sample:
    """Properties of an environment, measured on a fixed sample of trials."""

    n_steps: int
    n_inputs: int
    n_outputs: int
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    period_means: dict[str, Float]
    fields: tuple[str, ...]
    has_choices: bool


def _source(name: str, factory: Factory, text: str, dt: float | None, session: int) -> TrialSource:
    arguments = json.loads(text)
    if dt is not None:
        arguments["dt"] = int(dt) if float(dt).is_integer() else dt
    return TrialSource(name, factory, arguments, session)


@lru_cache(maxsize=64)
def _sample(name: str, factory: Factory, text: str, dt: float, session: int) -> _Sample:
    """Return the facts of an environment; arguments are JSON text, so that calls can be kept."""
    source = _source(name, factory, text, dt, session)
    inner = source.make().unwrapped
    trials = [source.draw(seed) for seed in range(N_SAMPLE)]
    if not all(_same(trial, source.draw(seed)) for seed, trial in enumerate(trials)):
        raise ParameterError(
            "environment",
            name,
            "does not repeat a trial when its generators are seeded",
            "use a session of fewer trials, or let it draw from self.rng alone once it is made",
        )
    last = np.array([trial.truth[-1] for trial in trials])
    n_inputs, n_outputs = trials[0].observations.shape[1], trials[0].truth.shape[1]
    discrete = hasattr(inner.action_space, "n")
    return _Sample(
        n_steps=max(len(trial.observations) for trial in trials),
        n_inputs=n_inputs,
        n_outputs=n_outputs,
        input_names=_channel_names(inner.observation_space, "input", n_inputs),
        output_names=_channel_names(inner.action_space, "output", n_outputs),
        period_means=_period_means(trials),
        fields=_fields(trials),
        has_choices=discrete and bool(np.ptp(last, axis=0).any()),
    )


def _same(a: NeuroGymTrial, b: NeuroGymTrial) -> bool:
    arrays = ((a.observations, b.observations), (a.truth, b.truth))
    return all(np.array_equal(x, y) for x, y in arrays) and a.labels == b.labels


def _period_means(trials: list[NeuroGymTrial]) -> dict[str, Float]:
    """Return the mean observation (n_inputs,) in each period that has steps."""
    steps: dict[str, list[Float]] = {}
    for trial in trials:
        for name, (start, end) in trial.periods.items():
            steps.setdefault(name[:64], []).append(trial.observations[start:end])
    pooled = {name: np.concatenate(parts) for name, parts in steps.items()}
    return {name: seen.mean(axis=0) for name, seen in pooled.items() if len(seen)}


def _fields(trials: list[NeuroGymTrial]) -> tuple[str, ...]:
    """Return the labels of every trial that vary, but have few enough values to group by."""
    everywhere = [name for name in trials[0].labels if all(name in t.labels for t in trials)]
    n_values = {name: len({t.labels[name] for t in trials}) for name in everywhere}
    return tuple(name for name, n in n_values.items() if 1 < n <= MAX_VALUES)


def _channel_names(space: Any, kind: str, n: int) -> tuple[str, ...]:
    """Return a name for each channel, from the space's own {name: index or indices} if any."""
    names = [f"{kind} {i}" for i in range(n)]
    given = getattr(space, "name", None)
    for name, where in (given if isinstance(given, dict) else {}).items():
        indices = np.atleast_1d(np.asarray(where)).tolist()
        for number, index in enumerate(indices):
            if isinstance(index, int) and 0 <= index < n:
                names[index] = str(name) if len(indices) == 1 else f"{name} {number}"
    return tuple(names)


def _check_timing(name: str, factory: Factory, arguments: dict[str, Any]) -> None:
    """Refuse periods that the environment does not have, and durations below 0."""
    timing = arguments.get("timing")
    if not isinstance(timing, dict):
        return
    rest = {key: value for key, value in arguments.items() if key != "timing"}
    plain = _source(name, factory, json.dumps(rest), None, 1).make().unwrapped
    known = getattr(plain, "timing", {})
    for period, duration in timing.items():
        if period not in known:
            raise ParameterError(
                f"arguments.timing.{period}",
                duration,
                f"{name} has no such period",
                f"use {', '.join(known)}",
            )
        if isinstance(duration, (int, float)) and duration < 0:
            raise ParameterError(
                f"arguments.timing.{period}", duration, "is too small", "give milliseconds"
            )


def _plain_arguments(arguments: Any) -> dict[str, Any]:
    """Return arguments as JSON gives them back, after checking that it does."""
    if arguments is None:
        return {}
    if not isinstance(arguments, dict) or not all(isinstance(k, str) for k in arguments):
        raise ParameterError("arguments", arguments, "are not named", "give {argument: value}")
    if "dt" in arguments:
        raise ParameterError("arguments", arguments, "hold dt", "give dt beside the arguments")
    try:
        return dict(json.loads(json.dumps(arguments, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ParameterError(
            "arguments",
            arguments,
            f"cannot be stored ({text_of(error)})",
            "use numbers, texts and lists",
        ) from error
