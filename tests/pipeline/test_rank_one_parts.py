"""Networks of low rank through the tables, on both back ends."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tables.rank_one_parts import rank_one_from_rows
from tasks_lib import ParameterError
from tests.pipeline.test_populations import no_nan

pytestmark = pytest.mark.either_backend

LOW = {"n_units": 10, "max_rank": 2, "self_connections": True, "activation": "tanh"}


@pytest.mark.both_backends
def test_networks_of_low_rank_are_trained_and_their_parts_are_rows(database):
    p = database
    p.submit(
        {
            "tasks": {"bits": {"class": "NBitFlipFlop", "n_steps": 20, "params": {"n_bits": 2}}},
            "networks": {"low": LOW, "full": {**LOW, "max_rank": 0}},
            "trainings": {"short": {"max_iter": 3}},
            "cohorts": [
                {"task": "bits", "network": name, "training": "short", "n_networks": 1}
                for name in ("low", "full")
            ],
        }
    )
    assert p.fill((p.Training, p.RankOneParts)).errors == []
    assert len(p.NetworkParams & "max_rank > 0") == 1
    network = (p.Training.Network & {"network_name": "low"}).fetch1()
    weights = np.asarray(network["w_rec"], dtype=float)
    row = p.RankOneParts.fetch1()  # of the network whose rank is limited, and no other
    assert (row["network_name"], row["rank_one_status"]) == ("low", "analysed")
    assert row["exact_rank"] == 2 and row["drive_explained"] == pytest.approx(1.0, abs=1e-4)
    parts = p.RankOneParts.Drive.to_dicts(order_by="part_number")
    singular = np.linalg.svd(weights, compute_uv=False)[:2]
    assert [part["part_singular_value"] for part in parts] == pytest.approx(singular, rel=1e-4)
    product = sum(np.outer(part["part_left"], part["part_right"]) for part in parts) / 10
    assert np.allclose(product, weights, atol=1e-5)
    inner = p.RankOneParts.Overlap & {"reader": "right", "writer": "left"}
    matrix = inner.to_arrays("overlap", order_by="KEY").reshape(2, 2)
    largest = sorted(np.abs(np.linalg.eigvals(weights)))[-2:]
    assert sorted(np.abs(np.linalg.eigvals(matrix))) == pytest.approx(largest, rel=1e-3)
    assert len(p.RankOneParts.Overlap & {"reader": "output"}) == 2 * (2 + 2)
    tables = (p.RankOneParts, p.RankOneParts.Drive, p.RankOneParts.Overlap)
    assert all(no_nan(table.to_dicts()) for table in tables)
    p.RankOneParts().plot()
    # Reports draw what rows keep.
    rows = {f"RankOneParts{name}": table.to_dicts(order_by="KEY") for name, table in
            zip(("", ".Drive", ".Overlap"), tables, strict=True)}  # fmt: skip
    drawn = rank_one_from_rows(rows)
    direct = p.RankOneParts()._analyse(p.RankOneParts.fetch1("KEY"))
    for mine, own in zip(drawn.parts, direct.parts, strict=True):
        assert np.array_equal(mine.drive, own.drive) and mine.share == own.share
    assert drawn.overlaps == direct.overlaps
    with pytest.raises(ParameterError, match="dale = True: the factors"):
        p.NetworkParams.insert1({"network_name": "signs", **LOW, "dale": True})
    assert not p.NetworkParams & {"network_name": "signs"}
