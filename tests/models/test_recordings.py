"""Recordings: read as an electrode sees, written from networks, described, compared."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

import models
from models.populations.recording import recording_of
from models.recordings.rates import aligned_rates, bin_edges
from models.recordings.spikes import firing_rates
from tasks_lib import ParameterError
from tests.models.nwb_recordings import eight_trials, lively_network, write_nwb
from tests.models.population_networks import Flags, copies
from tests.needs import optional_module

h5py = optional_module("h5py")
TASK = Flags(n_steps=30, on=10, a=(-1.0, 0.0, 1.0))
PLAIN = models.RecordingSettings(bin_width=0.1, smoothing=0.0, min_rate=0.0)


def settings(**changes):
    return models.RecordingSettings(
        **{"bin_width": 0.1, "smoothing": 0.0, "min_rate": 0.0} | changes
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file of 25 of 40 units of network 7."""
    path = tmp_path_factory.mktemp("recording") / "seven.nwb"
    asked = models.SpikeSettings(n_units=25, n_repeats=2, seed=1)
    return models.write_recording(path, lively_network(7), TASK, asked, metadata={"seed": 7})


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    return write_nwb(tmp_path_factory.mktemp("recording") / "hand.nwb", trials=eight_trials())


# Rates ----------------------------------------------------------------------------------------


def test_rates_are_counts_in_bins_from_time_zero():
    spikes = np.array([0.95, 1.05, 1.06, 1.15, 2.45])
    edges = bin_edges(-0.1, 0.2, 0.1)
    rates = aligned_rates(spikes, [1.0, 2.3], edges)
    assert np.allclose(rates, [[10, 20, 10], [0, 0, 10]])


def test_a_smoothed_rate_keeps_its_spikes_and_sees_those_beyond_the_window():
    edges = bin_edges(0.0, 2.0, 0.01)
    inside = aligned_rates([1.0], [0.0], edges, 0.05)[0]
    assert inside.sum() * 0.01 == pytest.approx(1.0)
    peak, later = inside[100], inside[105]
    assert later / peak == pytest.approx(np.exp(-0.5), rel=1e-6)  # a standard deviation away
    steady = aligned_rates(np.arange(-5, 5, 0.01) + 0.005, [0.0], edges, 0.05)
    assert np.allclose(steady, 100.0)


def test_drawn_spikes_have_the_rate_and_stay_in_their_trial():
    rates = np.full((50, 100, 2), [20.0, 0.0])
    within = np.ones((50, 100), bool)
    within[:, 60:] = False
    starts = 2.0 * np.arange(50)
    first, second = models.draw_spikes(rates, starts, 0.01, within=within, seed=3)
    assert abs(len(first) - 600) < 4 * np.sqrt(600) and not len(second)
    assert (np.mod(first, 2.0) < 0.6).all() and (np.diff(first) >= 0).all()
    again = models.draw_spikes(rates, starts, 0.01, within=within, seed=3)
    assert np.array_equal(first, again[0])
    with pytest.raises(ParameterError, match="at least 0"):
        models.draw_spikes(-rates, starts, 0.01)
    with pytest.raises(ParameterError, match="lower gain"):
        models.draw_spikes(1e9 * rates, starts, 0.01)


def test_negative_rates_are_shifted_or_rectified():
    r = np.array([[[-1.0, 0.5], [1.0, 1.0]]])
    assert firing_rates(r, 10.0).tolist() == [[[0.0, 5.0], [20.0, 10.0]]]
    assert firing_rates(r, 10.0, "rectify").tolist() == [[[0.0, 5.0], [10.0, 10.0]]]


def test_only_active_units_are_sampled():
    trials = models.get_trials(copies([[1, 0], [0, 0], [0, 1], [0, 0], [1, 1]]), TASK)
    assert models.sample_units(trials)["unit"].values.tolist() == [0, 2, 4]
    two = models.sample_units(trials, 2, seed=5)
    assert two.sizes["unit"] == 2 and set(two["unit"].values) < {0, 2, 4}
    assert two.identical(models.sample_units(trials, 2, seed=5))
    with pytest.raises(ParameterError, match="only 3 of 5 units are active"):
        models.sample_units(trials, 4)


# Files ----------------------------------------------------------------------------------------


