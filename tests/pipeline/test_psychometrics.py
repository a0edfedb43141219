"""Psychometric curves in tables: every task with choices by a signed stimulus, and no other."""

from __future__ import annotations

import pytest

from pipeline.tables import performance

pytestmark = pytest.mark.either_backend


@pytest.mark.usefixtures("own_classes_allowed")
def test_every_task_with_choices_by_a_signed_stimulus_has_curves(database, monkeypatch):
    p = database
    own = "tests.pipeline.own:Louder"
    common = {"network": "small", "training": "short", "n_networks": 1}
    p.submit({
        "tasks": {
            "go": {"class": "GoNoGo", "n_steps": 20,
                   "params": {"cue_on": 10, "batch_size": 40}},
            "louder": {"class": own},
            "dmts": {"class": "DMTS"},
            "echo": {"class": "tests.pipeline.own:Echo"},
        },
        "networks": {"small": {"n_units": 10, "tau": 2.0, "sigma_rec": 0.3, "activation": "tanh",
                               "bias_min": -1.0, "bias_max": 1.0}},
        "trainings": {"short": {"max_iter": 60, "lr": 0.02}},
        "cohorts": [{"task": t, **common} for t in ("go", "louder", "dmts", "echo")],
    })  # fmt: skip
    assert p.fill((p.Training,)).errors == []
    assert set(p.Psychometric().key_source.to_arrays("task_name")) == {"go", "louder"}
    assert p.fill((p.Psychometric,)).errors == []
    assert len(p.Psychometric()) == 4  # two networks, without and with noise
    assert set(p.Psychometric.to_arrays("coherences")) == {None}
    fits = p.Psychometric.Fit & {"validation_name": "noisy"}
    assert set(zip(*fits.to_arrays("context", "coherence"), strict=True)) == {("all", "relevant")}
    louder = (fits & {"task_name": "louder"}).fetch1()
    assert louder["fit_status"] == "fitted" and louder["converged"]
    assert louder["slope"] > 4 * louder["slope_error"] > 0
    choices = (p.Psychometric.Choice & louder).to_dicts(order_by="strength_number")
    assert len(choices) == 9 and {c["n_strength_trials"] for c in choices} == {40}
    assert len(p.Psychometric.Choice & {"task_name": "go", "validation_name": "noisy"}) == 16
    # Two parts and their table join.
    joined = p.Psychometric.Choice * p.Psychometric.Fit & {"task_name": "louder"}
    assert len(joined) == 18

    # Whose class may not be imported here is left to others.
    monkeypatch.setenv("RNN_ALLOWED_PACKAGES", "")
    assert set(p.Psychometric().key_source.to_arrays("task_name")) == {"go"}
    assert not performance._has_signed_stimuli("NeuroGym")
