"""Performance of trained networks: scores and psychometric curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

import models
from models.performance.settings import ValidationSettings
from tasks_lib.registry import long_names

from ..database import schemas
from ..database.types import Query
from .figures import FigureTable, described
from .network import NetworkParams
from .network_rows import load_network
from .parameters import columns, stored
from .settings import CheckedSettings
from .task import Task
from .training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from xarray import Dataset

# Validation draws its own batches, with seeds that training never uses.
VALIDATION_SEED = 2**32 + 1
MAX_TRIALS = 64  # that figures take their axes from, and draw some of


def fetch_network(key: dict[str, Any]) -> tuple[Any, Any]:
    """Return the network and the task of a `Training.Network` key."""
    row = (Training.Network & key).fetch1()
    rnn = load_network(row, NetworkParams.build((NetworkParams & key).fetch1()))
    return rnn, Task.build((Task & key).fetch1(), seed=VALIDATION_SEED)


def trials_to_draw(rnn: models.RNNNumpy, task: Any) -> Dataset:
    """Return the trials that figures of a network's dynamics show: some of its validation."""
    return models.get_trials(rnn, task, seed=VALIDATION_SEED, max_trials=MAX_TRIALS)


def validations() -> Query:
    """Return the keys of finished networks with every way of validating."""
    return finished_networks().proj() * ValidationParams.proj()


def decision_networks() -> Query:
    """Return the finished networks of context-dependent decision making."""
    # Earlier versions kept the name as it was given.
    names = ("CDDM", *long_names("CDDM"))
    return finished_networks() & (Task & [{"task_class": name} for name in names]).proj()


def finished_networks() -> Query:
    """Return the networks to analyse: trained or imported, but not the diverged ones."""
    return Training.Network & "status <> 'diverged'"


@schemas.performance
class ValidationParams(CheckedSettings):
    config = ValidationSettings

    definition = f"""
    # how networks are validated
    validation_name : varchar(64)  # readable name
    ---
    {columns(config)}
    """

    contents = (
        {"validation_name": "noise_free", **stored(config())},
        {"validation_name": "noisy", **stored(config(noise=True, n_repeats=5))},
    )


@schemas.performance
class Validation(dj.Computed):
    definition = """
    # scores of a network
    -> Training.Network
    -> ValidationParams
    ---
    r2_pooled=null     : float64  # R^2 pooled over trials; null: targets do not vary
    r2_trial_mean=null : float64  # mean R^2 of the trials whose target varies
    n_r2_trials        : int32    # number of those trials
    mse                : float64  # masked mean squared error
    accuracy=null      : float64  # fraction of right choices; null: task without choices
    n_choice_trials    : int32    # trials that have a right choice
    n_trials           : int32    # all trials
    """

    class Condition(dj.Part):
        definition = """
        # scores on the trials of one kind
        -> master
        condition_number : int32      # in the order in which the task has them
        ---
        trial_condition  : json       # what these trials have in common; {}: all are of one kind
        condition_n_trials      : int32    # trials of this kind
        condition_mse           : float64  # masked mean squared error
        condition_r2=null       : float64  # R^2 pooled over them; null: targets do not vary
        condition_accuracy=null : float64  # fraction of right choices; null: there is no right one
        condition_n_choice_trials : int32  # trials that have a right choice
        """

    @property
    def key_source(self) -> Query:
        """Finished networks, with every way of validating."""
        return validations()

    def make(self, key: dict[str, Any]) -> None:
        """Score one network."""
        rnn, task = fetch_network(key)
        params = (ValidationParams & key).fetch1()
        scores = models.PerformanceAnalyzer(rnn, task).validate(
            **vars(ValidationParams.build(params))
        )
        totals = {name: v for name, v in vars(scores).items() if name != "by_condition"}
        self.insert1({**key, **totals})
        # Names of their own: a query of Validation is to restrict this table.
        self.Condition.insert(
            {
                **key,
                "condition_number": number,
                "trial_condition": kind.condition,
                "condition_n_trials": kind.n_trials,
                "condition_mse": kind.mse,
                "condition_r2": kind.r2_pooled,
                "condition_accuracy": kind.accuracy,
                "condition_n_choice_trials": kind.n_choice_trials,
            }
            for number, kind in enumerate(scores.by_condition)
        )


