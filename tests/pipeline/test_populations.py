"""The table of populations has what the library says of a network, on both back ends."""

from __future__ import annotations

import numpy as np
import pytest

import models
from pipeline.tables.performance import VALIDATION_SEED, fetch_network
from tasks_lib import ParameterError
from tests.models.population_networks import copies

pytestmark = pytest.mark.either_backend

LOUDER = "tests.pipeline.own:Louder"


def enter(p, tmp_path, networks, task="louder"):
    """Import networks by name."""
    p.submit({"tasks": {"louder": {"class": LOUDER, "n_steps": 10}}})
    for name, rnn in networks.items():
        same = ("tau", "dt", "sigma_rec", "sigma_inp")
        equation = {part: getattr(rnn.equation, part) for part in same}
        config = models.NetworkConfig(
            n_units=rnn.n_units, activation="relu", bias_max=2.0, **equation
        )
        path = models.write_network(tmp_path / f"{name}.npz", rnn, config)
        p.import_network(path, task, name)


def no_nan(rows):
    return not any(
        isinstance(v, float) and not np.isfinite(v) for row in rows for v in row.values()
    )


@pytest.mark.usefixtures("own_classes_allowed")
def test_populations_of_known_networks_are_rows(database, tmp_path):
    p = database
    # The first unit copies the number, the second is silent, the third is constant.
    known = copies([[1.0], [0.0], [0.0]], [1.0, -1.0, 0.5], W_out=[[1.0, 0, 0]])
    enter(p, tmp_path, {"known": known, "silent": copies(np.zeros((4, 1)))})
    assert p.fill((p.Population,)).errors == []
    one, none = ({"network_name": name} for name in ("known", "silent"))
    row = (p.Population & one).fetch1()
    assert (row["population_status"], row["population_reason"]) == ("analysed", "")
    assert (row["n_active"], row["n_silent"], row["w_rec_change"]) == (2, 1, None)
    assert not row["obeys_dale"] and row["w_rec_rank"] is None and row["w_rec_radius"] == 0.0
    silent = p.Population.Unit & one & "is_silent"
    assert silent.to_arrays("unit").tolist() == [1]
    groups = {r["unit_group"]: r for r in (p.Population.Group & one).to_dicts()}
    assert groups["active"]["group_units"] == 2
    assert groups["active"]["group_mean_rate"] == pytest.approx(
        groups["all"]["group_mean_rate"] * 3 / 2
    )
    # A unit whose rate is the number is selective to it, and to nothing but it.
    best = p.Population.Selectivity & one & "eta_squared > 0.999" & {"variable_name": "number"}
    assert best.to_arrays("unit").tolist() == [0]
    assert best.fetch1("eta_p") < 0.02
    rest = p.Population.Selectivity & one & "eta_squared is null" & {"variable_name": "number"}
    assert sorted(rest.to_arrays("unit").tolist()) == [1, 2]
    coding = (p.Population.Coding * p.Population.Period & one & {"period_name": "whole"}).to_dicts()
    number = next(r for r in coding if r["variable_name"] == "number")
    assert (number["n_differing"], number["mean_eta_all"]) == (1, pytest.approx(1.0))
    # The table says what the library says of the stored network.
    rnn, task = fetch_network((p.Population & one).fetch1("KEY"))
    direct = models.get_population(rnn, task, seed=VALIDATION_SEED)
    period = (p.Population.Period & one & "period_number = 0").fetch1()
    assert period["participation_ratio"] == direct.periods[0][1].participation_ratio
    assert np.array_equal(period["cumulative_variance"], direct.periods[0][1].cumulative)

    row = (p.Population & none).fetch1()
    assert row["population_status"] == "silent" and "|rate|" in row["population_reason"]
    assert len(p.Population.Unit & none) == 4 and not len(p.Population.Group & none)
    assert all(no_nan(t.to_dicts()) for t in (
        p.Population, p.Population.Unit, p.Population.Group, p.Population.Period,
        p.Population.Coding, p.Population.Selectivity,
    ))  # fmt: skip
    (p.Population & one).plot()


def test_trained_networks_know_their_start_and_settings_are_rows(entered):
    p = entered
    assert p.fill((p.Training,)).errors == []
    default = p.PopulationParams.fetch1()
    with pytest.raises(ParameterError, match="max_trials"):
        p.PopulationParams.insert1(
            {**default, "population_name": "none", "population_max_trials": 1}
        )
    p.PopulationParams.insert1(
        {**default, "population_name": "few", "population_max_trials": 6,
         "population_n_shuffles": 0}
    )  # fmt: skip
    assert p.fill((p.Population,), {"seed": 3}).errors == []
    rows = p.Population.to_dicts()
    assert {r["population_name"]: r["population_trials"] for r in rows} == {"default": 18, "few": 6}
    assert all(0 < r["w_rec_change"] < 5 and r["obeys_dale"] for r in rows)
    assert len(p.Population.Unit & "cell_type = 'inhibitory'" & {"population_name": "few"}) == 3
    assert set((p.Population.Selectivity & {"population_name": "few"}).to_arrays("eta_p")) == {None}
    # Units and what they are selective to join; so do the settings and scores.
    joined = p.Population.Selectivity * p.Population.Unit * p.PopulationParams
    assert len(joined) == len(p.Population.Selectivity())