def test_a_file_by_hand_is_read(by_hand):
    trials = models.read_recording(by_hand, PLAIN)
    assert trials["rates"].dims == ("trial", "time", "unit")
    assert trials["rates"].shape == (8, 10, 3)
    assert np.allclose(trials["rates"][..., 0], 100.0) and np.allclose(trials["rates"][..., 1], 10)
    assert trials["rates"][..., 2].sum() == pytest.approx(2 / 0.1)
    assert trials["time"].values[:2] == pytest.approx([0.05, 0.15])
    assert trials["side"].values.tolist() == ["left", "right"] * 4
    assert trials["unit_id"].values.tolist() == [10, 11, 12]
    assert trials["input"].values.tolist() == ["cue"] and "cue_time" not in trials.coords
    activity = recording_of(trials)
    assert [(p.name, p.on, p.off) for p in activity.periods] == [
        ("whole", 0.0, 10.0), ("period 1", 0.0, 3.0), ("period 2", 3.0, 10.0)
    ]  # fmt: skip
    assert [v.name for v in activity.variables] == ["side"]
    assert len(trials.attrs["sha256"]) == 64 and trials.attrs["file"] == "hand.nwb"


def test_a_window_around_an_event_and_names_of_the_task(by_hand):
    asked = settings(
        align="cue_time", window_on=-0.2, window_off=0.4, min_rate=5.0, conditions={"side": "a"}
    )
    trials = models.read_recording(by_hand, asked)
    assert trials["rates"].shape == (8, 6, 2)
    assert trials["time"].values[0] == pytest.approx(-0.15)
    assert "a" in trials.coords and "side" not in trials.coords
    assert trials["inputs"].values[3, :, 0].tolist() == [0, 0, 1, 1, 1, 1]  # the cue is time 0


def test_choices_keep_their_name_and_may_be_missing(tmp_path):
    trials = eight_trials(choice=1.0, reaction_time=0.2)
    trials[3] |= {"choice": np.nan, "reaction_time": np.nan}
    found = models.read_recording(write_nwb(tmp_path / "a.nwb", trials=trials), PLAIN)
    assert np.isnan(found["choice"].values).tolist() == [i == 3 for i in range(8)]
    # A duration is no time of the session: it is a condition.
    assert found["reaction_time"].values[:2].tolist() == [0.2, 0.2]
    assert found["input"].values.tolist() == ["cue"]
    assert [v.name for v in recording_of(found).variables] == ["side", "reaction_time", "choice"]


def test_units_are_those_of_a_quality_and_a_group_that_were_observed(tmp_path):
    all_day, morning = np.array([[0.0, 10.0]]), np.array([[0.0, 3.0]])
    spikes = [np.arange(0.005, 10, 0.01)] * 4
    units = [
        {"quality": quality, "obs_intervals": observed}
        for quality, observed in
        [("good", all_day), ("noise", all_day), ("good", morning), ("good", all_day)]
    ]  # fmt: skip
    path = write_nwb(tmp_path / "a.nwb", spikes, eight_trials(), units, ("v1", "v1", "v1", "v4"))

    def read(**asked):
        return models.read_recording(path, settings(**asked))["unit_id"].values.tolist()

    assert read() == [10, 11, 13]
    assert read(quality="good") == [10, 13]
    assert read(quality="good", electrode_group="v4") == [13]
    with pytest.raises(ParameterError, match=r"quality = 'great'.*good"):
        read(quality="great")
    with pytest.raises(ParameterError, match="electrode_group = 'mt'"):
        read(electrode_group="mt")


def test_units_are_those_of_which_columns_say_what_is_asked(tmp_path):
    spikes = [np.arange(0.005, 10, 0.01)] * 4
    units = [
        {"cell_type": cell, "depth": depth, "is_tagged": tagged}
        for cell, depth, tagged in
        [("FSI", 200, True), ("PV", 300, False), ("pyramidal", 200, True), ("FSI", 200, False)]
    ]  # fmt: skip
    path = write_nwb(tmp_path / "a.nwb", spikes, eight_trials(), units, ("v1", "v1", "v4", "v4"))

    def read(**columns):
        chosen = settings(unit_columns=columns)
        assert chosen == settings(unit_columns=chosen.unit_columns)  # as rows have it
        return models.read_recording(path, chosen)["unit_id"].values.tolist()

    assert read(cell_type="FSI") == [10, 13]
    assert read(cell_type="FSI | PV") == read(cell_type=["PV", "FSI"]) == [10, 11, 13]
    assert read(cell_type=["FSI", "pyramidal"], depth=200.0, is_tagged=True) == [10, 12]
    assert read(depth="200", is_tagged="false") == [13]
    assert read(electrode_group="v4") == [12, 13]
    assert read(location="cortex") == [10, 11, 12, 13]
    for columns, said in (
        ({"cell_type": "PVN"}, r"unit_columns = .*PVN.*none of 4 units.*did you mean PV"),
        ({"depth": 300, "is_tagged": True}, r"is_tagged.*none of 1 unit"),
        ({"area": "v1"}, r"unit_columns = 'area': is no column of the units table.*cell_type"),
        ({"location": "striatum"}, r"striatum.*none of 4 units.*cortex"),
        ({"spike_times": 1.0}, r"no single value for a unit"),
    ):
        with pytest.raises(ParameterError, match=said):
            read(**columns)


