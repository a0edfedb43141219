"""The tables of clusters, and clusters as targets of interventions, on both back ends."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.report.analyses import ANALYSES
from pipeline.tables.clusters import clusters_from_rows
from tests.models.population_networks import copies
from tests.pipeline.test_populations import enter, no_nan
from tests.pipeline.test_report_analyses import rows_of

pytestmark = pytest.mark.either_backend


@pytest.mark.both_backends
@pytest.mark.usefixtures("own_classes_allowed")
def test_clusters_of_a_known_network_are_rows_and_targets(database, tmp_path):
    p = database
    # Six units copy the number, and are read; four do so the other way round, and are not.
    gains = np.array([1.0] * 6 + [-1.0] * 4)
    W_out = np.where(gains > 0, 1 / 6, 0.0)
    known = copies(gains[:, None], np.ones(10), x_init=np.ones(10), W_out=[W_out])
    enter(p, tmp_path, {"known": known, "silent": copies(np.zeros((4, 1)))})
    row = p.ClusterParams.fetch1()
    p.ClusterParams.insert1({**row, "cluster_name": "response", "cluster_features": "response"})
    column = p.InterventionParams.renamed
    lesion = {**p.InterventionParams.fetch1(), "intervention_name": "lesion",
              column["target"]: "cluster", column["target_of"]: "1", column["largest"]: 1.0,
              column["n_strengths"]: 1}  # fmt: skip
    # Of a way of clustering that comes later in the alphabet, and of one that there is not.
    named = {**lesion, "intervention_name": "named", column["target_of"]: "response: 0"}
    missing = {**lesion, "intervention_name": "missing", column["target_of"]: "others: 0"}
    p.ClusterParams.insert1({**row, "cluster_name": "half", "cluster_max_clusters": 2})
    p.InterventionParams.insert([lesion, named, missing])
    assert p.fill((p.Population,)).errors == []
    wanted = p.Intervention().key_source
    assert not len(wanted & "intervention_name in ('lesion', 'named')")
    assert p.fill((p.Clusters,), {"cluster_name": "half"}).errors == []
    assert len(wanted & {"intervention_name": "lesion"}) == 2
    assert not len(wanted & {"intervention_name": "named"})  # its clusters are not there
    assert p.fill((p.Clusters, p.Intervention)).errors == []
    assert not p.Intervention & {"intervention_name": "missing"}
    six = p.Intervention.Score & {"network_name": "known", "intervention_name": "named"}
    assert six.fetch1("units_touched") == 6
    response = {"network_name": "known", "cluster_name": "response"}
    found = (p.Clusters & response).fetch1()
    assert (found["cluster_status"], found["n_clusters"]) == ("analysed", 2)
    assert found["silhouette"] > 0.99 and found["cluster_stability"] == 1.0
    members = p.Clusters.Member * p.Population.Unit & response
    first = members & "cluster = 0"
    assert sorted(first.to_arrays("unit").tolist()) == [0, 1, 2, 3, 4, 5]
    assert (p.Clusters.Cluster & response & "cluster = 1").fetch1("cluster_size") == 4
    assert len(p.Clusters.Weight & response) == 4
    alike = (p.Clusters & {"network_name": "known", "cluster_name": "task_variance"}).fetch1()
    assert alike["cluster_status"] == "alike" and alike["n_clusters"] is None
    silent = p.Clusters & {"network_name": "silent"}
    assert set(silent.to_arrays("cluster_status")) == {"silent"}
    # The cluster that is not read can go.
    score = (
        p.Intervention.Score & {"network_name": "known", "intervention_name": "lesion"}
    ).fetch1()
    assert score["units_touched"] == 4 and score["output_change"] == pytest.approx(0.0, abs=1e-9)
    assert score["trajectory_change"] == pytest.approx(0.0, abs=1e-9)  # states go on, unread
    assert score["control_output_change"] > 0.1
    none = (p.Intervention & {"network_name": "silent", "intervention_name": "lesion"}).fetch1()
    assert none["intervention_status"] == "silent"
    tables = (p.Clusters, p.Clusters.Cluster, p.Clusters.Member, p.Clusters.Weight)
    assert all(no_nan(table.to_dicts()) for table in tables)
    (p.Clusters & response).plot()
    # What reports draw, from rows alone.
    tables, row = rows_of("clusters", response)
    drawn = clusters_from_rows(tables)
    direct, _ = p.Clusters()._analyse({name: row[name] for name in p.Clusters.primary_key})
    assert drawn.silhouettes == direct.silhouettes and drawn.stability == direct.stability
    assert np.array_equal(drawn.labels, direct.labels)
    assert np.allclose(drawn.weights, direct.weights)
    assert np.allclose(drawn.features[0], direct.features[direct.labels == 0].mean(axis=0))
    drawing = next(section.drawing for section in ANALYSES if section.name == "clusters")
    assert len(drawing.draw(tables).axes) > 4
