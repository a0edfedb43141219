"""Embeddings of compared networks: where each is, its class, and what both go with."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import datajoint as dj

import models
from models.comparison.settings import EmbeddingSettings

from ..database import schemas
from ..database.types import Query
from .comparisons import Comparison, ComparisonMember
from .network_pairs import PairBlock, distance_matrix
from .one_row import one_key
from .parameter_sets import PARAMETER_TABLES
from .parameters import columns, stored
from .performance import VALIDATION_SEED
from .rows import Row
from .settings import CheckedSettings, prefixed
from .sweeps import SweepPoint
from .training import Training
from .training_params import TrainingParams

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@schemas.dynamics
class EmbeddingParams(CheckedSettings):
    config = EmbeddingSettings
    renamed = prefixed(config, "embedding")

    definition = f"""
    # how networks are embedded by their distances
    embedding_name : varchar(64)  # readable name
    ---
    {columns(config, (), renamed)}
    """

    contents = (
        {"embedding_name": "procrustes", **stored(config(), (), renamed)},
        {
            "embedding_name": "output",
            **stored(config(distance="output_distance"), (), renamed),
        },
    )


@schemas.dynamics
class Embedding(dj.Computed):
    definition = """
    # networks of a comparison where they are as far apart as their distances say
    -> Comparison.Entry
    -> EmbeddingParams
    ---
    embedding_status : varchar(16)   # embedded, few_networks, no_distances or alike (docs)
    embedding_reason : varchar(255)  # why there is none; empty: there is
    n_embedded       : int32         # networks that have all distances to each other
    n_without        : int32         # networks that lack one, and are left out
    embedding_stress=null : float64  # stress-1: 0 where the dimensions hold all distances
    n_classes=null        : int32    # with the largest mean silhouette
    class_silhouette=null : float64  # that mean, -1 to 1
    class_silhouette_chance=null : float64  # with as many classes of permuted coordinates
    class_silhouette_p=null      : float64  # share of permutations with no smaller silhouette
    """

    class ByParameter(dj.Part):
        definition = """
        # whether networks with the same value of a parameter are closer than chance
        -> master
        parameter : varchar(128)  # network_name, training.lr, ... where networks differ in it
        ---
        parameter_status : varchar(16)  # compared, one_value or all_different
        parameter_groups : int32        # values, or groups of numbers that are about as large
        distance_explained=null : float64         # share of squared distances between groups
        distance_explained_chance=null : float64  # mean over permutations of the networks
        distance_explained_p=null      : float64  # share of permutations with no smaller value
        same_neighbour=null        : float64      # share whose nearest network has the same value
        same_neighbour_chance=null : float64      # mean over permutations
        same_neighbour_p=null      : float64      # share of permutations with no smaller value
        class_agreement=null       : float64      # adjusted Rand index with the classes
        class_agreement_p=null     : float64      # share of permutations with no smaller value
        """

    Point: type[EmbeddingPoint]

    @staticmethod
    def is_for_task(task: Row) -> bool:
        """Return whether a task has rows at once: it does where its networks are compared."""
        return False

    @property
    def key_source(self) -> Query:
        """The newest entry of each comparison all of whose pairs are computed."""
        missing = (Comparison.Block - PairBlock.proj()).proj()
        entries = Comparison.Entry.proj()
        later = Comparison.Entry.proj(later_entry="entry")
        newest = entries - (entries * later & "later_entry > entry").proj()
        complete = newest - (dj.U("task_name", "comparison_name") & missing)
        return complete.proj() * EmbeddingParams.proj()

    def make(self, key: dict[str, Any]) -> None:
        """Embed the networks of one comparison."""
        networks, found, _ = self._analyse(key)
        k = found.n_classes
        self.insert1(
            {
                **key,
                "embedding_status": found.status,
                "embedding_reason": found.reason,
                "n_embedded": len(found.networks),
                "n_without": len(networks) - len(found.networks),
                "embedding_stress": found.stress,
                "n_classes": k or None,
                "class_silhouette": found.silhouettes.get(k),
                "class_silhouette_chance": found.chance,
                "class_silhouette_p": found.class_p,
            }
        )
        self.ByParameter.insert({**key, **_parameter_row(one)} for one in found.parameters)
        comparison = ComparisonMember & {"comparison_name": key["comparison_name"]}
        members = comparison.to_arrays("member", order_by="member").tolist()
        EmbeddingPoint.insert({**key, **row} for row in _point_rows(networks, members, found))

    def plot(self, colour: str | None = None) -> Figure:
        """Draw the one row that this query selects: the embedding, and the sorted distances.

        Parameters
        ----------
        colour : str, optional
            Parameter whose values the points are coloured by, as in `Embedding.ByParameter`; the
            one that explains most beyond chance by default.
        """
        key = one_key(self)
        _, found, parameters = self._analyse(key)
        settings = EmbeddingParams.build((EmbeddingParams & key).fetch1())
        return models.plot_embedding(found, parameters, colour, settings.distance)

    def _analyse(
        self, key: dict[str, Any]
    ) -> tuple[list[Row], models.NetworkEmbedding, dict[str, list[Any]]]:
        settings = EmbeddingParams.build((EmbeddingParams & key).fetch1())
        networks, distances = distance_matrix(key["comparison_name"], settings.distance)
        parameters = differing_parameters(networks)
        found = models.embed_networks(
            distances, settings, parameters=parameters, seed=VALIDATION_SEED
        )
        return networks, found, parameters


# Not a part: a network that is deleted takes its point with it, and the embedding stays.
@schemas.dynamics
class EmbeddingPoint(dj.Manual):
    filled_by_workers = True

    definition = """
    # where a network is in an embedding
    -> Embedding
    -> ComparisonMember
    ---
    embedding_x=null : float64  # first coordinate; null: all networks are the same
    embedding_y=null : float64  # second
    embedding_coordinates=null : <blob>  # all of them
    embedding_class=null : int32    # 0 is the largest
    neighbour_member   : int32    # nearest of the other networks, by its number in ComparisonMember
    neighbour_distance : float64  # to it
    """


Embedding.Point = EmbeddingPoint


def _point_rows(
    networks: list[Row], members: list[int], found: models.NetworkEmbedding
) -> list[Row]:
    rows = []
    for i, place in enumerate(found.networks.tolist()):
        nearest = int(found.neighbours[i])
        row: Row = {
            **networks[place],
            "neighbour_member": members[int(found.networks[nearest])],
            "neighbour_distance": float(found.distances[i, nearest]),
        }
        if len(found.coordinates):
            row |= {
                "embedding_x": float(found.coordinates[i, 0]),
                "embedding_y": float(found.coordinates[i, 1]),
                "embedding_coordinates": found.coordinates[i],
                "embedding_class": int(found.labels[i]),
            }
        rows.append(row)
    return rows


def _parameter_row(one: models.RelatedParameter) -> Row:
    return {
        "parameter": one.name,
        "parameter_status": one.status,
        "parameter_groups": one.n_groups,
        "distance_explained": one.explained,
        "distance_explained_chance": one.explained_chance,
        "distance_explained_p": one.explained_p,
        "same_neighbour": one.same_neighbour,
        "same_neighbour_chance": one.same_neighbour_chance,
        "same_neighbour_p": one.same_neighbour_p,
        "class_agreement": one.class_agreement,
        "class_agreement_p": one.class_agreement_p,
    }


def differing_parameters(networks: list[Row]) -> dict[str, list[Any]]:
    """Return what networks differ in: parameter -> value of each network.

    Names of parameter sets, fields of these (``network.n_units``, ``training.lr``), weights of
    penalties (``training.penalties.metabolic``), and axes of sweeps by their own names where they
    are none of these.

    Parameters
    ----------
    networks : list of dict
        Keys of `Training.Network`, of one task.
    """
    if not networks:
        return {}  # all were deleted since
    found: dict[str, list[Any]] = {
        name: [row[name] for row in networks] for name in ("network_name", "training_name")
    }
    for which in ("network", "training"):
        name = f"{which}_name"
        keys = [{name: value} for value in sorted(set(found[name]))]
        rows = {row[name]: row for row in (PARAMETER_TABLES[which] & keys).to_dicts()}
        fields = [c for c in next(iter(rows.values())) if c not in (name, f"{which}_hash")]
        for column in fields:
            found[f"{which}.{column}"] = [_plain(rows[row[name]][column]) for row in networks]
    penalties: dict[str, dict[str, float]] = defaultdict(dict)
    trainings = [{"training_name": name} for name in sorted(set(found["training_name"]))]
    for row in (TrainingParams.Penalty & trainings).to_dicts():
        penalties[row["penalty"]][row["training_name"]] = float(row["weight"])
    for penalty, weights in sorted(penalties.items()):
        own = [weights.get(row["training_name"], 0.0) for row in networks]
        found[f"training.penalties.{penalty}"] = own
    for axis, values in _sweep_axes(networks).items():
        found.setdefault(axis, values)
    return {name: values for name, values in found.items() if len(set(values)) > 1}


def _sweep_axes(networks: list[Row]) -> dict[str, list[Any]]:
    """Return axes of sweeps that all of these networks have a value of."""
    cohort = [name for name in Training.Network.primary_key if name != "seed"]
    cohorts = {tuple(row[name] for name in cohort): row for row in networks}
    wanted = [{name: row[name] for name in cohort} for row in cohorts.values()]
    points = (SweepPoint & wanted).to_dicts()
    known: dict[str, dict[tuple[Any, ...], Any]] = defaultdict(dict)
    for row in points:
        value = row["value_text"] if row["value"] is None else float(row["value"])
        known[row["axis"]][tuple(row[name] for name in cohort)] = value
    keys = [tuple(row[name] for name in cohort) for row in networks]
    return {
        axis: [values[key] for key in keys]
        for axis, values in sorted(known.items())
        if all(key in values for key in keys)
    }


def _plain(value: Any) -> Any:
    """Return a value as it is compared: a number, or a text."""
    if value is None or isinstance(value, str | int | float):
        return value
    return json.dumps(value, sort_keys=True, default=str)
