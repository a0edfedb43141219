"""The tables of Lyapunov exponents and basins, on both back ends."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest

from pipeline.tables.lyapunov import basins_from_rows, lyapunov_from_rows
from tests.models.population_networks import copies
from tests.pipeline.test_populations import enter, no_nan

pytestmark = pytest.mark.either_backend


@pytest.mark.usefixtures("own_classes_allowed")
def test_exponents_and_basins_of_known_networks_are_rows(database, tmp_path):
    p = database
    wells = copies([[0.0], [0.0]], [0.2, 0.2], W_rec=[[0.0, -0.8], [-0.8, 0.0]],
                   W_out=[[1.0, 0.0]], tau=1.0, dt=0.1)  # fmt: skip
    # A third unit that is silent: networks of equal parameters would be one entry.
    two = copies(np.zeros((3, 1)), [1.0, 1.0, -1.0],
                 W_rec=[[0.0, -2.0, 0.0], [-2.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
                 W_out=[[1.0, 0.0, 0.0]], tau=1.0, dt=0.1)  # fmt: skip
    # x' = x + 1 above 0: no point is fixed, and states grow without end.
    growing = copies([[0.0]], [1.0], W_rec=[[2.0]], W_out=[[1.0]], tau=1.0, dt=0.1)
    enter(p, tmp_path, {"one": wells, "two": two, "growing": growing})
    assert p.fill((p.Lyapunov, p.FixedPoints, p.Basins)).errors == []
    at = {row["network_name"]: row for row in p.Lyapunov.AtInput.to_dicts()}
    # One point where both are on: the slower mode has the eigenvalue -1 + 0.8.
    slow = np.log(1 - 0.1 * 0.2) / 0.1
    assert at["one"]["motion"] == "steady"
    assert at["one"]["largest_exponent"] == pytest.approx(slow, abs=0.01)
    assert (p.Basins & {"network_name": "one"}).fetch1("n_attractors") == 1
    assert (p.Basins.Attractor & {"network_name": "one"}).fetch1("basin_share") == 1.0
    # One of two wins, each from one side of the diagonal: both are alike.
    assert at["two"]["motion"] == "steady"
    row = (p.Basins & {"network_name": "two"}).fetch1()
    assert (row["basin_status"], row["n_attractors"], row["elsewhere"]) == ("analysed", 2, 0.0)
    none = (p.Basins & {"network_name": "growing"}).fetch1()
    assert (none["basin_status"], none["elsewhere"]) == ("no_attractor", None)
    assert not p.Basins.Attractor & {"network_name": "growing"}
    shares = (p.Basins.Attractor * p.FixedPoints.Point & {"network_name": "two"}).to_dicts()
    assert sum(one["basin_share"] for one in shares) == pytest.approx(1.0)
    assert all(one["basin_share_low"] < 0.5 < one["basin_share_high"] for one in shares)
    # Reports draw what rows keep.
    key = {"network_name": "two"}
    names = ("Lyapunov", "Lyapunov.AtInput", "Basins", "Basins.Attractor", "BasinParams")
    rows = {name: (attrgetter(name)(p) & key).to_dicts(order_by="KEY") for name in names}
    direct = p.Lyapunov()._analyse((p.Lyapunov & key).fetch1("KEY"))
    drawn = lyapunov_from_rows(rows)
    assert np.array_equal(drawn.in_trials, direct.in_trials)
    for name, one in direct.at_inputs.items():
        assert np.array_equal(drawn.at_inputs[name].exponents, one.exponents)
        assert drawn.at_inputs[name].kind == one.kind
    (basins,) = basins_from_rows(rows).values()
    assert basins.shares == pytest.approx([one["basin_share"] for one in shares])
    assert basins.intervals[:, 0] == pytest.approx([one["basin_share_low"] for one in shares])
    assert (p.Lyapunov & key).plot().axes
    tables = (p.Lyapunov, p.Lyapunov.AtInput, p.Basins, p.Basins.Attractor)
    assert all(no_nan(table.to_dicts()) for table in tables)
    (p.Basins & {"network_name": "two"}).plot()
