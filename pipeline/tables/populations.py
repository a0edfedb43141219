"""Populations of trained networks: what single units and all of them do, and the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import datajoint as dj

import models
from models.populations.settings import PopulationSettings

from ..database import schemas
from ..database.types import Query
from .left_out import Analysis
from .network import NetworkParams
from .one_row import one_key
from .parameters import columns, stored
from .performance import VALIDATION_SEED, fetch_network, finished_networks
from .population_rows import activity_row, part_rows
from .settings import CheckedSettings, prefixed
from .training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@schemas.dynamics
class PopulationParams(CheckedSettings):
    config = PopulationSettings
    renamed = prefixed(config, "population")

    definition = f"""
    # how populations are described
    population_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    contents = ({"population_name": "default", **stored(config(), (), renamed)},)


@schemas.dynamics
class Population(Analysis):
    definition = """
    # what the units of a network do in its task, and its recurrent weights
    -> Training.Network
    -> PopulationParams
    ---
    population_status  : varchar(16)   # analysed, silent, constant or not_finite (docs)
    population_reason  : varchar(255)  # why there are no numbers; empty: there are
    population_trials  : int32         # trials run
    n_active=null      : int32         # units that are not silent
    n_silent=null      : int32         # units whose |r| stays below the threshold
    w_rec_radius       : float64       # largest modulus of the eigenvalues of W_rec
    w_rec_abscissa     : float64       # largest real part of them
    w_rec_rank=null    : float64       # effective rank of W_rec; null: all weights are 0
    w_rec_change=null  : float64       # norm of its change over that at the start; null: not known
    w_rec_change_rank=null : float64   # effective rank of the change; null: not known, or none
    obeys_dale         : bool          # each unit excites or inhibits, and there are both
    w_rec_singular_values    : <blob>  # of W_rec, descending (N,)
    w_rec_change_singular_values=null : <blob>  # of its change since the start (N,)
    """

    class Unit(dj.Part):
        definition = """
        # one unit, over all trials and steps
        -> master
        unit : int32  # number
        ---
        is_silent            : bool         # |r| stays below the threshold in all trials
        cell_type=null       : enum('excitatory', 'inhibitory')  # null: mixed, or sends nothing
        unit_mean_rate       : float64      # mean of r
        unit_largest_rate    : float64      # largest |r|
        unit_participation   : float64      # quantile of |r| plus its standard deviation
        unit_energy          : float64      # mean of r^2
        within_trial_std     : float64      # over the steps of a trial, mean over trials
        between_trials_std   : float64      # over trials, of their mean
        """

    class Group(dj.Part):
        definition = """
        # all units, the active ones, those that excite and those that inhibit
        -> master
        unit_group : varchar(16)  # all, active, excitatory or inhibitory
        ---
        group_units               : int32    # number of units
        group_mean_rate=null      : float64  # mean of r
        group_energy=null         : float64  # mean of r^2
        sigma_log_rate=null       : float64  # standard deviation of ln(mean |r|), active units
        energy_gini=null          : float64  # 0: all units have the same energy
        energy_top_share=null     : float64  # share of the energy in the tenth that has most
        group_participation_ratio=null : float64  # (sum of variances)^2 / sum of squares, over PCs
        group_components_90=null  : int32    # principal components with 90 percent of the variance
        weight_to_excitatory=null : float64  # mean recurrent weight from these; null: not Dale's
        weight_to_inhibitory=null : float64  # and to those that inhibit
        """

    class Period(dj.Part):
        definition = """
        # dimensions of the rates of all units in a period of the trials
        -> master
        period_number : int32  # 0: the whole trial, 1, 2, ... in the order of time
        ---
        period_name         : varchar(32)    # whole, period 1, ...
        period_on           : float64        # its first step, mean over trials
        period_off          : float64        # the step after its last, mean over trials
        period_inputs       : varchar(1000)  # channels that are not 0 in it
        period_asked        : float64        # share of its steps that count in the scores
        dimension_status    : varchar(16)    # measured, few_samples or no_variance
        participation_ratio=null : float64   # (sum of variances)^2 / sum of squares, over PCs
        components_80=null  : int32          # principal components with 80 percent of the variance
        components_90=null  : int32          # with 90
        components_95=null  : int32          # with 95
        cumulative_variance=null : <blob>    # share in the first 1, 2, ... components
        """

    class Variable(dj.Part):
        definition = """
        # variable in which the trials differ
        -> master
        variable_name : varchar(64)  # field of the conditions, choice, or target of an output
        ---
        variable_status : varchar(16)  # usable, one_value or too_many_values
        variable_groups : int32        # groups of trials that are told apart
        """

    class Coding(dj.Part):
        definition = """
        # selectivity to a variable in a period, over all units and over the active ones
        -> Population.Variable
        -> Population.Period
        ---
        n_differing             : int32    # units whose mean rate differs between trials
        mean_eta_all=null       : float64  # mean eta squared over these; null: there are none
        mean_chance_all=null    : float64  # the same where trials are permuted
        selective_all=null      : float64  # share of these with p up to 0.05
        n_differing_active      : int32    # active units whose mean rate differs
        mean_eta_active=null    : float64  # mean eta squared over these
        mean_chance_active=null : float64  # the same where trials are permuted
        selective_active=null   : float64  # share of these with p up to 0.05
        """

    class Selectivity(dj.Part):
        definition = """
        # selectivity of one unit to a variable of the trials
        -> Population.Unit
        -> Population.Variable
        ---
        eta_squared=null : float64  # share of variance between trials; null: it does not differ
        eta_chance=null  : float64  # mean over permutations of the trials
        eta_p=null       : float64  # share of permutations with no smaller value
        eta_best=null    : float64  # largest in any one period
        best_period=null : int32    # number of that period
        """

    @property
    def all_keys(self) -> Query:
        """Finished networks, with every way of describing them."""
        return finished_networks().proj() * PopulationParams.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Describe the population of one network."""
        found = self._analyse(key)
        weights = found.weights
        assert weights is not None  # as of every network
        self.insert1(
            {
                **key,
                **activity_row(found),
                "w_rec_radius": weights.spectral_radius,
                "w_rec_abscissa": weights.spectral_abscissa,
                "w_rec_rank": weights.effective_rank,
                "w_rec_change": weights.change_norm,
                "w_rec_change_rank": weights.change_effective_rank,
                "obeys_dale": bool(weights.cell_types.any()),
                "w_rec_singular_values": weights.singular_values,
                "w_rec_change_singular_values": weights.change_singular_values,
            }
        )
        for part, rows in part_rows(found).items():
            getattr(self, part).insert({**key, **row} for row in rows)

    def plot(self) -> Figure:
        """Draw the population of the one row that this query selects."""
        return models.plot_population(self._analyse(one_key(self)))

    def _analyse(self, key: dict[str, Any]) -> models.PopulationAnalysis:
        rnn, task = fetch_network(key)
        return models.get_population(
            rnn,
            task,
            PopulationParams.build((PopulationParams & key).fetch1()),
            W_rec_start=_initial_weights(key, task),
            seed=VALIDATION_SEED,
        )


def _initial_weights(key: dict[str, Any], task: Any) -> Any:
    """Return the recurrent weights before training (N, N); None: trained elsewhere."""
    if (Training.Network & key).fetch1("status") == "imported":
        return None
    config = NetworkParams.build((NetworkParams & key).fetch1())
    return models.initial_connectivity(
        config, task.n_inputs, task.n_outputs, int(key["seed"])
    ).W_rec