def test_trials_aligned_to_an_event_have_their_time_zero_there(tmp_path):
    trials = [{**one, "go_cue_time": one["start_time"] + 0.2 + 0.05 * i, "delay": 0.1 * i}
              for i, one in enumerate(eight_trials())]  # fmt: skip
    trials[6]["go_cue_time"] = np.nan
    # One unit fires 0.1 s after each cue.
    cues = np.array([one["go_cue_time"] for one in trials])
    burst = np.sort(np.concatenate([cues[np.isfinite(cues)] + 0.1 + 0.001 * k for k in range(9)]))
    path = write_nwb(tmp_path / "a.nwb", [burst], trials)
    asked = {"window_on": -0.2, "window_off": 0.4, "unusable": "leave_out"}
    found = models.read_recording(path, settings(align="go_cue_time", **asked))
    assert found["delay"].values == pytest.approx([0.1 * i for i in range(8) if i != 6])
    rates = found["rates"].isel(unit=0).values
    assert rates[:, 3] == pytest.approx(90.0) and not np.delete(rates, 3, axis=1).any()
    assert found["input"].values.tolist() == ["cue", "go_cue"]
    assert (found["inputs"].sel(input="go_cue").values == (found["time"].values > 0)).all()
    # Times from the beginning of each trial are not those of the session.
    with pytest.raises(ParameterError, match=r"trials.delay = 0\.1: .*clock; .*add start_time"):
        models.read_recording(path, settings(align="delay", **asked))


def test_trials_that_cannot_be_used_are_refused_or_left_out(tmp_path):
    trials = eight_trials()
    trials[2]["cue_time"] = np.nan
    trials[5] |= {"stop_time": trials[5]["start_time"] + 0.5}
    path = write_nwb(tmp_path / "a.nwb", trials=trials)
    with pytest.raises(ParameterError, match=r"trials.cue_time.*nan.*in trial 2; .*leave_out"):
        models.read_recording(path, settings(align="cue_time"))
    with pytest.raises(ParameterError, match=r"trials.stop_time.*in trial 5; .*up to 0.5"):
        models.read_recording(path, settings(window_off=1.0))
    asked = settings(align="cue_time", window_off=0.5, unusable="leave_out")
    found = models.read_recording(path, asked)
    assert found.sizes["trial"] == 6 and found.attrs["n_trials_left_out"] == 2
    shortest = models.read_recording(path, settings())  # the window ends with the shortest
    assert shortest.sizes["time"] == 5 and shortest.sizes["trial"] == 8


def without(name):
    def change(file):
        del file[name]

    return change


def overlap(file):
    file["intervals/trials/start_time"][3] = 2.5


def backwards(file):
    file["intervals/trials/stop_time"][3] = 3.0


def nan_spike(file):
    file["units/spike_times"][4] = np.nan


def same_ids(file):
    file["units/id"][:] = 10


def years(file):
    file["intervals/trials/start_time"][:] *= 1e10
    file["intervals/trials/stop_time"][:] *= 1e10


BAD = [
    (years, {"min_rate": 0.0}, r"bin_width = .*would take about .*wider bins"),
    (None, {"bin_width": 1e-12}, r"bin_width = .*shorter than a tenth of a spike.*use at least"),
    (None, {"smoothing": 30.0}, r"smoothing = 30.0: is more than the window of 1 s"),
    (without("units"), {}, r"units = 'units'.*add_unit"),
    (without("intervals/trials"), {}, r"trials = .*add_trial"),
    (overlap, {}, r"start_time of trial 3 = 2.5: is before trial 2 ends"),
    (backwards, {}, r"trials.stop_time = 3.0: is not after start_time in trial 3"),
    (nan_spike, {}, r"units.spike_times of unit 10 = nan"),
    (same_ids, {}, r"units.id = 10: is that of \d+ units"),
    (None, {"align": "go_time"}, r"trials = 'go_time': is no column.*cue_time"),
    (None, {"align": "side"}, r"trials.*'side'|trials.side = "),
    (None, {"conditions": {"colour": "c"}}, r"conditions = 'colour'.*side"),
    (None, {"window_off": 1.5}, r"use window_off up to 1,"),
    (None, {"min_rate": 200.0}, r"min_rate = 200.0.*the highest is 100"),
    (None, {"quality": "good"}, r"quality.*no column quality"),
]


