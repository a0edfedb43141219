"""Lyapunov exponents of trained networks, and the basins of their attractors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

import models
from models.populations.settings import BasinSettings, LyapunovSettings

from ..database import schemas
from ..database.types import Query
from .fixed_points import FixedPoints
from .left_out import Analysis
from .one_row import one_key
from .parameters import columns, stored
from .performance import VALIDATION_SEED, fetch_network, finished_networks, trials_to_draw
from .rows import Row
from .settings import CheckedSettings, prefixed
from .task import Task
from .training import Training  # noqa: F401  (the definition names it)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@schemas.dynamics
class LyapunovParams(CheckedSettings):
    config = LyapunovSettings
    renamed = prefixed(config, "lyapunov")

    definition = f"""
    # how Lyapunov exponents are measured
    lyapunov_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    contents = ({"lyapunov_name": "default", **stored(config(), (), renamed)},)


@schemas.dynamics
class Lyapunov(Analysis):
    definition = """
    # largest Lyapunov exponents of a network, noise-free, per tau
    -> Training.Network
    -> LyapunovParams
    ---
    lyapunov_status : varchar(16)      # analysed or not_finite
    lyapunov_reason : varchar(255)     # why there are no numbers; empty: there are
    trial_exponent=null     : float64  # largest over the length of a trial, mean over trials
    trial_exponent_std=null : float64  # standard deviation over trials
    trial_exponents=null    : <blob>   # of each trial, descending (B, n_exponents)
    """

    class AtInput(dj.Part):
        definition = """
        # at one constant input
        -> master
        -> Task.Input
        ---
        motion : enum('steady', 'neutral', 'chaotic', 'growing')  # of the start that has most
        largest_exponent=null : float64   # of all starts; null: states grow without end, or -inf
        exponent_spread=null  : float64   # standard deviation over starts
        exponents=null        : <blob>    # of each start that stays finite (S, n_exponents)
        """

    @property
    def all_keys(self) -> Query:
        """Finished networks, with every way of measuring."""
        return finished_networks().proj() * LyapunovParams.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Measure the exponents of one network."""
        found = self._analyse(key)
        first = found.in_trials[:, 0] if found.in_trials.size else np.empty(0)
        known = bool(first.size and np.isfinite(first).all())
        self.insert1(
            {
                **key,
                "lyapunov_status": found.status,
                "lyapunov_reason": found.reason,
                "trial_exponent": float(first.mean()) if known else None,
                "trial_exponent_std": float(first.std()) if known else None,
                "trial_exponents": found.in_trials if known else None,
            }
        )
        self.AtInput.insert(
            {**key, "input_name": name, **_input_row(one)} for name, one in found.at_inputs.items()
        )

    def plot(self) -> Figure:
        """Draw the exponents of the one network that this query selects."""
        return models.plot_lyapunov(self._analyse(one_key(self)))

    def _analyse(self, key: dict[str, Any]) -> models.LyapunovAnalysis:
        rnn, task = fetch_network(key)
        settings = LyapunovParams.build((LyapunovParams & key).fetch1())
        rows = (Task.Input & key).to_dicts(order_by="input_name")
        inputs = {row["input_name"]: np.asarray(row["input_vector"]) for row in rows}
        return models.get_lyapunov(rnn, task, settings, inputs=inputs, seed=VALIDATION_SEED)


def _input_row(one: models.InputExponents) -> dict[str, Any]:
    finite = one.exponents[~np.isnan(one.exponents).any(axis=1)]
    return {
        "motion": one.kind,
        "largest_exponent": one.largest,
        "exponent_spread": one.spread,
        "exponents": finite if finite.size else None,
    }


def lyapunov_from_rows(tables: Mapping[str, Sequence[Row]]) -> models.LyapunovAnalysis:
    """Return exponents as their rows have them, for their figure.

    Parameters
    ----------
    tables : mapping of str to sequence of dict
        "Lyapunov" and "Lyapunov.AtInput" -> rows of one key.
    """
    (row,) = tables["Lyapunov"]
    nothing = np.empty((0, 0))

    def array(value: Any) -> Any:
        return nothing if value is None else np.asarray(value)

    return models.LyapunovAnalysis(
        row["lyapunov_status"],
        row["lyapunov_reason"],
        array(row["trial_exponents"]),
        {
            one["input_name"]: models.InputExponents(
                np.empty(0), array(one["exponents"]), one["motion"]
            )
            for one in tables["Lyapunov.AtInput"]
        },
    )


@schemas.dynamics
class BasinParams(CheckedSettings):
    config = BasinSettings
    renamed = prefixed(config, "basin")

    definition = f"""
    # how basins of attraction are sampled
    basin_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    contents = ({"basin_name": "default", **stored(config(), (), renamed)},)


