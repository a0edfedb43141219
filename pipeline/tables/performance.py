"""Performance of trained networks: scores and psychometric curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

import models
from models.performance.settings import ValidationSettings
from tasks_lib.errors import ParameterError
from tasks_lib.registry import OPTIONAL_TASKS, long_names, task_class

from ..database import schemas
from ..database.types import Query
from .allowed_imports import only_allowed_imports
from .current_job import current_device
from .figures import FigureTable, described
from .left_out import Analysis
from .network import NetworkParams
from .network_rows import load_network
from .parameters import columns, stored
from .rows import Row
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
    return network_and_task(*fetch_network_rows(key))


def fetch_network_rows(key: dict[str, Any]) -> tuple[Row, Row, Row]:
    """Return the rows of a network, with references to its weights, its parameters and its task."""
    return (
        (Training.Network & key).fetch1(),
        (NetworkParams & key).fetch1(),
        (Task & key).fetch1(),
    )


def network_and_task(network_row: Row, params_row: Row, task_row: Row) -> tuple[Any, Any]:
    """Return the network and the task of three rows; the weights are read here."""
    rnn = load_network(network_row, NetworkParams.build(params_row))
    return rnn, Task.build(task_row, seed=VALIDATION_SEED)


def trials_to_draw(rnn: models.RNNNumpy, task: Any) -> Dataset:
    """Return the trials that figures of a network's dynamics show: some of its validation."""
    return models.get_trials(rnn, task, seed=VALIDATION_SEED, max_trials=MAX_TRIALS)


def validations() -> Query:
    """Return the keys of finished networks with every way of validating."""
    return finished_networks().proj() * ValidationParams.proj()


def decision_networks() -> Query:
    """Return the finished networks of context-dependent decision making."""
    classes = [{"task_class": name} for name in decision_classes()]
    return finished_networks() & (Task & classes).proj()


def decision_classes() -> tuple[str, ...]:
    """Return the names of the class of context-dependent decision making in rows."""
    # Earlier versions kept the name as it was given.
    return ("CDDM", *long_names("CDDM"))


@only_allowed_imports()
def networks_with_signed_stimuli() -> Query:
    """Return the finished networks of tasks with choices by signed stimuli.

    Those of classes that cannot be imported here are left out.
    """
    names = set(Task.to_arrays("task_class").tolist())
    classes = [{"task_class": name} for name in names if _has_signed_stimuli(name)]
    tasks = [
        {"task_name": row["task_name"]}
        for row in (Task & classes).proj("task_class", "params").to_dicts()
        if _has_signed_stimuli(row["task_class"], row["params"])
    ]
    return finished_networks() & tasks


