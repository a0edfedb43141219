"""Recordings are rows: written from a network, entered, described, compared, on both back ends."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import models
from pipeline.cli import commands as cli
from pipeline.report.analyses.recordings import RECORDED_POPULATION
from pipeline.report.drawn import Drawings
from pipeline.report.write import write_report
from pipeline.sharing.capsule_rows import CapsuleRows
from pipeline.tables.population_rows import population_from_rows
from pipeline.tables.recorded_populations import PREFIX, rows_of_networks
from pipeline.tables.recording_distances import comparison_from_row
from pipeline.upkeep.verify_rows import verify_rows
from tasks_lib import ParameterError
from tests.models.nwb_recordings import eight_trials, lively_network, write_nwb
from tests.pipeline.test_populations import no_nan

pytestmark = pytest.mark.either_backend

FLAGS = {
    "class": "tests.models.population_networks:Flags",
    "n_steps": 30,
    "params": {"on": 10, "a": [-1.0, 0.0, 1.0]},
}
SEVEN, EIGHT = {"network_name": "seven"}, {"network_name": "eight"}


def enter(p, tmp_path):
    """Import two networks of a task."""
    p.submit({"tasks": {"flags": FLAGS}})
    for number, name in ((7, "seven"), (8, "eight")):
        rnn = lively_network(number)
        config = models.NetworkConfig(
            n_units=rnn.n_units, activation="tanh", tau=1.0, dt=0.3, self_connections=True,
            bias_min=-1.0, bias_max=1.0 + number, sigma_rec=0.0, sigma_inp=0.0,
        )  # fmt: skip
        p.import_network(models.write_network(tmp_path / f"{name}.npz", rnn, config), "flags", name)


@pytest.fixture
def connected(database, monkeypatch):
    """The database, to which commands find themselves connected."""
    monkeypatch.setattr(database, "connect", lambda **options: None)
    monkeypatch.setattr(database, "disconnect", lambda: None)
    return database


def rnn(*words):
    done = CliRunner().invoke(cli.app, [str(word) for word in words], env={"COLUMNS": "100"})
    return done.exit_code, done.output


@pytest.mark.usefixtures("own_classes_allowed")
@pytest.mark.both_backends
def test_a_network_is_written_entered_described_and_found_again(connected, tmp_path):
    p = connected
    enter(p, tmp_path)
    path = tmp_path / "probe.nwb"
    code, said = rnn(
        "export", path, "--network", "seven", "--format", "nwb", "--set", "n_units=25",
        "--set", "n_repeats=2", "--set", "seed=1",
    )  # fmt: skip
    assert code == 0 and "probe.nwb" in said, said
    code, said = rnn("import", path, "--task", "flags", "--set", "smoothing=0.05")
    assert code == 0 and "flags/probe: 25 of 25 units, 72 trials, 0 to 0.9 s" in said
    key = {"task_name": "flags", "recording_name": "probe"}
    row = (p.Recording & key).fetch1()
    assert (row["recording_trials"], row["recording_smoothing"]) == (72, 0.05)
    # What is stored is what was read.
    direct = models.read_recording(path, models.RecordingSettings(smoothing=0.05))
    stored = (p.Recording & key).trials()
    assert np.allclose(stored["rates"], direct["rates"], rtol=1e-6)
    for name in ("a", "b", "choice", "time", "inputs", "unit_id", "counts", "kind"):
        assert np.array_equal(stored[name].values, direct[name].values), name
    assert stored.attrs["sha256"] == direct.attrs["sha256"]
    assert p.fill((p.RecordedPopulation, p.RecordingDistance, p.Population)).errors == []
    # The columns are those of networks.
    population = (p.RecordedPopulation & key).fetch1()
    found = models.describe_recording(direct, seed=2**32 + 1)
    assert population["recorded_population_status"] == found.status == "analysed"
    assert population["recorded_n_active"] == 25
    whole = (p.RecordedPopulation.Period & key & {"recorded_period_number": 0}).fetch1()
    ratio = found.periods[0][1].participation_ratio
    assert whole["recorded_participation_ratio"] == pytest.approx(ratio, rel=1e-4)
    for ours, theirs in ((p.RecordedPopulation.Group, p.Population.Group),
                         (p.RecordedPopulation.Coding, p.Population.Coding)):  # fmt: skip
        names = {n.removeprefix(PREFIX) for n in ours().heading.secondary_attributes}
        assert names <= set(theirs().heading.secondary_attributes)
        beside = ours().as_of_networks().heading.secondary_attributes
        assert names == set(beside)
    joined = p.RecordedPopulation.Period * p.Population.Period & "period_number = 0"
    assert len(joined & "recorded_period_number = 0") == 2
    assert len((p.RecordedPopulation & key).plot().axes) >= 4
    # The network that was recorded is the nearest.
    distances = p.RecordingDistance.to_dicts(order_by="recording_procrustes")
    assert [row["network_name"] for row in distances] == ["seven", "eight"]
    assert {row["recording_status"] for row in distances} == {"compared"}
    assert distances[0]["recording_procrustes_p"] < 0.05 and distances[0]["n_sampled"] == 25
    near = p.Selection(where=("recording_procrustes < 0.45 and n_conditions = 9",))
    assert near.networks().to_arrays("network_name").tolist() == ["seven"]
    tables = (p.Recording.Trial, p.Recording.Unit, p.RecordedPopulation.Unit, p.RecordingDistance)
    assert all(no_nan(table.to_dicts()) for table in tables)
    assert verify_rows().is_whole
    notes = _notes(path)
    assert notes["network"]["network_name"] == "seven" and notes["parameters"]["n_units"] == 40
    assert notes["code_version"] and notes["n_units"] == 25
    _see_report(p, tmp_path / "report")
    # A capsule of one network has the recordings of its task.
    held = {t.title: len(t.rows) for t in CapsuleRows(p.Selection(network_name="seven")).tables()}
    assert [held[name] for name in ("Recording", "Recording.Unit", "RecordedPopulation")] == [
        1,
        25,
        1,
    ]
    assert (held["RecordingDistance"], held["RecordingDistanceParams"]) == (1, 1)
    # What hangs on a recording follows its task, and goes with it.
    p.rename("task", "flags", "two_flags")
    assert p.RecordingDistance.to_arrays("task_name").tolist() == ["two_flags"] * 2
    # A task that was recorded stays with its recordings where its networks go.
    files = [row["recorded_rates"].stored["path"] for row in p.Recording.to_dicts()]
    p.delete(EIGHT, p.Cohort, parameters=True)
    p.delete(SEVEN, p.Cohort, parameters=True)
    assert len(p.Recording()) == 1 and not len(p.RecordingDistance()) and len(p.Task()) == 1
    done = p.delete({"recording_name": "probe"}, p.Recording)
    assert done.rows["Recording"] == 1 and set(done.files) == set(files)
    assert not len(p.RecordedPopulation()) and not len(p.Recording.Trial())


def _see_report(p, folder):
    """Look at the page of the recording in a report of one network, and of another task's none."""
    report = write_report(folder, SEVEN, draw=False)
    name = "flags--probe"
    figures = {f"recordings/{name}--units.png", f"figures/{name}--recorded_population--default.png"}
    assert figures < report.paths and not report.faults
    page = (folder / "recordings" / f"{name}.html").read_text()
    distance = (p.RecordingDistance & SEVEN).fetch1("recording_procrustes")
    group = (p.RecordedPopulation.Group & "recorded_unit_group = 'active'").fetch1()
    assert "25 recorded units in 72 trials of the task flags" in page
    assert f"<td>{group['recorded_group_mean_rate']:.4g}" in page and "Dimensions of rates" in page
    assert f"<td>{distance:.3g}" in page and "from bin" in page and "spectral radius" not in page
    assert "<dt>smoothing<dd>0.05" in page and "eight" not in page
    for file in (folder / "index.html", next((folder / "networks").iterdir())):
        assert f"recordings/{name}.html" in file.read_text()
    assert write_report(folder, SEVEN, draw=False).n_written == 0
    # What the figure of its population shows is what was found.
    drawing = RECORDED_POPULATION.drawing
    fetched = Drawings(p.Selection())._fetch(drawing)
    rows = {title.removeprefix("Recorded"): rows_of_networks(next(iter(by_key.values())))
            for title, (_, by_key) in fetched.items()}  # fmt: skip
    shown = population_from_rows(rows)
    direct = p.RecordedPopulation()._analyse(p.RecordedPopulation.fetch1("KEY"))
    assert shown.weights is None and np.allclose(shown.units.energy, direct.units.energy)
    assert [o.name for o, _ in shown.periods] == [o.name for o, _ in direct.periods]
    row = (p.RecordingDistance & SEVEN).fetch1()
    assert comparison_from_row(row).distances["rsa"].chance == row["recording_rsa_chance"]


