"""Sweeps: cohorts that differ in chosen fields, entered and asked for together."""

from __future__ import annotations


def content(**sweep):
    return {
        "tasks": {"ff": {"class": "NBitFlipFlop", "n_steps": 20, "params": {"pulse": 3}}},
        "networks": {"n8": {"n_units": 8, "sigma_rec": 0.05}},
        "trainings": {"base": {"max_iter": 3, "penalties": {"metabolic": {"weight": 0.1}}}},
        "sweeps": {"s": {"task": "ff", "network": "n8", "training": "base", **sweep}},
    }


GRID = {
    "training.lr": [0.001, 0.003, 0.01],
    "training.penalties.metabolic.weight": {"log": [0.01, 1.0], "n": 3},
    "network.sigma_rec": [0.03, 0.05],
}


def test_a_grid_is_entered_and_can_be_asked_for(database):
    p = database
    new = p.submit(content(vary=GRID, n_networks=3))
    assert new == {"tasks": 1, "networks": 2, "trainings": 10, "sweep points": 18, "cohorts": 18}
    assert len(p.Sweep.Point()) == 18 * 3
    lr = p.Sweep.Point & "axis = 'training.lr'" & "value > 0.002"
    assert len(lr) == 12
    assert len(p.Cohort & lr.proj()) == 12
    names = set(p.TrainingParams.to_arrays("training_name"))
    assert {"base", "base-lr_0.003-metabolic_0.01", "base-lr_0.01-metabolic_1"} < names
    # What equals the base is the base, and metabolic 0.1 is not said again.
    assert "base-lr_0.003" in names and not any("metabolic_0.1" in name for name in names)
    assert set(p.NetworkParams.to_arrays("network_name")) == {"n8", "n8-sigma_rec_0.03"}
    assert p.submit(content(vary=GRID, n_networks=3)) == dict.fromkeys(new, 0)