@schemas.performance
class TrialPlot(FigureTable, dj.Computed):
    settings = (ValidationParams,)

    definition = """
    # picture of some trials: network (solid) and target (dashed)
    -> Training.Network
    -> ValidationParams
    ---
    figure : <figure@main>
    """

    @property
    def key_source(self) -> Query:
        """Finished networks, with every way of validating."""
        return validations()

    def draw(self, key: dict[str, Any]) -> dict[str, Figure]:
        """Draw trials of one network."""
        rnn, task = fetch_network(key)
        noise = ValidationParams.build((ValidationParams & key).fetch1()).noise
        analyzer = models.PerformanceAnalyzer(rnn, task)
        return {"figure": analyzer.plot_trials(noise=noise, seed=int(key["seed"]))}

    def make(self, key: dict[str, Any]) -> None:
        """Plot trials of one network."""
        self.insert1({**key, **self.figures(key)})


@schemas.performance
class Psychometric(FigureTable, dj.Computed):
    settings = (ValidationParams,)

    definition = """
    # choices of a context-dependent decision network on the grid of coherences
    -> Training.Network
    -> ValidationParams
    ---
    coherences     : <npy@main>     # coherence of motion and of colour (C,)
    fraction_right : <npy@main>     # right choices (context, motion, colour); NaN: no right one
    grid_mse       : <npy@main>     # masked mean squared error (context, motion, colour)
    curves_figure  : <figure@main>  # grids and fitted curves
    """

    class Fit(dj.Part):
        definition = """
        # psychometric curve lapse_low + (1 - lapse_low - lapse_high) / (1 + exp(-slope (c - bias)))
        -> master
        context    : varchar(32)                   # motion or color
        coherence  : enum('relevant', 'irrelevant')  # which coherence the choice is plotted against
        ---
        converged  : bool                 # fit converged, bias and slope determined
        bias=null  : float64                       # coherence of indifference
        slope=null : float64                       # per unit of coherence
        lapse_low=null  : float64                  # choices of + at the most negative coherence
        lapse_high=null : float64                  # choices of - at the most positive coherence
        """

    @property
    def key_source(self) -> Query:
        """Finished networks of context-dependent decision making."""
        return validations() & decision_networks().proj()

    def draw(self, key: dict[str, Any]) -> dict[str, Figure]:
        """Measure the choices of one network again, with the same noise, and draw them."""
        return {"curves_figure": models.plot_psychometrics(self._measure(key))}

    def _measure(self, key: dict[str, Any]) -> models.PsychometricCurves:
        rnn, task = fetch_network(key)
        params = (ValidationParams & key).fetch1()
        return models.get_psychometrics(rnn, task, **vars(ValidationParams.build(params)))

    def make(self, key: dict[str, Any]) -> None:
        """Measure and fit the choices of one network."""
        result = self._measure(key)
        drawn = {"curves_figure": models.plot_psychometrics(result)}
        self.insert1(
            {
                **key,
                "coherences": np.asarray(result.coherences),
                "fraction_right": result.fraction_right,
                "grid_mse": result.mse,
                **described(type(self), key, drawn),
            }
        )
        self.Fit.insert(
            {
                **key,
                "context": context,
                "coherence": which,
                "converged": fit.ok,
                **{
                    name: float(getattr(fit, name)) if fit.ok else None
                    for name in ("bias", "slope", "lapse_low", "lapse_high")
                },
            }
            for (context, which), fit in result.fits.items()
        )
