"""How well a network does its task: scores and the picture of trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from tasks_lib import Task
from tasks_lib.brief import brief
from tasks_lib.masks import as_nan, asked, read_mask, steps_of_batch
from tasks_lib.mixture_components import TASK

from ..network.outputs import network_outputs
from ..network.rnn_numpy import RNNNumpy
from ..performance.scores import (
    choice_accuracy,
    mean_squared_error,
    r2_by_trial,
    r2_pooled,
)
from ..performance.settings import ValidationSettings
from ..plots.paths import choice_in_words
from ..plots.trials import plot_trials

ScoringFunction = Callable[[NDArray[Any], NDArray[Any]], float]


@brief
@dataclass(frozen=True)
class ConditionScores:
    """Scores of one network on the trials of one kind (`Task.condition_kind`).

    Attributes
    ----------
    condition : dict
        What these trials have in common; empty where the task has one kind of trials.
    n_trials : int
        Number of trials.
    mse : float
        Mean squared error.
    r2_pooled : float or None
        R^2 pooled over these trials; None where their targets do not vary.
    accuracy : float or None
        Fraction of right choices; None where there is no right choice.
    n_choice_trials : int
        Number of trials that have a right choice.
    """

    condition: dict[str, Any]
    n_trials: int
    mse: float
    r2_pooled: float | None
    accuracy: float | None
    n_choice_trials: int


@brief
@dataclass(frozen=True)
class ValidationScores:
    """Scores of one network on one set of trials.

    Attributes
    ----------
    r2_pooled : float or None
        R^2 pooled over trials; None where the targets do not vary.
    r2_trial_mean : float or None
        Mean over the trials whose own target varies.
    n_r2_trials : int
        Number of those trials.
    mse : float
        Mean squared error.
    accuracy : float or None
        Fraction of right choices; None where the task has no choices.
    n_choice_trials : int
        Number of trials that have a right choice.
    n_trials : int
        Number of trials.
    by_condition : tuple of ConditionScores
        The same for each kind of trials, in the order in which they come.
    by_component : dict of str to ConditionScores
        The same for each task of a mixture; empty for any other task.
    """

    r2_pooled: float | None
    r2_trial_mean: float | None
    n_r2_trials: int
    mse: float
    accuracy: float | None
    n_choice_trials: int
    n_trials: int
    by_condition: tuple[ConditionScores, ...] = ()
    by_component: dict[str, ConditionScores] = dataclass_field(default_factory=dict)


class PerformanceAnalyzer:
    """Scores and trial plots of a network on a task.

    Parameters
    ----------
    rnn : RNNNumpy
    task : Task
    device : str
        Torch device that the network runs on.
    """

    def __init__(self, rnn: RNNNumpy, task: Task, device: str = "cpu") -> None:
        task.check_network(rnn, "analyse the network with the task that it was trained on")
        self.rnn = rnn
        self.task = task
        self.device = device

    def _outputs(self, inputs: ArrayLike, noise: bool) -> NDArray[np.float64]:
        return network_outputs(self.rnn, inputs, noise, self.device)

    def get_validation_score(
        self,
        scoring_function: ScoringFunction,
        input_batch: ArrayLike,
        target_batch: ArrayLike,
        mask: ArrayLike | None = None,
        noise: bool = False,
    ) -> float:
        """Return the mean over trials of a score.

        Parameters
        ----------
        scoring_function : callable (predicted, target) -> float
            Called for each trial with arrays (n_outputs, steps that count in it), the prediction
            first, as in trainRNNbrain (scikit-learn's scores want the target first). A step counts
            where any output is asked for something; the target of the others is NaN there.
        input_batch : array (n_inputs, T, B)
        target_batch : array (n_outputs, T, B)
            NaN where nothing is asked.
        mask : array, optional
            Steps that count, in any form that a task may give; the task's by default.
        noise : bool
            Whether the network runs with its noise.
        """
        outputs = self._outputs(input_batch, noise)
        targets = np.asarray(target_batch, dtype=np.float64)
        common, counts = asked(targets, self.task.mask if mask is None else mask)
        scores = []
        for b in range(targets.shape[2]):
            steps, wanted = common, targets[:, common, b]
            if counts is not None:
                here = counts[:, :, b].any(axis=0)
                steps = common[here]
                wanted = np.where(counts[:, here, b], wanted[:, here], np.nan)
            scores.append(scoring_function(outputs[:, steps, b], wanted))
        return float(np.mean(scores))

    def validate(self, noise: bool = False, n_repeats: int = 1) -> ValidationScores:
        """Score the network on the task's batches, freshly drawn from the task's seed.

        Parameters
        ----------
        noise : bool
            Whether the network runs with its noise.
        n_repeats : int
            Number of batches.
        """
        settings = ValidationSettings(noise, n_repeats)
        self.task.reset()
        batches = [self.task.get_batch() for _ in range(settings.n_repeats)]
        inputs = np.concatenate([b[0] for b in batches], axis=2)
        targets = np.concatenate([b[1] for b in batches], axis=2)
        conditions = [c for b in batches for c in b[2]]
        outputs = self._outputs(inputs, settings.noise)
        # One for each trial is in the targets, as NaN.
        mask = steps_of_batch(self.task.mask, batches[0][1], type(self.task).__name__)
        by_trial = r2_by_trial(outputs, targets, mask)
        defined = by_trial[np.isfinite(by_trial)]
        choices, right = self.task.read_choices(outputs, targets, conditions)

        def scores(trials: slice | list[int]) -> dict[str, Any]:
            y, t = outputs[:, :, trials], targets[:, :, trials]
            accuracy, n_choice_trials = None, 0
            if choices is not None and right is not None:
                # Of a component without choices there is no right one.
                accuracy, n_choice_trials = choice_accuracy(choices[trials], right[trials])
            return {
                "n_trials": int(t.shape[2]),
                "mse": mean_squared_error(y, t, mask),
                "r2_pooled": r2_pooled(y, t, mask),
                "accuracy": accuracy,
                "n_choice_trials": n_choice_trials,
            }

        kinds: dict[str, tuple[dict[str, Any], list[int]]] = {}
        for trial, condition in enumerate(conditions):
            kind = self.task.condition_kind(condition)
            kinds.setdefault(repr(sorted(kind.items())), (kind, []))[1].append(trial)
        of = [self.task.component_of(condition) for condition in conditions]
        components = {
            name: [trial for trial, own in enumerate(of) if own == name]
            for name in self.task.component_tasks
        }
        return ValidationScores(
            **scores(slice(None)),
            r2_trial_mean=float(defined.mean()) if defined.size else None,
            n_r2_trials=int(defined.size),
            by_condition=tuple(
                ConditionScores(kind, **scores(trials)) for kind, trials in kinds.values()
            ),
            by_component={
                name: ConditionScores({TASK: name}, **scores(trials))
                for name, trials in components.items()
            },
        )

    def plot_trials(
        self,
        input_batch: ArrayLike | None = None,
        target_batch: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        n_trials: int = 6,
        noise: bool = True,
        seed: int = 0,
    ) -> Figure:
        """Plot predicted (solid) and target (dashed, where it counts) outputs of some trials.

        Parameters
        ----------
        input_batch, target_batch : array (channels, T, B), optional
            Trials to choose from; the task's batch by default.
        mask : array, optional
            Steps that count, in any form that a task may give; the task's by default. Those that
            do not are grey.
        n_trials : int
            Number of trials drawn, at random by ``seed``; of the task's own trials as many for each
            value of their first field that has a few, contexts, say.
        noise : bool
            Whether the network runs with its noise.
        """
        titles: list[str] | None = None
        if input_batch is None or target_batch is None:
            self.task.reset()
            inputs, targets, conditions = self.task.get_batch()
            titles = [describe_condition(c) for c in conditions]
        else:
            inputs, targets = np.asarray(input_batch), np.asarray(target_batch)
        n_all = inputs.shape[2]
        # Of all trials, before some are chosen.
        read = read_mask(self.task.mask if mask is None else mask, targets.shape[1], n_all)
        if read.by_trial is not None:
            targets = as_nan(targets, read.by_trial)
        rng = np.random.default_rng(seed)
        order = rng.permutation(n_all)
        if titles is not None:
            order = order[in_turns([conditions[i] for i in order], n_trials)]
        chosen = np.sort(order[: min(n_trials, n_all)])
        outputs = self._outputs(inputs[:, :, chosen], noise)
        shown = targets[:, :, chosen]
        if titles is not None:
            titles = [titles[i] for i in chosen]
            made, right = self.task.read_choices(outputs, shown, [conditions[i] for i in chosen])
            if made is not None and right is not None:
                choosing = self.task.trials_with_choices([conditions[i] for i in chosen])
                titles = [
                    f"{title}\n{describe_choice(int(one), int(wanted))}".strip() if has else title
                    for title, one, wanted, has in zip(titles, made, right, choosing, strict=True)
                ]
        return plot_trials(
            outputs,
            shown,
            read.steps,
            dt=self.rnn.equation.dt,
            titles=titles,
            output_names=self.task.output_names,
        )


def in_turns(conditions: Sequence[Mapping[str, Any]], n_trials: int) -> NDArray[np.intp]:
    """Return an order of trials in which values of a field of their conditions take turns.

    Of the first field that has 2 to ``n_trials`` values; without one the order is as it was.
    """
    for field in conditions[0] if len(conditions) else ():
        values = [str(condition.get(field)) for condition in conditions]
        if 2 <= len(set(values)) <= n_trials:
            seen: Counter[str] = Counter()
            rounds = []
            for value in values:
                rounds.append(seen[value])
                seen[value] += 1
            return np.argsort(rounds, kind="stable")
    return np.arange(len(conditions))


def describe_choice(choice: int, right: int) -> str:
    """Return a choice in words, and whether it is correct where one is."""
    judged = "" if right == 0 else ", correct" if choice == right else ", wrong"
    return f"{choice_in_words(choice)}{judged}"


def describe_condition(condition: dict[str, Any]) -> str:
    """Return a short title for a trial from the plain values of its condition."""
    plain = {
        key: value
        for key, value in condition.items()
        if isinstance(value, (str, bool, int, float, np.number))
    }
    items = (
        f"{k.replace('_', ' ')} {v:g}" if not isinstance(v, str) else v for k, v in plain.items()
    )
    return ", ".join(list(items)[:3])