@schemas.dynamics
class Basins(Analysis):
    needs = (FixedPoints,)

    definition = """
    # where starts around the states of trials end, at a constant input
    -> FixedPoints
    -> BasinParams
    ---
    basin_status : varchar(16)   # analysed or no_attractor
    basin_reason : varchar(255)  # why there are no shares; empty: there are
    n_attractors : int32         # stable points of the set
    elsewhere=null : float64     # share of starts that ends at none of them; null: there is none
    """

    class Attractor(dj.Part):
        definition = """
        # stable point of the set
        -> master
        -> FixedPoints.Point
        ---
        basin_share      : float64  # share of starts that ends there
        basin_share_low  : float64  # interval of 95 percent around it, lower end
        basin_share_high : float64  # and upper end
        """

    @property
    def all_keys(self) -> Query:
        """Sets of fixed points, with every way of sampling."""
        return FixedPoints.proj() * BasinParams.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Sample the basins of one set."""
        found, _, numbers = self._analyse(key)
        self.insert1(
            {
                **key,
                "basin_status": found.status,
                "basin_reason": found.reason,
                "n_attractors": len(numbers),
                "elsewhere": found.elsewhere,
            }
        )
        self.Attractor.insert(
            {
                **key,
                "point": number,
                "basin_share": float(share),
                "basin_share_low": float(low),
                "basin_share_high": float(high),
            }
            for number, share, (low, high) in zip(
                numbers, found.shares, found.intervals, strict=True
            )
        )

    def plot(self) -> Figure:
        """Draw the basins of the one row that this query selects, over the flow."""
        found, (rnn, u), _ = self._analyse(one_key(self))
        return models.plot_basins(rnn, u, found)

    def _analyse(
        self, key: dict[str, Any]
    ) -> tuple[models.BasinShares, tuple[models.RNNNumpy, Any], list[int]]:
        rnn, task = fetch_network(key)
        settings = BasinParams.build((BasinParams & key).fetch1())
        points = (FixedPoints.Point & key & {"stability": "stable"}).to_dicts(order_by="point")
        attractors = np.array([np.asarray(row["state"]) for row in points])
        u = np.asarray((Task.Input & key).fetch1("input_vector"))
        states = trials_to_draw(rnn, task)["states"].transpose("unit", "time", "trial").values
        starts = models.basin_starts(states, settings, VALIDATION_SEED)
        found = models.get_basins(rnn, u, attractors, starts, settings)
        return found, (rnn, u), [int(row["point"]) for row in points]


def basins_from_rows(tables: Mapping[str, Sequence[Row]]) -> dict[str, models.BasinShares]:
    """Return the basins at each input as their rows have them, for the figure of their shares.

    States are not in these rows: starts and attractors have no units here.

    Parameters
    ----------
    tables : mapping of str to sequence of dict
        "Basins", "Basins.Attractor" and "BasinParams" -> rows of one network, search and setting.
    """
    (settings,) = tables["BasinParams"]
    n_starts = settings[BasinParams.renamed["n_starts"]]
    found = {}
    for row in tables["Basins"]:
        name = row["input_name"]
        shares = [r["basin_share"] for r in tables["Basins.Attractor"] if r["input_name"] == name]
        counts = np.round(np.array(shares) * n_starts).astype(np.int64)
        which = np.repeat([*range(len(shares)), -1], [*counts, max(n_starts - counts.sum(), 0)])
        starts = np.empty((n_starts, 0))
        found[name] = models.BasinShares(
            row["basin_status"], row["basin_reason"], np.empty((len(shares), 0)), starts, starts,
            which.astype(np.int64),
        )  # fmt: skip
    return found
