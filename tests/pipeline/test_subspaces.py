"""The tables of subspaces have what the library says of a network, on both back ends."""

from __future__ import annotations

import numpy as np
import pytest

import models
from pipeline.tables.performance import VALIDATION_SEED, fetch_network
from tests.models.population_networks import copies
from tests.pipeline.test_populations import enter, no_nan

pytestmark = pytest.mark.either_backend


@pytest.mark.usefixtures("own_classes_allowed")
def test_subspaces_of_known_networks_are_rows(database, tmp_path):
    p = database
    known = copies([[1.0], [-2.0], [0.0]], [1.0, 1.0, 0.5], W_out=[[1.0, 0, 0]], sigma_rec=0.01)
    enter(p, tmp_path, {"known": known, "silent": copies(np.zeros((4, 1)))})
    assert p.fill((p.Subspaces,)).errors == []
    one, none = ({"network_name": name} for name in ("known", "silent"))
    row = (p.Subspaces & one).fetch1()
    assert (row["subspace_status"], row["subspace_reason"]) == ("analysed", "")
    number = (p.Subspaces.Regressor & one & {"regressor": "number"}).fetch1()
    assert number["regressor_status"] == "fitted" and number["regressor_dimension"] == 1
    # The number moves the first unit one way and the second the other.
    assert abs(number["regressor_axes"][0] @ [0.5**0.5, -(0.5**0.5), 0.0]) > 0.9
    decoders = p.Subspaces.Decoder & one & {"regressor": "number"} & "train_bin = test_bin"
    late = decoders & "train_on > 3"
    assert len(late) > 3 and len(late & "decoder_score > 0.9 and decoder_p < 0.05") == len(late)
    angles = (p.Subspaces.Angle & one & {"angle_kind": "input"}).to_dicts()
    assert {a["first_axes"] for a in angles} >= {"number"}
    assert next(a["smallest_angle"] for a in angles if a["first_axes"] == "number") < 20
    rnn, task = fetch_network((p.Subspaces & one).fetch1("KEY"))
    direct = models.get_subspaces(rnn, task, seed=VALIDATION_SEED)
    assert np.array_equal(number["regressor_axes"], direct.subspaces[0].axes)
    row = (p.Subspaces & none).fetch1()
    assert row["subspace_status"] == "silent" and row["subspace_components"] is None
    assert not len(p.Subspaces.Regressor & none)
    tables = (p.Subspaces, p.Subspaces.Regressor, p.Subspaces.Angle, p.Subspaces.Decoder)
    assert all(no_nan(table.to_dicts()) for table in tables)


@pytest.mark.both_backends
def test_angles_to_selection_vectors_are_rows(entered):
    p = entered
    tables = (p.Training, p.LineAttractor, p.Subspaces, p.SelectionAngle)
    assert p.fill(tables, {"seed": 3}).errors == []
    pairs = p.SelectionAngle.Pair.to_dicts()
    assert {(r["regressor"], r["line_context"]) for r in pairs} >= {
        (field, context)
        for field in ("context", "motion_coh", "color_coh", "choice")
        for context in ("motion", "color")
    }
    known = [r for r in pairs if r["selection_angle"] is not None]
    assert len(known) == p.SelectionAngle.fetch1("n_selection_angles")
    for row in known[:3]:
        key = {name: row[name] for name in p.SelectionAngle.Pair.primary_key}
        line = (p.LineAttractor.Context & key).fetch1()
        axes = (p.Subspaces.Regressor & key).fetch1("regressor_axes")
        scale = (p.Subspaces & key).fetch1("rate_scale")
        real = np.asarray(line["line_eigenvalues"])[:, 0].imag == 0
        vectors = np.asarray(line["selection_vectors"]).real[real] * scale
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines = np.linalg.norm(vectors @ axes.T, axis=1)
        wanted = np.median(np.degrees(np.arccos(np.minimum(cosines, 1))))
        assert row["selection_angle"] == pytest.approx(wanted)
    joined = p.SelectionAngle.Pair * p.LineAttractor.Context * p.Subspaces.Regressor
    assert len(joined) == len(pairs)
    (p.Subspaces & {"seed": 3}).plot()
