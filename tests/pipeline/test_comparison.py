"""Comparisons of networks are rows: pairs, embeddings, what is added and what is deleted."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

import models
from models.comparison.dsa import library
from models.comparison.settings import DISTANCES
from pipeline.cli import commands as cli
from pipeline.sharing.selection import SelectedRows
from pipeline.tables.comparing import PAIRS_OF_A_JOB, blocks_of
from pipeline.tables.performance import fetch_network
from pipeline.upkeep.verify_rows import verify_rows
from tasks_lib import ParameterError
from tests.models.population_networks import copies
from tests.pipeline.test_populations import LOUDER, no_nan

pytestmark = pytest.mark.either_backend

NAMES = ("one", "permuted", "reversed", "larger", "silent")
TABLES = ("NetworkSummary", "PairBlock", "Embedding")


def enter(p, tmp_path, networks):
    """Import networks by name: parameters that differ in something without effect have names."""
    p.submit({"tasks": {"louder": {"class": LOUDER, "n_steps": 10}}})
    for name, rnn in networks.items():
        same = {part: getattr(rnn.equation, part) for part in ("sigma_rec", "sigma_inp")}
        config = models.NetworkConfig(
            n_units=rnn.n_units, activation="relu", tau=1.0, dt=1.0,
            bias_max=10.0 + NAMES.index(name), **same,
        )  # fmt: skip
        path = models.write_network(tmp_path / f"{name}.npz", rnn, config)
        p.import_network(path, "louder", name)


def fill(p):
    tables = tuple(getattr(p, name) for name in TABLES)
    assert p.fill(tables).errors == []


def pairs(p, name="all"):
    """The pairs of a comparison by the names of both networks."""
    rows = (p.NetworkPair & {"comparison_name": name}).to_dicts()
    return {frozenset((row["network_name"], row["other_network"])): row for row in rows}


def network(gain, n=4, order=None, W_out=None):
    """Units that copy the number, times gains; with a task output."""
    gains = gain * np.linspace(0.5, 2.0, n)
    W_rec = np.diag(np.linspace(0.1, 0.4, n)[1:], 1)
    order = np.arange(n) if order is None else order
    out = np.eye(1, n) if W_out is None else np.asarray(W_out, float)
    return copies(
        gains[order, None], np.full(n, 9.0), W_rec=W_rec[np.ix_(order, order)],
        W_out=out[:, order], x_init=np.full(n, 9.0),
    )  # fmt: skip


def networks():
    made = (
        network(1.0), network(1.0, order=[2, 0, 3, 1]), network(1.0, W_out=-np.eye(1, 4)),
        network(1.0, n=5), copies(np.zeros((4, 1))),
    )  # fmt: skip
    return dict(zip(NAMES, made, strict=True))


@pytest.mark.usefixtures("own_classes_allowed")
def test_pairs_of_known_networks_are_rows_and_grow(database, tmp_path):
    p = database
    enter(p, tmp_path, networks())
    with pytest.raises(ParameterError, match="no search that there is"):
        p.compare("all", search="other")
    with pytest.raises(ParameterError, match="has one network"):
        p.compare("all", {"network_name": "one"})
    with pytest.raises(ParameterError, match="is no setting of a comparison"):
        p.compare("all", max_trial=3)
    first = {"where": "n_units = 4"}
    done = p.compare("all", first, search="", max_trials=16)
    assert (done.n_members, done.n_new, done.n_pairs, done.n_jobs) == (4, 4, 6, 1)
    assert p.compare("all", first).n_new == 0
    with pytest.raises(ParameterError, match="is 16 in the comparison all"):
        p.compare("all", first, max_trials=8)
    fill(p)
    found = pairs(p)
    same = found[frozenset(("one", "permuted"))]
    known = [same[name] for name in DISTANCES if same[name] is not None]
    assert len(known) == 8 and max(known) < 1e-6 and same["pair_reason"] == ""
    other = found[frozenset(("one", "reversed"))]
    assert other["procrustes_distance"] < 1e-6 and other["output_distance"] > 5
    assert other["choice_distance"] == 1.0
    silent = found[frozenset(("one", "silent"))]
    assert silent["cka_distance"] is None and "|rate|" in silent["pair_reason"]
    assert silent["output_distance"] > 5
    # A network that comes later adds its own pairs, and nothing else is computed again.
    done = p.compare("all")
    assert (done.n_members, done.n_new, done.n_pairs, done.n_jobs) == (5, 1, 4, 1)
    before = p.PairBlock.to_dicts()
    fill(p)
    assert [row for row in p.PairBlock.to_dicts() if row["entry"] == 0] == before
    assert len(p.NetworkPair()) == 10 and len(pairs(p)) == 10
    larger = pairs(p)[frozenset(("one", "larger"))]
    assert larger["pair_reason"] == "weights: 4 and 5 units"
    assert larger["weight_distance"] is None and larger["matching_distance"] is not None
    # The tables say what the library says.
    key = {"comparison_name": "all", "network_name": "larger"}
    summary = (p.NetworkSummary & key).fetch1()
    assert (summary["summary_units"], summary["summary_trials"]) == (5, 16)
    keys, distances = p.distance_matrix("all", "output_distance")
    names = [row["network_name"] for row in keys]
    assert names == ["one", "permuted", "reversed", "silent", "larger"]
    settings = models.ComparisonSettings(search="", max_trials=16)
    seed = 2**32 + 1
    reduced = [models.reduce_network(*fetch_network(row), settings, seed=seed) for row in keys]
    direct = models.distance_matrix(reduced, settings)
    assert np.allclose(distances, direct["output_distance"])
    _, distances = p.distance_matrix("all", "procrustes_distance")
    assert np.allclose(distances, direct["procrustes_distance"], equal_nan=True)
    tables = {table.title: len(table.rows) for table in SelectedRows(p.Selection()).tables()}
    assert (tables["NetworkPair"], tables["Comparison"], tables["NetworkSummary"]) == (10, 1, 5)
    assert verify_rows().is_whole
    state = p.comparison_state("all")
    assert (state.n_pairs, state.n_wanted, state.n_jobs_left) == (10, 10, 0)
    # Embeddings are of the newest state.
    rows = {(r["embedding_name"], r["entry"]): r for r in p.Embedding.to_dicts()}
    assert rows["output", 1]["embedding_status"] == "embedded"
    assert (rows["output", 1]["n_embedded"], rows["output", 1]["n_without"]) == (5, 0)
    assert rows["procrustes", 1]["n_embedded"] == 4 and rows["procrustes", 1]["n_without"] == 1
    point = (p.EmbeddingPoint & key & {"embedding_name": "output", "entry": 1}).fetch1()
    apart = np.where(np.eye(5, dtype=bool), np.inf, direct["output_distance"])
    assert point["neighbour_distance"] == pytest.approx(apart[4].min())
    assert point["neighbour_member"] == int(apart[4].argmin())
    (p.Embedding & {"embedding_name": "output", "entry": 1}).plot("network.n_units")
    near = p.Selection(where=("embedding_name = output and entry = 1 and neighbour_distance < 1",))
    assert set(near.networks().to_arrays("network_name")) == {"one", "permuted", "larger"}
    assert all(
        no_nan(t.to_dicts())
        for t in (p.NetworkSummary, p.NetworkPair, p.Embedding, p.Embedding.ByParameter)
    )


@pytest.mark.usefixtures("own_classes_allowed")
def test_the_command_enters_and_says_how_far_it_is(database, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "connect", lambda **options: None)
    monkeypatch.setattr(database, "disconnect", lambda: None)

    def rnn(*words, status=0):
        done = CliRunner().invoke(cli.app, [*words], env={"COLUMNS": "100"})
        assert done.exit_code == status, done.output
        return done.output

    enter(database, tmp_path, networks())
    for words, problem in (
        (("--set", "max_trials"), "write FIELD=VALUE"),
        (("--set", "trials=3"), "is no setting of a comparison"),
        (("--set", "max_trials=few"), "is no number"),
        (("--task", "other"), "has not been entered"),
    ):
        assert problem in rnn("compare", "all", *words, status=1)
    options = ("--set", "search=", "--set", "max_trials=16", "--set", "cutoff=2")
    output = rnn("compare", "all", "--where", "n_units = 4", *options)
    assert output.splitlines() == [
        "all: 4 networks, 4 of them new", "pairs: 0 of 6; workers have 1 job to do"
    ]  # fmt: skip
    fill(database)
    output = rnn("compare", "all", "--where", "n_units = 4")
    assert output.splitlines()[:2] == ["all: 4 networks", "pairs: 6 of 6"]
    assert "embedding output: embedded, 3 classes (p 1)" in output
    assert "embedding procrustes: few networks" in output
    # What somebody deletes is missed, and what somebody changes is noticed.
    row = database.NetworkPair.proj().to_dicts(limit=1)[0]
    (database.NetworkPair & row).delete_quick()
    output = rnn("compare", "all", "--where", "n_units = 4")
    assert "pairs: 5 of 6; the others were deleted" in output
    row = database.Comparison.fetch1()
    assert (row["comparison_max_trials"], row["comparison_cutoff"]) == (16, 2.0)
    database.Comparison().overwrite({**row, "comparison_cutoff": 3.0})
    (fault,) = verify_rows().faults
    assert (fault.kind, fault.table) == ("changed", "Comparison")
    with pytest.raises(ParameterError, match="is used by"):
        database.Comparison.update1(
            {"task_name": "louder", "comparison_name": "all", "comparison_cutoff": 2.0}
        )
    # A comparison goes by its name, with all distances, and no network with it.
    for words, problem in (
        (("--comparison", "al"), "did you mean all"),
        (("--comparison", "all", "--seed", "1"), "--seed"),
        (("--comparison", "all", "--parameters"), "--parameters"),
        (("--comparison", "all", "--recording", "x"), "--recording"),
        (("--recording", "monkey"), "has not been entered"),
    ):
        assert problem in rnn("delete", *words, "--yes", status=1)
    assert "NetworkPair" in rnn("delete", "--comparison", "all", "--dry-run")
    n_networks = len(database.Training.Network())
    rnn("delete", "--comparison", "all", "--yes")
    tables = (database.Comparison, database.NetworkPair, database.NetworkSummary)
    assert not any(len(table()) for table in tables)
    assert len(database.Training.Network()) == n_networks


@pytest.mark.usefixtures("own_classes_allowed")
def test_a_deleted_network_takes_its_pairs_with_it(database, tmp_path):
    p = database
    enter(p, tmp_path, networks())
    p.compare("all", search="", match="none")
    fill(p)
    assert len(p.NetworkPair()) == 10
    p.delete({"network_name": "permuted"})
    assert len(p.NetworkPair()) == 6 and len(p.ComparisonMember()) == 4
    assert not len(p.EmbeddingPoint & {"network_name": "permuted"})
    assert len(p.NetworkSummary()) == 4 and len(p.PairBlock()) == 1
    # It is entered anew under another number, and embeddings are made anew.
    enter(p, tmp_path, {"permuted": networks()["permuted"]})
    done = p.compare("all")
    assert (done.n_members, done.n_new, done.n_pairs) == (5, 1, 4)
    fill(p)
    assert len(p.NetworkPair()) == len(pairs(p)) == 10
    assert set(p.Embedding.to_arrays("entry")) == {0, 1}
    assert np.isfinite(p.distance_matrix("all", "output_distance")[1]).all()
    # One that is deleted, and does not come back: the rest is embedded anew.
    p.delete({"network_name": "larger"})
    assert p.compare("all").n_new == 0
    fill(p)
    newest = p.Embedding & "entry = 2" & {"embedding_name": "output"}
    assert newest.fetch1("n_embedded") == 4
    # A network that is renamed keeps its pairs, on both sides.
    p.rename("network", "one", "first")
    assert {frozenset(("first", "permuted")), frozenset(("first", "silent"))} <= set(pairs(p))
    assert len(pairs(p)) == 6
    # Blocks that are deleted are computed again.
    before = pairs(p)
    p.delete(table=p.PairBlock, everything=True)
    assert not len(p.NetworkPair())
    fill(p)
    again = pairs(p)
    assert {k: v["output_distance"] for k, v in again.items()} == pytest.approx(
        {k: v["output_distance"] for k, v in before.items()}
    )
    # Where all are deleted, embeddings say so.
    p.delete(p.Selection(task_name="louder"))
    p.delete(table=p.Embedding, everything=True)
    fill(p)
    assert set(p.Embedding.to_arrays("embedding_status")) == {"few_networks"}


def test_fixed_points_are_waited_for_and_compared(entered):
    p = entered
    assert p.fill((p.Training,)).errors == []
    n = len(p.Training.Network())
    p.compare("sets", max_trials=12, dsa="wasserstein")
    fill(p)
    assert not len(p.NetworkSummary()) and not len(p.PairBlock())
    assert p.fill((p.FixedPoints,)).errors == []
    fill(p)
    assert len(p.NetworkSummary()) == n and len(p.NetworkPair()) == n * (n - 1) // 2
    for row in p.NetworkPair.to_dicts():
        if library() is None:
            assert row["dsa_distance"] is None
            assert "DSA: the library dsa-metric is not installed" in row["pair_reason"]
        else:
            assert row["dsa_distance"] >= 0.0
        both = [
            {**{k: row[k] for k in p.Training.Network.primary_key}},
            {"task_name": row["task_name"], "network_name": row["other_network"],
             "training_name": row["other_training"], "first_seed": row["other_first_seed"],
             "seed": row["other_seed"]},
        ]  # fmt: skip
        counts = [(p.FixedPoints & key).to_arrays("n_points", order_by="KEY") for key in both]
        sure = not len(p.FixedPoints & both & "search_status not in "
                       "('complete', 'probably complete') and not enumerated")  # fmt: skip
        if sure:
            wanted = np.abs(np.subtract(*counts)).mean()
            assert row["point_number_distance"] == pytest.approx(wanted)
        else:
            assert row["point_number_distance"] is None
            assert "may lack some" in row["pair_reason"]
    with pytest.raises(ParameterError, match="is not there"):
        p.distance_matrix("other")


@pytest.mark.both_backends
def test_the_search_of_a_comparison_may_be_renamed(entered):
    p = entered
    p.fill((p.Training,))
    p.FixedPointParams.insert1({"search_name": "mine", "mode": "exact", "max_starts": 300})
    p.compare("sets", search="mine")
    p.rename("search", "mine", "ours")
    assert p.Comparison.fetch1("comparison_search") == "ours"
    assert p.compare("sets", search="ours").n_new == 0
    assert not p.NetworkSummary.key_source  # which waits for its points


@pytest.mark.parametrize("n_old", [0, 1, 250, 1000])
@pytest.mark.parametrize("n_new", [1, 2, 150])
@pytest.mark.parametrize("n_units", [10, 1000])
def test_blocks_hold_every_new_pair_once(n_old, n_new, n_units):
    seen = np.zeros((n_old + n_new,) * 2, dtype=int)
    sizes = []
    for a, b, c, d in blocks_of(n_old, n_new, n_units):
        i, j = np.meshgrid(np.arange(a, b), np.arange(c, d), indexing="ij")
        seen[i[i < j], j[i < j]] += 1
        sizes.append((b - a) * (d - c))
    wanted = np.triu(np.ones_like(seen), 1)
    wanted[:n_old, :n_old] = 0
    assert np.array_equal(seen, wanted)
    assert max(sizes, default=0) <= PAIRS_OF_A_JOB
