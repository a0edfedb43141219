"""Rows of networks whose states grow without bound: a status, and null where a number misleads."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.either_backend


@pytest.fixture
def growing(submission):
    """Networks too large to have all regions solved, as initialised, with and without growth."""
    task = submission["tasks"]["cddm"]
    task.update(n_steps=60)
    task["params"].update(stim_on=10, dec_on=30)
    common = {"n_units": 18, "activation": "relu", "tau": 5.0}
    submission["networks"] = {
        "calm": {**common, "spectral_radius": 0.8},
        "grows": {**common, "spectral_radius": 5.0},
    }
    submission["trainings"] = {"none": {"max_iter": 1, "lr": 1e-9}}
    submission["cohorts"] = [
        {"task": "cddm", "network": name, "training": "none", "first_seed": 4, "n_networks": 1}
        for name in ("calm", "grows")
    ]
    return submission


def test_a_network_that_grows_says_so_in_its_rows(database, growing):
    p = database
    p.submit(growing)
    tables = (p.Training, p.FixedPoints, p.Linearization, p.FixedPointPlot, p.ContinuousAttractor)
    assert p.fill(tables).errors == []
    here = {"input_name": "motion"}
    calm = (p.FixedPoints & here & {"network_name": "calm"}).to_dicts()
    grows = (p.FixedPoints & here & {"network_name": "grows"}).to_dicts()
    assert {row["search_status"] for row in calm} == {"complete"}
    assert {row["search_status"] for row in grows} == {"growing"}
    assert all(row["coverage"] is None for row in grows)
    assert all(row["coverage"] > 0.9 for row in calm)
    assert all(0.0 < row["unseen"] <= 0.01 for row in calm)
    again = (p.FixedPoints & here & {"network_name": "calm"}).load()
    assert (again.unseen, again.message) == (calm[0]["unseen"], calm[0]["message"])
    assert again.message.startswith("complete: ")
    assert all(row["message"].startswith("growing: states grow without bound") for row in grows)
    found = (p.FixedPoints & here & {"network_name": "grows"}).load()
    assert found.status == "growing"
    assert np.isnan(found.coverage)
    assert found.message == grows[0]["message"]
    points = (p.FixedPoints.Point & {"network_name": "grows"}).to_dicts()
    assert all(np.isfinite(np.asarray(row["state"])).all() for row in points)
    assert len(p.ContinuousAttractor & here) == len(p.FixedPoints & here)
    assert len(p.Linearization()) == len(p.FixedPoints())