@pytest.mark.parametrize(("change", "asked", "said"), BAD)
def test_a_file_that_cannot_be_used_is_refused(by_hand, tmp_path, change, asked, said):
    path = tmp_path / "bad.nwb"
    path.write_bytes(by_hand.read_bytes())
    if change is not None:
        with h5py.File(path, "a") as file:
            change(file)
    with pytest.raises(ParameterError, match=said):
        models.read_recording(path, settings(**asked))


def test_what_is_no_nwb_file_is_refused(tmp_path):
    with pytest.raises(ParameterError, match="is no file"):
        models.read_recording(tmp_path / "none.nwb")
    (text := tmp_path / "text.nwb").write_text("units")
    with pytest.raises(ParameterError, match="is no HDF5 file"):
        models.read_recording(text)
    with h5py.File(tmp_path / "other.nwb", "w") as file:
        file["units"] = [1]
    with pytest.raises(ParameterError, match="without the attribute nwb_version"):
        models.read_recording(tmp_path / "other.nwb")


def test_links_out_of_the_folder_are_refused(by_hand, tmp_path):
    inner = tmp_path / "inner"
    inner.mkdir()
    path = inner / "linked.nwb"
    path.write_bytes(by_hand.read_bytes())
    outside = tmp_path / "outside.h5"
    with h5py.File(outside, "w") as file:
        file["data"] = np.zeros(3)
    with h5py.File(path, "a") as file:
        file["scratch"] = h5py.ExternalLink("../outside.h5", "/data")
    with pytest.raises(ParameterError, match=r"/scratch in linked.nwb lies in '../outside.h5'"):
        models.read_recording(path)
    # Nor by way of a file that lies beside it.
    with h5py.File(path, "a") as file:
        del file["scratch"]
        file["scratch"] = h5py.ExternalLink("beside.h5", "/data")
    with pytest.raises(ParameterError, match="which is not there"):
        models.read_recording(path)
    with h5py.File(inner / "beside.h5", "w") as file:
        file["data"] = h5py.ExternalLink(str(outside), "/data")
    with pytest.raises(ParameterError, match=r"/data in beside.h5.*outside the folder"):
        models.read_recording(path)
    layout = h5py.VirtualLayout(shape=(3,), dtype=float)
    layout[:] = h5py.VirtualSource(str(outside), "data", shape=(3,))
    with h5py.File(path, "a") as file:
        del file["scratch"]
        file.create_virtual_dataset("scratch", layout)
    with pytest.raises(ParameterError, match=r"/scratch in linked.nwb.*outside the folder"):
        models.read_recording(path)


