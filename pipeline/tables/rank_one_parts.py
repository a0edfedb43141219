"""Rank-one parts of networks of low rank: what each reads and writes, and its drive in trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import datajoint as dj
import numpy as np

import models
from models.populations.settings import RankOneSettings

from ..database import schemas
from ..database.types import Query
from .left_out import Analysis
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
class RankOneParams(CheckedSettings):
    config = RankOneSettings
    renamed = prefixed(config, "rank_one")

    definition = f"""
    # how recurrent weights are divided into rank-one parts
    rank_one_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    contents = ({"rank_one_name": "default", **stored(config(), (), renamed)},)


@schemas.dynamics
class RankOneParts(Analysis):
    definition = """
    # recurrent weights of a network whose rank is limited, as a sum of rank-one parts m n^T / N
    -> Training.Network
    -> RankOneParams
    ---
    rank_one_status : varchar(16)   # analysed, silent, constant, no_recurrence or not_finite
    rank_one_reason : varchar(255)  # why there are no drives, or none that vary; empty: there are
    exact_rank      : int32         # of W_rec, to rounding in float32
    drive_explained=null : float64  # share of the recurrent input's variance that the parts have
    """

    class Drive(dj.Part):
        definition = """
        # drive through one part, in the order of their singular values
        -> master
        part_number : int32  # 0: the largest
        ---
        part_singular_value   : float64  # |m| |n| / N
        drive_share=null      : float64  # of the variance of the recurrent input; null: it has none
        drive_between=null    : float64  # share of kappa's variance between trials at a step
        drive_mean            : float64  # of kappa = n . rates / N, over trials and steps
        drive_std             : float64  # its standard deviation
        part_left             : <blob>   # m, where its input points (N,)
        part_right            : <blob>   # n, what it reads (N,)
        drive                 : <blob>   # kappa in each trial (B, T)
        """

    class Overlap(dj.Part):
        definition = """
        # how far what one vector writes is read by another
        -> master
        reader        : enum('right', 'output')  # n of a part, or a row of W_out
        reader_number : int32
        writer        : enum('left', 'input')    # m of a part, or a column of W_inp
        writer_number : int32
        ---
        overlap             : float64  # scalar product; of right: over N
        overlap_cosine=null : float64  # of the angle between the two; null: one is 0
        """

    @property
    def all_keys(self) -> Query:
        """Finished networks whose rank is limited, with every way of dividing."""
        limited = (NetworkParams & "max_rank > 0").proj()
        return (finished_networks() & limited).proj() * RankOneParams.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Divide the recurrent weights of one network."""
        found = self._analyse(key)
        self.insert1(
            {
                **key,
                "rank_one_status": found.status,
                "rank_one_reason": found.reason,
                "exact_rank": found.rank,
                "drive_explained": found.explained,
            }
        )
        self.Drive.insert(
            {
                **key,
                "part_number": number,
                "part_singular_value": part.singular_value,
                "drive_share": part.share,
                "drive_between": part.between_trials,
                "drive_mean": float(part.drive.mean()),
                "drive_std": float(part.drive.std()),
                "part_left": part.left,
                "part_right": part.right,
                "drive": part.drive,
            }
            for number, part in enumerate(found.parts)
        )
        self.Overlap.insert(
            {
                **key,
                "reader": one.reader,
                "reader_number": one.reader_number,
                "writer": one.writer,
                "writer_number": one.writer_number,
                "overlap": one.value,
                "overlap_cosine": one.cosine,
            }
            for one in found.overlaps
        )

    def plot(self) -> Figure:
        """Draw the drives and overlaps of the one network that this query selects."""
        return models.plot_rank_one_parts(self._analyse(one_key(self)))

    def _analyse(self, key: dict[str, Any]) -> models.RankOneAnalysis:
        rnn, task = fetch_network(key)
        settings = RankOneParams.build((RankOneParams & key).fetch1())
        return models.get_rank_one_parts(rnn, task, settings, seed=VALIDATION_SEED)


def rank_one_from_rows(tables: Mapping[str, Sequence[Row]]) -> models.RankOneAnalysis:
    """Return rank-one parts as their rows have them, without vectors, for their figure.

    Parameters
    ----------
    tables : mapping of str to sequence of dict
        "RankOneParts", "RankOneParts.Drive" and "RankOneParts.Overlap" -> rows of one key, in the
        order of their keys.
    """
    (row,) = tables["RankOneParts"]
    none = np.empty(0)
    parts = [
        models.RankOnePart(
            none, none, one["part_singular_value"], np.asarray(one["drive"]), one["drive_share"],
            one["drive_between"],
        )
        for one in tables["RankOneParts.Drive"]
    ]  # fmt: skip
    first = {"right": 0, "left": 0, "output": 1, "input": 1}  # parts before channels
    overlaps = [
        models.VectorOverlap(
            one["reader"], one["reader_number"], one["writer"], one["writer_number"],
            one["overlap"], one["overlap_cosine"],
        )
        for one in tables["RankOneParts.Overlap"]
    ]  # fmt: skip
    overlaps.sort(
        key=lambda o: (first[o.reader], o.reader_number, first[o.writer], o.writer_number)
    )
    return models.RankOneAnalysis(
        row["rank_one_status"], row["rank_one_reason"], row["exact_rank"], parts, overlaps
    )
