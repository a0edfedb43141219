"""Networks of blocks in the tables: rows of groups and blocks, hashes, training, exports."""

from __future__ import annotations

import numpy as np
import pytest

from models.network.connectivity import initial_connectivity
from pipeline.upkeep.verify import verify
from tasks_lib import ParameterError

pytestmark = pytest.mark.either_backend

BLOCKS = {
    "W_rec": [
        {"to": "sensory", "from": "motor", "weights": "absent"},
        {"to": "motor", "from": "motor", "weights": "fixed"},
    ],
    "W_inp": [{"from": [0], "weights": "fixed"}],
    "b_rec": [{"to": "motor", "weights": "fixed"}],
}
NETWORK = {
    "n_units": 8, "tau": 2.0, "activation": "tanh", "bias_max": 1.0,
    "groups": {"sensory": [0, 5], "motor": [5, 8]}, "blocks": BLOCKS,
}  # fmt: skip
SUBMISSION = {
    "tasks": {"go": {"class": "GoNoGo", "n_steps": 20, "params": {"cue_on": 8, "batch_size": 8}}},
    "networks": {"areas": NETWORK},
    "trainings": {"short": {"max_iter": 3, "lr": 0.1}},
    "cohorts": [
        {"task": "go", "network": "areas", "training": "short", "first_seed": 1, "n_networks": 2}
    ],
}


def test_a_network_of_areas_goes_through_the_chain(database, tmp_path):
    p = database
    p.submit(SUBMISSION)
    groups = p.NetworkParams.Group.to_dicts(order_by="first_unit")
    assert [(g["group_name"], g["first_unit"], g["last_unit"]) for g in groups] == [
        ("sensory", 0, 4), ("motor", 5, 7),
    ]  # fmt: skip
    absent = (p.NetworkParams.Block & {"block_weights": "absent"}).fetch1()
    assert (absent["block_array"], absent["to_group"], absent["from_group"]) == (
        "W_rec", "sensory", "motor",
    )  # fmt: skip
    channels = (p.NetworkParams.Block & {"block_array": "W_inp"}).fetch1()
    assert (channels["to_group"], channels["from_group"]) == ("all", None)
    assert channels["block_channels"] == [0]
    assert p.fill((p.Training, p.Validation)).errors == []
    config = p.NetworkParams.build(p.NetworkParams.fetch1())
    for row in p.Training.Network.to_dicts():
        start = initial_connectivity(config, 3, 1, row["seed"])
        w_rec, w_inp = np.asarray(row["w_rec"]), np.asarray(row["w_inp"])
        assert not w_rec[:5, 5:].any() and (w_rec[5:, :5] != start.W_rec[5:, :5]).all()
        assert np.array_equal(w_rec[5:, 5:], start.W_rec[5:, 5:].astype(w_rec.dtype))
        assert np.array_equal(w_inp[:, 0], start.W_inp[:, 0].astype(w_inp.dtype))
    assert verify({"seed": 1}).identical
    out = tmp_path / "all.zip"
    p.export(out, figures=False, report=False)
    p.delete(everything=True, parameters=True)
    assert not len(p.NetworkParams.Block())
    assert len(p.import_export(out).keys) == 2
    assert p.NetworkParams.build(p.NetworkParams.fetch1()) == config
    assert len(p.NetworkParams.Block()) == 4


def test_groups_and_blocks_are_parameters_as_any_other(database):
    p = database
    plain = {name: value for name, value in NETWORK.items() if name not in ("groups", "blocks")}
    p.NetworkParams.insert1({"network_name": "plain", **plain})
    # Without blocks the hash is that of before there were any.
    p.NetworkParams.insert1({"network_name": "plain", **plain, "groups": {}, "blocks": {}})
    p.NetworkParams.insert1({"network_name": "areas", **NETWORK})
    again = {**NETWORK, "blocks": {name: BLOCKS[name] for name in reversed(BLOCKS)}}
    with pytest.raises(ParameterError, match="has the same parameters as 'areas'"):
        p.NetworkParams.insert1({"network_name": "same", **again})
    wrong = {"W_rec": [{"to": "sensry", "weights": "fixed"}]}
    with pytest.raises(ParameterError, match=r"blocks\.W_rec\[0\]\.to = 'sensry'"):
        p.NetworkParams.insert1({"network_name": "wrong", **NETWORK, "blocks": wrong})
    # A channel that the task lacks is refused with the cohort, not by a job.
    beyond = {**SUBMISSION, "networks": {"beyond": {**NETWORK, "blocks": {
        "W_out": [{"to": [1], "weights": "absent"}]}}}}  # fmt: skip
    beyond["cohorts"] = [{**SUBMISSION["cohorts"][0], "network": "beyond"}]
    with pytest.raises(ParameterError, match=r"blocks\.W_out\[0\]\.to = \[1\]: .* 0 to 0"):
        p.submit(beyond)
    assert not len(p.Cohort())
    row = p.NetworkParams.Block.to_dicts(limit=1)[0]
    for change in (
        lambda: p.NetworkParams.Block.insert1({**row, "block_number": 7}),
        lambda: p.NetworkParams.Block.update1({**row, "block_weights": "trained"}),
        lambda: (p.NetworkParams.Group & {"group_name": "motor"}).delete_quick(),
    ):
        with pytest.raises(ParameterError, match="follows from the parameters of its set"):
            change()
    fewer = {"network_name": "areas", "blocks": {"W_rec": BLOCKS["W_rec"][:1]}}
    p.NetworkParams.update1(fewer)
    assert len(p.NetworkParams.Block()) == 1 and len(p.NetworkParams.Group()) == 2