def _has_signed_stimuli(name: str, params: Mapping[str, Any] | None = None) -> bool:
    if name in OPTIONAL_TASKS:  # none has; its package takes long to import
        return False
    try:
        return task_class(name).has_signed_stimuli(params)
    except ParameterError:
        return False


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
class Validation(Analysis):
    definition = """
    # scores of a network
    -> Training.Network
    -> ValidationParams
    ---
    r2_pooled=null     : float64  # R^2 over trials unseen in training; null: targets do not vary
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

    class Component(dj.Part):
        definition = """
        # scores on the trials of one task of a mixture
        -> master
        component : varchar(32)  # its name in the mixture
        ---
        component_n_trials      : int32    # trials of this task
        component_mse           : float64  # masked mean squared error
        component_r2=null       : float64  # R^2 pooled over them; null: targets do not vary
        component_accuracy=null : float64  # fraction of right choices; null: it has no choices
        component_n_choice_trials : int32  # trials that have a right choice
        """

    @property
    def all_keys(self) -> Query:
        """Finished networks, with every way of validating."""
        return validations()

    def make(self, key: dict[str, Any]) -> None:
        """Score one network."""
        rnn, task = fetch_network(key)
        params = (ValidationParams & key).fetch1()
        scores = models.PerformanceAnalyzer(rnn, task, current_device()).validate(
            **vars(ValidationParams.build(params))
        )
        totals = {name: v for name, v in vars(scores).items() if not name.startswith("by_")}
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
        self.Component.insert(
            {
                **key,
                "component": name,
                "component_n_trials": one.n_trials,
                "component_mse": one.mse,
                "component_r2": one.r2_pooled,
                "component_accuracy": one.accuracy,
                "component_n_choice_trials": one.n_choice_trials,
            }
            for name, one in scores.by_component.items()
        )


@schemas.performance
class TrialPlot(FigureTable, Analysis):
    settings = (ValidationParams,)

    definition = """
    # picture of some trials: network (solid) and target (dashed)
    -> Training.Network
    -> ValidationParams
    ---
    figure : <figure@main>
    """

    @property
    def all_keys(self) -> Query:
        """Finished networks, with every way of validating."""
        return validations()

    def draw(self, key: dict[str, Any]) -> dict[str, Figure]:
        """Draw trials of one network."""
        rnn, task = fetch_network(key)
        noise = ValidationParams.build((ValidationParams & key).fetch1()).noise
        analyzer = models.PerformanceAnalyzer(rnn, task, current_device())
        return {"figure": analyzer.plot_trials(noise=noise, seed=int(key["seed"]))}

    def make(self, key: dict[str, Any]) -> None:
        """Plot trials of one network."""
        self.insert1({**key, **self.figures(key)})


@schemas.performance
class Psychometric(FigureTable, Analysis):
    settings = (ValidationParams,)
    has_constant_keys = False  # classes of tasks say which have signed stimuli

    definition = """
    # choices of a network by the strength of its task's signed stimuli
    -> Training.Network
    -> ValidationParams
    ---
    coherences=null     : <npy@main>  # of motion and of colour (C,); null, as the grids: not CDDM
    fraction_right=null : <npy@main>  # right choices (context, motion, colour); NaN: no right one
    grid_mse=null       : <npy@main>  # masked mean squared error (context, motion, colour)
    curves_figure       : <figure@main>  # grids and fitted curves
    """

    class Fit(dj.Part):
        definition = """
        # psychometric curve lapse_low + (1 - lapse_low - lapse_high) / (1 + exp(-slope (c - bias)))
        -> master
        context    : varchar(32)                   # motion or color; all: the task has one
        coherence  : enum('relevant', 'irrelevant')  # which stimulus the choice is plotted against
        ---
        converged  : bool                 # bias and slope are determined
        fit_status=null : varchar(16)  # fitted, flat, step, slope_only, too_few (docs)
        bias=null  : float64           # stimulus at the middle of the curve
        bias_error=null   : float64    # its standard error, as all errors
        indifference=null : float64    # stimulus where both choices are as frequent
        indifference_error=null : float64  # its standard error
        slope=null : float64           # per unit of stimulus
        slope_error=null  : float64    # its standard error
        slope_bound=null  : float64    # of a step: the slope is steeper (95 percent)
        lapse_low=null  : float64      # distance of the curve's lower end from 0
        lapse_low_error=null  : float64  # null: none, or a lapse of 0
        lapse_high=null : float64      # distance of the curve's upper end from 1
        lapse_high_error=null : float64  # null: none, or a lapse of 0
        """

    class Choice(dj.Part):
        definition = """
        # choices at one strength of a stimulus, whatever else differs between the trials
        -> master
        -> Psychometric.Fit
        strength_number : int32     # ascending with the strength
        ---
        strength        : float64   # signed; of more than 32, the mean of neighbouring ones
        n_plus          : float64   # choices of +; a trial without choice counts half
        n_strength_trials : int32   # trials
        fraction_plus   : float64   # the ratio of both
        fraction_low    : float64   # Wilson's interval of 95 percent around it, lower end
        fraction_high   : float64   # and upper end
        """

    @staticmethod
    def is_for_task(task: Mapping[str, Any]) -> bool:
        """Return whether networks of a task, by its row, are analysed."""
        with only_allowed_imports():
            return _has_signed_stimuli(str(task["task_class"]), task.get("params"))

    @property
    def all_keys(self) -> Query:
        """Finished networks of tasks with choices by signed stimuli."""
        return validations() & networks_with_signed_stimuli().proj()

    def draw(self, key: dict[str, Any]) -> dict[str, Figure]:
        """Measure the choices of one network again, with the same noise, and draw them."""
        return {"curves_figure": models.plot_psychometrics(self._measure(key))}

    def _measure(self, key: dict[str, Any]) -> models.PsychometricCurves:
        rnn, task = fetch_network(key)
        params = (ValidationParams & key).fetch1()
        settings = vars(ValidationParams.build(params))
        return models.get_psychometrics(rnn, task, **settings, device=current_device())

    def make(self, key: dict[str, Any]) -> None:
        """Measure and fit the choices of one network."""
        result = self._measure(key)
        drawn = {"curves_figure": models.plot_psychometrics(result)}
        self.insert1(
            {
                **key,
                "coherences": result.coherences,
                "fraction_right": result.fraction_right,
                "grid_mse": result.mse,
                **described(type(self), key, drawn),
            }
        )
        curves = {
            which: {**key, "context": which[0], "coherence": which[1]} for which in result.fits
        }
        self.Fit.insert(
            {**curves[which], **_fit_columns(fit)} for which, fit in result.fits.items()
        )
        self.Choice.insert(
            {**curves[which], "strength_number": number, **row}
            for which, points in result.points.items()
            for number, row in enumerate(_choice_rows(points))
        )


def _fit_columns(fit: models.PsychometricFit) -> dict[str, Any]:
    values = vars(fit) | {"fit_status": fit.status, "converged": fit.ok}
    del values["status"]
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in values.items()
    }


def _choice_rows(points: models.ChoicePoints) -> list[dict[str, Any]]:
    columns_of_points = {
        "strength": points.stimulus,
        "n_plus": points.n_plus,
        "n_strength_trials": points.n_trials,
        "fraction_plus": points.fraction,
        "fraction_low": points.interval[0],
        "fraction_high": points.interval[1],
    }
    return [
        dict(zip(columns_of_points, row, strict=True))
        for row in zip(*(values.tolist() for values in columns_of_points.values()), strict=True)
    ]