@pytest.mark.usefixtures("own_classes_allowed")
def test_what_cannot_be_entered_leaves_nothing(connected, tmp_path):
    p = connected
    p.submit({"tasks": {"flags": FLAGS}})
    areas = [{"area": area} for area in ("M2", "M2", "ALM")]
    path = write_nwb(tmp_path / "hand.nwb", trials=eight_trials(a=1.0), units=areas)
    for arguments, words in (
        ((path, "flag"), "did you mean flags"),
        ((path, "flags", "no name"), "is not a name"),
        ((tmp_path / "none.nwb", "flags"), "is no file"),
    ):
        with pytest.raises(ParameterError, match=words):
            p.enter_recording(*arguments)
    with pytest.raises(ParameterError, match=r"alignment = .*align"):
        p.enter_recording(path, "flags", alignment="cue_time")
    with pytest.raises(ParameterError, match="selects 0 networks"):
        p.export_recording({"network_name": "none"}, tmp_path / "a.nwb")
    assert not len(p.Recording())
    key = p.enter_recording(path, "flags", min_rate=5.0)
    assert key == {"task_name": "flags", "recording_name": "hand"}
    with pytest.raises(ParameterError, match="is a recording of flags already"):
        p.enter_recording(path, "flags", min_rate=0.0)
    with pytest.raises(ParameterError, match="read in the same way, as hand"):
        p.enter_recording(path, "flags", "other", min_rate=5.0)
    p.enter_recording(path, "flags", "other", min_rate=0.0, conditions={"side": "b"})
    assert (p.Recording & {"recording_name": "other"}).fetch1("recording_conditions") == {
        "side": "b"
    }
    # The same file with units of one area is another recording, of which the row says so.
    chosen = ("import", path, "--task", "flags", "--recording", "of_m2", "--set", "min_rate=0")
    code, output = rnn(*chosen, "--set", "unit_columns=area:M2|M1")
    assert code == 0 and "flags/of_m2: 2 of 3 units" in output, output
    found = p.Recording & {"recording_name": "of_m2"}
    assert found.fetch1("recording_unit_columns") == {"area": ["M1", "M2"]}
    assert found.trials().sizes["unit"] == 2 and p.Recording.default_columns()[
        "recording_unit_columns"] == {}  # fmt: skip
    with pytest.raises(ParameterError, match="read in the same way, as of_m2"):
        p.enter_recording(path, "flags", min_rate=0.0, recording_name="x",
                          unit_columns={"area": ["M2", "M1"]})  # fmt: skip
    p.delete({"recording_name": "of_m2"}, p.Recording)
    # Few units are said to be few, and numbers that would mislead are not there.
    assert p.fill((p.RecordedPopulation,)).errors == []
    rows = p.RecordedPopulation.to_dicts(order_by="recording_name")
    assert [r["recorded_population_status"] for r in rows] == ["few_units"] * 2
    assert [r["recorded_n_active"] for r in rows] == [2, 3]
    assert len(p.RecordedPopulation.Unit()) == 5 and not len(p.RecordedPopulation.Period())
    for words, said in (
        (("import", path, "--task", "flags", "--set", "bin_width=wide"), "write a number"),
        (("import", path, "--task", "flags", "--set", "bins=2"), "is no field"),
        (("import", path), "name the task that was recorded"),
        (("import", tmp_path / "a.npz", "--task", "flags", "--recording", "a"), "goes with a"),
        (("export", tmp_path / "a.npz", "--set", "gain=2"), "--format nwb"),
        (("import", path, "--task", "flags", "--network", "a"), "goes with the file of a network"),
    ):
        code, output = rnn(*words)
        assert code != 0 and said in " ".join(output.split()), output


def _notes(path):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(path), "r") as file:
        return json.loads(file.read().notes)