def test_without_pynwb_the_extra_is_named(by_hand, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynwb", None)
    for attempt in (
        lambda: models.read_recording(by_hand),
        lambda: models.write_recording(tmp_path / "a.nwb", lively_network(0), TASK),
    ):
        with pytest.raises(ParameterError, match=r"pip install 'rnn-pipeline\[nwb\]'"):
            attempt()


# Networks as recordings -------------------------------------------------------------------------


def test_a_written_network_is_read_with_its_trials_and_periods(written):
    found = models.read_recording(written)
    trials = models.get_trials(lively_network(7), TASK, seed=1, max_trials=64, n_repeats=2)
    assert found.sizes["trial"] == trials.sizes["trial"] and found.sizes["unit"] == 25
    for name in ("a", "b", "choice", "repeat", "kind"):
        assert np.array_equal(found[name].values, trials[name].values), name
    ours, theirs = (recording_of(each) for each in (found, trials))
    share = [(p.on / found.sizes["time"], p.off / found.sizes["time"]) for p in ours.periods]
    expected = [(p.on / 30, p.off / 30) for p in theirs.periods]
    assert np.allclose(share, expected, atol=1 / found.sizes["time"])
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    # Rates are those of the network: of its units, in Hz, up to the noise of the spikes.
    chosen = trials["rates"].values[..., found["unit_id"].values]
    expected = firing_rates(chosen, 30.0).mean(axis=(0, 1))
    n_seconds = found.sizes["trial"] * 30 * 0.03
    assert np.abs(found["rates"].mean(("trial", "time")) - expected).max() < 5 * np.sqrt(
        expected.max() / n_seconds
    )


def test_smoothed_rates_of_a_written_network_do_not_fall_at_the_ends_of_trials(tmp_path):
    steady = copies(np.zeros((4, 2)), np.full(4, 2.0), x_init=np.full(4, 2.0))
    asked = models.SpikeSettings(gain=50.0, n_repeats=10, tau_seconds=0.02)
    found = models.read_recording(models.write_recording(tmp_path / "a.nwb", steady, TASK, asked))
    rates = found["rates"].mean(("trial", "unit")).values  # of 1440 trials and units
    assert np.abs(rates - 100.0).max() < 5 * np.sqrt(100.0 / 0.02 / 1440)


def test_a_written_file_says_what_it_is_of(written):
    from pynwb import NWBHDF5IO

    with NWBHDF5IO(str(written), "r") as file:
        contents = file.read()
        notes = json.loads(contents.notes)
        rates = contents.processing["network"]["rates"]
        assert rates.data.shape == (2 * 36 * 30, 25) and len(rates.timestamps) == 2 * 36 * 30
        assert contents.units["n_spikes"][0] == len(contents.units["spike_times"][0])
    assert (notes["seed"], notes["gain"], notes["tau"], notes["task"]) == (1, 30.0, 1.0, "Flags")


def test_a_network_is_found_again_among_twenty_by_25_of_its_units(written):
    recording = models.read_recording(written)
    asked = models.RecordingComparisonSettings(n_shuffles=20, n_samples=3)
    found = [models.compare_recording(recording, lively_network(k), TASK, asked) for k in range(20)]
    assert {one.status for one in found} == {"compared"}
    assert {(one.n_conditions, one.n_sampled) for one in found} == {(9, 25)}
    distances = np.array([one.distances["procrustes"].distance for one in found])
    assert distances.argmin() == 7
    own, others = distances[7], np.delete(distances, 7)
    assert own < others.min() - 2 * found[7].distances["procrustes"].spread
    assert found[7].distances["procrustes"].p == pytest.approx(1 / 21)
    assert found[7].distances["procrustes"].chance > own
    assert found[7].half_distance == pytest.approx(found[0].half_distance)
    named = {f"network {k}": one for k, one in enumerate(found)}
    figure = models.plot_recording(recording, named, by="a")
    _, one, nearest = figure.axes
    assert one.get_ylabel() == "rate (Hz)" and len(one.lines) == 3
    assert [label.get_text() for label in nearest.get_yticklabels()] == ["network 7"]
    assert len(models.plot_recording(recording, by="a").axes) == 2
    lacking = {"a": models.RecordingComparison("few_trials", "there are 0")}
    with pytest.raises(ParameterError, match="there are 0"):
        models.plot_recording(recording, lacking)


def test_units_of_a_network_are_at_no_distance_from_it():
    rnn = lively_network(3)
    trials = models.get_trials(rnn, TASK)
    found = models.compare_recording(
        trials, rnn, TASK, models.RecordingComparisonSettings(n_samples=0, n_shuffles=0, n_times=30)
    )
    assert max(one.distance for one in found.distances.values()) < 1e-6
    assert found.half_distance == pytest.approx(0.0, abs=1e-6)
    assert found.distances["rsa"].chance is None and found.distances["rsa"].spread is None


# Statuses ---------------------------------------------------------------------------------------


def of_trials(trials, n_units=6, rates=None, field="a"):
    """A recording of trials with these values of a condition."""
    rng = np.random.default_rng(0)
    said = [models.RecordedTrial(0.0, 1.0, {field: value}, {}) for value in trials]
    shape = (len(trials), 10, n_units)
    found = rng.gamma(2.0, size=shape) if rates is None else np.broadcast_to(rates, shape)
    return models.RecordedActivity(
        found, said, np.arange(n_units), 1.0, PLAIN,
        {"file": "x", "sha256": "", "session": "", "n_units_in_file": 6, "n_trials_left_out": 0},
    ).dataset()  # fmt: skip


@pytest.mark.parametrize(
    ("recording", "status"),
    [
        (of_trials([0.0, 1.0] * 5), "analysed"),
        (of_trials([0.0, 1.0] * 3), "few_trials"),
        (of_trials([0.0, 1.0] * 5, n_units=3), "few_units"),
        (of_trials([1.0] * 10), "one_condition"),
        (of_trials([0.0, 1.0] * 5, rates=0.0), "silent"),
        (of_trials([0.0, 1.0] * 5, rates=2.0), "constant"),
    ],
)
def test_a_description_says_what_cannot_be_told(recording, status):
    found = models.describe_recording(recording)
    assert found.status == status and bool(found.reason) == (status != "analysed")
    assert found.units is not None and found.weights is None
    assert bool(found.periods) == (status in ("analysed", "one_condition", "constant"))
    assert bool(found.selectivity) == (status == "analysed" or status == "constant")
    models.plot_population(found)


def test_a_description_is_that_of_the_same_units_of_a_network():
    rnn = lively_network(2)
    ours = models.get_population(rnn, TASK, seed=4)
    theirs = models.describe_recording(models.get_trials(rnn, TASK, seed=4), seed=4)
    assert theirs.status == "analysed"
    assert theirs.periods[0][1].participation_ratio == pytest.approx(
        ours.periods[0][1].participation_ratio
    )
    assert np.allclose(theirs.selectivity[0].eta_squared, ours.selectivity[0].eta_squared)


@pytest.mark.parametrize(
    ("recording", "status", "said"),
    [
        (of_trials([0.0, 1.0] * 5, field="colour"), "no_condition", "colour"),
        (of_trials([0.0, 1.0, -1.0]), "few_trials", "there are 0 with 2"),
        (of_trials([1.0] * 6), "one_condition", "there are 1 with 2"),
        (of_trials([0.0, 1.0] * 5, n_units=3), "few_units", "recording: 3 active"),
        (of_trials([0.0, 1.0] * 5, rates=0.0), "silent", "recording: "),
        (of_trials([0.0, 1.0] * 5, rates=2.0), "constant", "recording: "),
        (of_trials(["left", "right"] * 5), "no_condition", "a"),
    ],
)
def test_a_comparison_says_why_there_is_none(recording, status, said):
    found = models.compare_recording(recording, lively_network(0), TASK)
    assert found.status == status and said in found.reason and not found.distances


def test_a_silent_network_is_not_compared():
    found = models.compare_recording(of_trials([0.0, 1.0] * 5), copies(np.zeros((6, 2))), TASK)
    assert found.status == "silent" and found.reason.startswith("network: ")


def test_numbers_with_many_values_are_grouped_alike():
    from models.recordings.conditions import shared_conditions

    rng = np.random.default_rng(0)
    first, second = (of_trials(list(rng.uniform(size=n))) for n in (40, 60))
    recorded, run = shared_conditions(first, second, ["a"], 2)
    assert 4 < len(recorded) <= 8
    for own, theirs in zip(recorded, run, strict=True):
        low, high = first["a"].values[own], second["a"].values[theirs]
        assert max(low.min(), high.min()) < min(low.max(), high.max()) + 0.2


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("RecordingSettings", {"bin_width": 0.0}, "bin_width"),
        ("RecordingSettings", {"window_on": 1.0, "window_off": 1.0}, "window_off"),
        ("RecordingSettings", {"align": ""}, "align"),
        ("RecordingSettings", {"conditions": {"x": "a", "y": "a"}}, "same name"),
        ("RecordingSettings", {"conditions": {"x": 1}}, "write column: field"),
        ("RecordingSettings", {"unit_columns": {"x": ""}}, "several with |"),
        ("RecordingSettings", {"unit_columns": {"x": [[1]]}}, "several with |"),
        ("RecordingSettings", {"unit_columns": {3: "a"}}, "no name of a column"),
        ("SpikeSettings", {"gain": -1.0}, "gain"),
        ("RecordingComparisonSettings", {"network_on": 0.5, "network_off": 0.5}, "network_off"),
    ],
)
def test_settings_are_checked(kind, values, said):
    with pytest.raises(ParameterError, match=re.escape(said)):
        getattr(models, kind)(**values)


def test_more_units_than_are_active_are_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "a.nwb"
    with pytest.raises(ParameterError, match="n_units = 41: only 40 of 40"):
        models.write_recording(path, lively_network(0), TASK, models.SpikeSettings(n_units=41))
    assert not path.exists()
