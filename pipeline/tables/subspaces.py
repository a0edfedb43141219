"""Regression subspaces of trained networks, angles between them, and decoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

import models
from models.populations.settings import SubspaceSettings

from ..database import schemas
from ..database.types import Query
from .fixed_points import finite_or_null
from .left_out import Analysis
from .line_attractors import LineAttractor
from .network import NetworkParams
from .one_row import one_key
from .parameters import columns, stored
from .performance import VALIDATION_SEED, fetch_network, finished_networks
from .rows import Row
from .settings import CheckedSettings, prefixed
from .training import Training  # noqa: F401  (the definition names it)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@schemas.dynamics
class SubspaceParams(CheckedSettings):
    config = SubspaceSettings
    renamed = prefixed(config, "subspace")

    definition = f"""
    # how regression subspaces and decoders are made
    subspace_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    contents = ({"subspace_name": "default", **stored(config(), (), renamed)},)


@schemas.dynamics
class Subspaces(Analysis):
    definition = """
    # directions in which the variables of the trials move the rates (regression, Mante et al. 2013)
    -> Training.Network
    -> SubspaceParams
    ---
    subspace_status : varchar(16)   # analysed, silent, constant, few_trials, no_variable (docs)
    subspace_reason : varchar(255)  # why there are no numbers; empty: there are
    subspace_trials : int32         # trials run
    subspace_components=null       : int32    # principal components that are kept
    subspace_components_share=null : float64  # share of the variance of conditions in them
    rate_scale=null : <blob>        # standard deviation of each unit's rate (N,); 0: left out
    """

    class Regressor(dj.Part):
        definition = """
        # variable, and its directions
        -> master
        regressor : varchar(64)  # name of the variable
        ---
        regressor_status      : varchar(16)  # fitted, one_value, collinear, ... (docs)
        regressor_dimension   : int32        # of its subspace; 0: there is none
        peak_step=null        : int32        # step at which its coefficients are longest
        peak_norm=null        : float64      # their length then, in standard deviations of rates
        unique_share=null     : float64      # share of the variance that it alone explains
        decoder_kind          : enum('classes', 'number')  # score: balanced accuracy or R^2
        decoder_status        : varchar(16)  # trained, few_trials, no_difference, or as above
        coefficient_norms=null : <blob>      # length of its coefficients at each step (T,)
        regressor_axes=null   : <blob>       # orthonormal basis at the peak (d, N)
        orthogonal_axes=null  : <blob>       # without what lies in those before it (d, N)
        """

    class Angle(dj.Part):
        definition = """
        # principal angles between two subspaces, in degrees
        -> master
        angle_kind  : enum('variables', 'periods', 'input', 'output')
        first_axes  : varchar(128)  # variable; of periods: variable, period
        second_axes : varchar(128)  # other variable, period, or channel of W_inp or W_out
        ---
        smallest_angle : float64    # 0: they share a direction
        largest_angle  : float64    # the same where one of both is a line
        chance_angle   : float64    # 5 percent of random subspaces are closer, by the smallest
        """

    class Decoder(dj.Part):
        definition = """
        # decoder of a variable, trained in one bin of the trial and tested in one
        -> Subspaces.Regressor
        train_bin : int32  # from 0
        test_bin  : int32  # from 0
        ---
        train_on  : int32  # first step of the bin; it ends where the next begins
        test_on   : int32  # the same of the bin of the test
        decoder_score           : float64  # balanced accuracy or R^2, cross-validated
        decoder_chance=null     : float64  # mean with permuted trials; null: other bins
        decoder_chance_95=null  : float64  # 95 percent of permutations are below
        decoder_p=null          : float64  # share of permutations with no smaller score
        """

    @property
    def all_keys(self) -> Query:
        """Finished networks, with every way of finding subspaces."""
        return finished_networks().proj() * SubspaceParams.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Find the subspaces of one network."""
        found = self._analyse(key)
        self.insert1(
            {
                **key,
                "subspace_status": found.status,
                "subspace_reason": found.reason,
                "subspace_trials": found.n_trials,
                "subspace_components": found.n_components,
                "subspace_components_share": found.components_share,
                "rate_scale": found.scale if found.scale.size else None,
            }
        )
        self.Regressor.insert({**key, **row} for row in _regressor_rows(found))
        self.Angle.insert(
            {
                **key,
                "angle_kind": angle.kind,
                "first_axes": angle.first,
                "second_axes": angle.second,
                "smallest_angle": angle.smallest,
                "largest_angle": angle.largest,
                "chance_angle": angle.chance,
            }
            for angle in found.angles
        )
        self.Decoder.insert(
            {**key, **row} for decoder in found.decoders for row in _decoder_rows(decoder)
        )

    def plot(self) -> Figure:
        """Draw the subspaces of the one row that this query selects."""
        return models.plot_subspaces(self._analyse(one_key(self)))

    def _analyse(self, key: dict[str, Any]) -> models.SubspaceAnalysis:
        rnn, task = fetch_network(key)
        settings = SubspaceParams.build((SubspaceParams & key).fetch1())
        return models.get_subspaces(rnn, task, settings, seed=VALIDATION_SEED)


def _regressor_rows(found: models.SubspaceAnalysis) -> Iterator[dict[str, Any]]:
    for one, decoder in zip(found.subspaces, found.decoders, strict=True):
        fitted = one.peak is not None
        yield {
            "regressor": one.name,
            "regressor_status": one.status,
            "regressor_dimension": len(one.axes),
            "peak_step": one.peak,
            "peak_norm": float(one.norms[one.peak]) if one.peak is not None else None,
            "unique_share": one.share,
            "decoder_kind": decoder.kind,
            "decoder_status": decoder.status,
            "coefficient_norms": one.norms if fitted else None,
            "regressor_axes": one.axes if fitted else None,
            "orthogonal_axes": one.orthogonal if len(one.orthogonal) else None,
        }


def _decoder_rows(decoder: models.Decoding) -> Iterator[dict[str, Any]]:
    for i, row in enumerate(decoder.scores):
        for j, score in enumerate(row):
            same = i == j
            yield {
                "regressor": decoder.name,
                "train_bin": i,
                "test_bin": j,
                "train_on": int(decoder.bins[i, 0]),
                "test_on": int(decoder.bins[j, 0]),
                "decoder_score": float(score),
                "decoder_chance": finite_or_null(decoder.chance[i]) if same else None,
                "decoder_chance_95": finite_or_null(decoder.chance_95[i]) if same else None,
                "decoder_p": finite_or_null(decoder.p[i]) if same else None,
            }


def subspaces_from_rows(tables: Mapping[str, Sequence[Row]]) -> models.SubspaceAnalysis:
    """Return subspaces as their rows have them, without axes, for their figure.

    Parameters
    ----------
    tables : mapping of str to sequence of dict
        "Subspaces", "Subspaces.Regressor", ... and "Task" -> rows of one key, in the order of
        their keys.
    """
    from models.populations.subspaces import SubspaceAngle

    (row,), (task,) = tables["Subspaces"], tables["Task"]
    nothing = np.empty((0, 0))
    subspaces, decoders = [], []
    for one in tables["Subspaces.Regressor"]:
        name, norms = one["regressor"], one["coefficient_norms"]
        subspaces.append(
            models.RegressionSubspace(
                name=name,
                status=one["regressor_status"],
                norms=np.empty(0) if norms is None else np.asarray(norms),
                peak=one["peak_step"],
                axes=nothing,
                orthogonal=nothing,
                share=one["unique_share"],
                by_period={},
            )
        )
        own = [r for r in tables["Subspaces.Decoder"] if r["regressor"] == name]
        same = [r for r in own if r["train_bin"] == r["test_bin"]]
        edges = [*(r["train_on"] for r in same), task["n_steps"]]
        chance, chance_95, p = (
            np.array([np.nan if r[column] is None else r[column] for r in same])
            for column in ("decoder_chance", "decoder_chance_95", "decoder_p")
        )
        decoders.append(
            models.Decoding(
                name=name,
                kind=one["decoder_kind"],
                status=one["decoder_status"],
                bins=np.column_stack([edges[:-1], edges[1:]]).astype(np.int64),
                scores=np.array([r["decoder_score"] for r in own]).reshape(len(same), len(same)),
                chance=chance,
                chance_95=chance_95,
                p=p,
            )
        )
    angles = [
        SubspaceAngle(
            *(one[name] for name in ("angle_kind", "first_axes", "second_axes")),
            *(one[f"{name}_angle"] for name in ("smallest", "largest", "chance")),
        )
        for one in tables["Subspaces.Angle"]
    ]
    return models.SubspaceAnalysis(
        row["subspace_status"], row["subspace_reason"], row["subspace_trials"],
        subspaces=subspaces, angles=angles, decoders=decoders,
    )  # fmt: skip


@schemas.dynamics
class SelectionAngle(Analysis):
    needs = (Subspaces, LineAttractor)

    definition = """
    # angles between regression subspaces and the selection vectors of line attractors
    -> Subspaces
    -> LineAttractor
    ---
    n_selection_angles : int32  # pairs of a variable and a context with an angle
    """

    class Pair(dj.Part):
        definition = """
        # variable and context
        -> master
        -> Subspaces.Regressor
        -> LineAttractor.Context
        ---
        selection_angle=null        : float64  # median along the line, degrees; null: not defined
        selection_chance_angle=null : float64  # 5 percent of random directions are closer
        """

    @property
    def all_keys(self) -> Query:
        """Networks with both, whose states are rates (form s)."""
        rates = (NetworkParams & {"equation_type": "s"}).proj()
        return Subspaces.proj() * LineAttractor.proj() & rates

    def make(self, key: dict[str, Any]) -> None:
        """Compare the axes of each variable with the selection vectors of each context."""
        scale = (Subspaces & key).fetch1("rate_scale")
        lines = (LineAttractor.Context & key).to_dicts()
        rows = []
        for one in (Subspaces.Regressor & key).to_dicts():
            for line in lines:
                angle, chance = None, None
                if one["regressor_axes"] is not None:
                    angle, chance = models.selection_angle(
                        one["regressor_axes"],
                        scale,
                        np.asarray(line["selection_vectors"]),
                        np.asarray(line["line_eigenvalues"])[:, 0],
                    )
                rows.append(
                    {
                        **key,
                        "regressor": one["regressor"],
                        "line_context": line["line_context"],
                        "selection_angle": angle,
                        "selection_chance_angle": chance,
                    }
                )
        known = sum(row["selection_angle"] is not None for row in rows)
        self.insert1({**key, "n_selection_angles": known})
        self.Pair.insert(rows)
