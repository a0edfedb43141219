"""Embeddings of networks by their distances: planted classes, and parameters that mean nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from models.comparison.embedding import embed_networks
from models.comparison.settings import EmbeddingSettings
from models.plots.embedding import plot_embedding
from tasks_lib import ParameterError

PLANTED = np.repeat([0, 1, 2], [8, 6, 4])
FEW = EmbeddingSettings(n_shuffles=99)


def planted(spread=0.1):
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 2.0]])
    points = centres[PLANTED] + spread * rng.normal(size=(len(PLANTED), 2))
    return points, squareform(pdist(points))


def test_planted_classes_are_found_and_go_with_their_parameter():
    points, distances = planted()
    shuffled = np.random.default_rng(1).permutation(PLANTED)
    parameters = {
        "training_name": [f"t{k}" for k in PLANTED],
        "seed": list(range(18)),
        "task_name": ["one"] * 18,
        "chance": [float(k) for k in shuffled],
    }
    found = embed_networks(distances, FEW, parameters=parameters)
    assert (found.status, found.n_classes) == ("embedded", 3)
    assert found.labels.tolist() == PLANTED.tolist()
    # Points in a plane are embedded as they are, but for a rotation.
    assert squareform(pdist(found.coordinates)) == pytest.approx(distances, abs=1e-9)
    assert found.stress == pytest.approx(0.0, abs=1e-9)
    assert found.silhouettes[3] > 0.9 > found.silhouettes[2]
    assert found.chance < found.silhouettes[3] - 0.1 and found.class_p == 0.01
    apart = np.where(np.eye(18, dtype=bool), np.inf, distances)
    assert found.neighbours.tolist() == apart.argmin(axis=1).tolist()
    related = {one.name: one for one in found.parameters}
    own = related["training_name"]
    assert (own.status, own.n_groups, own.same_neighbour) == ("compared", 3, 1.0)
    assert own.class_agreement == pytest.approx(1.0)
    assert own.explained_p == own.same_neighbour_p == own.class_agreement_p == 0.01
    # PERMANOVA in a plane is the share of variance between groups.
    means = np.stack([points[k == PLANTED].mean(axis=0) for k in range(3)])[PLANTED]
    share = ((means - points.mean(axis=0)) ** 2).sum() / ((points - points.mean(axis=0)) ** 2).sum()
    assert own.explained == pytest.approx(share)
    assert own.explained_chance == pytest.approx(2 / 17, abs=0.05)
    assert related["chance"].explained_p > 0.05 and related["chance"].class_agreement_p > 0.05
    assert related["seed"].status == "all_different" and related["seed"].explained is None
    assert related["task_name"].status == "one_value"


def test_a_number_with_many_values_is_compared_by_quantiles():
    rng = np.random.default_rng(2)
    value = rng.uniform(size=40)
    distances = squareform(pdist(value[:, None] + 0.01 * rng.normal(size=(40, 1))))
    (one,) = embed_networks(distances, FEW, parameters={"training.lr": value.tolist()}).parameters
    assert (one.n_groups, one.explained_p) == (4, 0.01) and one.explained > 0.8


def test_no_structure_is_no_better_than_permuted():
    points = np.random.default_rng(3).uniform(size=(40, 2))
    found = embed_networks(squareform(pdist(points)), FEW)
    assert found.class_p > 0.05


def test_stress_says_what_the_dimensions_lack():
    simplex = 1.0 - np.eye(6)
    found = embed_networks(simplex, EmbeddingSettings(n_shuffles=0))
    assert found.stress > 0.3 and found.chance is None and found.class_p is None
    wide = embed_networks(simplex, EmbeddingSettings(n_shuffles=0, n_dimensions=8))
    assert wide.coordinates.shape == (6, 8) and wide.stress == pytest.approx(0.0, abs=1e-9)


def test_networks_without_distances_are_left_out_and_said():
    _, distances = planted()
    distances[3] = distances[:, 3] = np.nan
    found = embed_networks(distances, FEW, parameters={"k": PLANTED.tolist()})
    assert found.networks.tolist() == [i for i in range(18) if i != 3] and found.n_classes == 3
    few = embed_networks(distances[:3, :3], FEW)
    assert few.status == "few_networks" and "3 networks" in few.reason
    none = np.full((5, 5), np.nan)
    assert embed_networks(none, FEW).status == "no_distances"
    same = embed_networks(np.zeros((5, 5)), FEW)
    assert same.status == "alike" and same.n_classes == 0


def test_wrong_distances_are_refused():
    with pytest.raises(ParameterError, match="square"):
        embed_networks(np.zeros((3, 4)))
    with pytest.raises(ParameterError, match="symmetric"):
        embed_networks(np.triu(np.ones((4, 4)), 1))
    with pytest.raises(ParameterError, match="one for each"):
        embed_networks(np.zeros((4, 4)), parameters={"a": [1]})


def test_the_figure_shows_networks_distances_and_parameters():
    _, distances = planted()
    parameters = {"training_name": [f"t{k}" for k in PLANTED], "seed": list(range(18))}
    found = embed_networks(distances, FEW, parameters=parameters)
    figure = plot_embedding(found, parameters, distance="procrustes_distance")
    scatter, matrix, bars, bar = figure.axes
    # A marker a class, a colour a value: here both are the same.
    assert [len(one.get_offsets()) for one in scatter.collections] == [8, 6, 4]
    colours = [{tuple(c) for c in one.get_facecolors()} for one in scatter.collections]
    assert all(len(own) == 1 for own in colours) and len(set.union(*colours)) == 3
    assert scatter.get_title() == "18 networks, stress 0.00"
    assert matrix.get_title() == "3 classes, p 0.01"
    shown = matrix.images[0].get_array()
    assert np.array_equal(shown, distances)  # which are sorted already
    assert [text.get_text() for text in bars.texts] == ["training name *"]
    assert bar.get_ylabel() == "procrustes distance"
    assert figure.legends[0].get_title().get_text() == "training_name"
    with pytest.raises(ParameterError, match="is no parameter in which networks differ"):
        plot_embedding(found, parameters, "lr")
    # In another order they are sorted by class.
    order = np.random.default_rng(0).permutation(18)
    mixed = embed_networks(distances[np.ix_(order, order)], FEW)
    inner = plot_embedding(mixed).axes[1].images[0].get_array()
    assert inner[:8, :8].max() < 1 < inner[:8, 8:].min()
    few = plot_embedding(embed_networks(np.zeros((3, 3))))
    assert all(axes.texts[0].get_text() == "few networks" for axes in few.axes)


def test_what_is_no_distance_is_refused():
    far = np.full((4, 4), np.inf)
    np.fill_diagonal(far, 0.0)
    for wrong, said in ((far, "inf"), (np.eye(4) - 1.0, "-1")):
        with pytest.raises(ParameterError, match=f"distances = {said}.*is no distance"):
            embed_networks(wrong)
