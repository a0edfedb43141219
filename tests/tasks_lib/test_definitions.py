"""Every task's default trial against its definition, written out step by step."""

from __future__ import annotations

import numpy as np
import pytest

from tasks_lib import (
    CDDM,
    DMTS,
    XOR,
    AngleIntegration,
    GoNoGo,
    HalfAdder,
    MemoryAngle,
    MemoryAntiAngle,
    MemoryAntiNumber,
    MemoryNumber,
    NBitFlipFlop,
    ReferenceFrame,
    TwoIntervalComparison,
)


def on(start, stop, n_steps, value=1.0):
    """A channel that is ``value`` on [start, stop) and 0 elsewhere."""
    return [value if start <= t < stop else 0.0 for t in range(n_steps)]


def code(theta, k):
    """The angle code by interpolation between channels, on the circle."""
    position = theta / (2 * np.pi / k) % k
    distance = [min(abs(position - c), k - abs(position - c)) for c in range(k)]
    return [max(0.0, 1.0 - d) for d in distance]


def steps(*windows):
    return [t for start, stop in windows for t in range(start, stop)]


@pytest.mark.parametrize(
    ("cls", "n_inputs", "n_steps", "n_outputs", "n_trials", "mask"),
    [
        (CDDM, 6, 300, 2, 2 * 15**2, steps((0, 100), (200, 300))),
        (DMTS, 3, 140, 2, 64 * 4, steps((0, 100), (110, 140))),
        (NBitFlipFlop, 3, 100, 3, 256, steps((0, 100))),
        (MemoryNumber, 3, 120, 1, 256, steps((0, 60), (80, 120))),
        (MemoryAntiNumber, 3, 320, 2, 128, steps((0, 160), (180, 320))),
        (MemoryAngle, 5, 200, 3, 72, steps((0, 120), (130, 200))),
        (MemoryAntiAngle, 5, 200, 3, 72, steps((0, 120), (130, 200))),
        (GoNoGo, 3, 60, 1, 256, steps((10, 30), (40, 60))),
        (XOR, 4, 150, 2, 64 * 4, steps((15, 150))),
        (HalfAdder, 2, 150, 1, 64 * 4, steps((30, 150))),
        (AngleIntegration, 3, 220, 3, 256, steps((10, 220))),
        (ReferenceFrame, 12, 120, 6, 15**2, steps((10, 120))),
        (TwoIntervalComparison, 3, 180, 2, 7 * 6 * 4, steps((0, 140), (150, 180))),
    ],
)
def test_shapes_and_mask_of_the_defaults(cls, n_inputs, n_steps, n_outputs, n_trials, mask):
    task = cls(seed=0)
    inputs, targets, conditions = task.get_batch()
    assert inputs.shape == (n_inputs, n_steps, n_trials)
    assert targets.shape == (n_outputs, n_steps, n_trials)
    assert inputs.dtype == targets.dtype == np.float64
    assert len(conditions) == n_trials
    assert task.mask.tolist() == mask
    assert task.mask.dtype == np.int64


def test_cddm_trial():
    task = CDDM()
    inputs, target, condition = task.generate_input_target_stream("color", 0.5, -0.25)
    expected = [
        on(0, 0, 300),
        on(0, 300, 300),
        on(99, 300, 300, 0.75),
        on(99, 300, 300, 0.25),
        on(99, 300, 300, 0.375),
        on(99, 300, 300, 0.625),
    ]
    assert np.array_equal(inputs, expected)
    assert np.array_equal(target, [on(0, 0, 300), on(199, 300, 300)])
    assert condition == {
        "context": "color",
        "motion_coh": 0.5,
        "color_coh": -0.25,
        "correct_choice": -1,
    }
    _, tie, _ = task.generate_input_target_stream("color", 0.5, 0.0)
    assert np.array_equal(tie, [on(199, 300, 300, 0.5)] * 2)


def test_cddm_windows_from_the_first_step_and_one_output():
    task = CDDM(n_outputs=1, stim_on=0, dec_on=0, coherences=[-0.5, 0.0, 0.5])
    inputs, target, _ = task.generate_input_target_stream("motion", -0.5, 0.5)
    assert np.array_equal(inputs[2], np.full(300, 0.25))
    assert np.array_equal(target, np.full((1, 300), -1.0))
    in_each_context = [-1] * 3 + [0] * 3 + [1] * 3
    assert task.get_choices(task.get_batch()[1]).tolist() == 2 * in_each_context


def test_cddm_coherences_and_order():
    positive = [2.0**-k for k in range(6, -1, -1)]
    expected = sorted([-c for c in positive] + [0.0, *positive])
    task = CDDM()
    assert task.coherences == expected
    conditions = task.get_batch()[2]
    order = [(c["context"], c["motion_coh"], c["color_coh"]) for c in conditions]
    assert order == [("motion", a, b) for a in expected for b in expected] + [
        ("color", b, a) for a in expected for b in expected
    ]


def test_cddm_choices_are_the_right_ones():
    task = CDDM()
    _, targets, conditions = task.get_batch()
    assert task.get_choices(targets).tolist() == [c["correct_choice"] for c in conditions]


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_dmts_trials(n_outputs):
    task = DMTS(n_outputs=n_outputs, seed=3)
    inputs, targets, conditions = task.get_batch()
    shifts = set()
    for b, condition in enumerate(conditions):
        sample, match = b // 2 % 2, b % 2
        assert (condition["num_sample_channel"], condition["num_match_channel"]) == (sample, match)
        first, second = condition["sample_on"], condition["match_on"]
        shifts |= {(0, first - 10), (1, second - 80)}
        stimuli = np.zeros((2, 140))
        stimuli[sample, first : first + 10] = 1
        stimuli[match, second : second + 10] = 1
        assert np.array_equal(inputs[:, :, b], [*stimuli, on(100, 140, 140)])
        answers = [on(100, 140, 140, float(sample == match)), on(100, 140, 140, sample != match)]
        assert np.array_equal(targets[:, :, b], answers[:n_outputs])
    for stimulus in (0, 1):
        assert {s for which, s in shifts if which == stimulus} == set(range(-10, 10))
    assert task.get_choices(targets).tolist() == [c["correct_choice"] for c in conditions]
    assert task.get_choices(targets)[:4].tolist() == [1, -1, -1, 1]


@pytest.mark.parametrize("n_outputs", [1, 2])
def test_two_interval_trials(n_outputs):
    task = TwoIntervalComparison(n_outputs=n_outputs, frequencies=[10, 20, 50], seed=3)
    inputs, targets, conditions = task.get_batch()
    shifts = set()
    for b, condition in enumerate(conditions):
        f, g = condition["first_frequency"], condition["second_frequency"]
        assert (f, g) in {(a, b) for a in (10, 20, 50) for b in (10, 20, 50)} and f != g
        first, second = condition["first_on"], condition["second_on"]
        shifts |= {(0, first - 20), (1, second - 110)}
        rates = {10: 0.0, 20: 0.25, 50: 1.0}
        shown = [on(first, first + 20, 180), on(second, second + 20, 180)]
        rising = [rates[f] * a + rates[g] * b for a, b in zip(*shown, strict=True)]
        falling = [a + b - r for a, b, r in zip(*shown, rising, strict=True)]
        expected = [rising, falling, on(140, 180, 180)]
        assert np.allclose(inputs[:, :, b], expected, rtol=0, atol=1e-12)
        answers = [on(140, 180, 180, float(f > g)), on(140, 180, 180, float(g > f))]
        assert np.array_equal(targets[:, :, b], answers[:n_outputs])
        assert task.signed_stimuli(condition) == ("all", {"relevant": f - g})
    assert {tuple(pair) for pair in shifts} <= {(i, s) for i in (0, 1) for s in range(-10, 10)}
    assert len(shifts) > 10
    assert task.get_choices(targets).tolist() == [c["correct_choice"] for c in conditions]
    equal = task.generate_input_target_stream(20, 20, 20, 110)
    assert equal[1][0, 150] == 0.5 and equal[2]["correct_choice"] == 0


def test_dmts_without_shifts():
    conditions = DMTS(random_window=0).get_batch()[2]
    assert {(c["sample_on"], c["match_on"]) for c in conditions} == {(10, 80)}


def test_flip_flop_trial():
    task = NBitFlipFlop(n_bits=2, n_steps=20, pulse=3)
    inputs, target, _ = task.generate_input_target_stream(
        onsets=[[4, 9, 18], []], signs=[[1, -1, 1], []]
    )
    assert inputs[0].tolist() == [0] * 4 + [1] * 3 + [0] * 2 + [-1] * 3 + [0] * 6 + [1] * 2
    assert target[0].tolist() == [0] * 4 + [1] * 5 + [-1] * 9 + [1] * 2
    assert not inputs[1].any()
    assert not target[1].any()


def test_flip_flop_pulses_are_drawn_as_defined():
    task = NBitFlipFlop(n_steps=2000, n_bits=2, mu=40, pulse=10, batch_size=200, seed=1)
    conditions = task.get_batch()[2]
    trains = [times for c in conditions for times in c["onsets"]]
    gaps = np.concatenate([np.diff([0, *times]) for times in trains])
    signs = np.concatenate([s for c in conditions for s in c["signs"]])
    assert gaps.min() == 10
    assert abs(signs.mean()) < 5 / np.sqrt(signs.size)
    # Mean of floor(Exp(mean m)) is 1 / (exp(1 / m) - 1); m = 2000 / 40. Late gaps are cut off
    # by the trial's end, so that only the first of each train is unbiased.
    first = np.array([times[0] for times in trains]) - 10
    mean = 1 / np.expm1(1 / 50)
    assert abs(first.mean() - mean) < 5 * first.std() / np.sqrt(first.size)
    first_signs = {s[0] for c in conditions for s in c["signs"]}
    assert first_signs == {-1, 1}
    assert len({tuple(times) for times in trains}) == len(trains)


def test_flip_flop_bits_are_inputs_and_outputs():
    for task in (NBitFlipFlop(n_bits=2), NBitFlipFlop(n_inputs=2), NBitFlipFlop(n_outputs=2)):
        assert (task.n_bits, task.n_inputs, task.n_outputs) == (2, 2, 2)


def test_memory_number_trials():
    task = MemoryNumber(seed=2)
    inputs, targets, conditions = task.get_batch()
    onsets = [c["stim_on"] for c in conditions]
    assert min(onsets) == 0
    assert max(onsets) == 39
    for b, x in enumerate(np.linspace(0, 1, 256)):
        expected = [on(onsets[b], onsets[b] + 10, 120, x), on(60, 120, 120), on(0, 120, 120)]
        assert np.array_equal(inputs[:, :, b], expected)
        assert np.array_equal(targets[:, :, b], [on(60, 120, 120, x)])


def test_memory_anti_number_trials():
    inputs, targets, conditions = MemoryAntiNumber(seed=2).get_batch()
    onsets = [c["stim_on"] for c in conditions]
    assert min(onsets) >= 0
    assert 100 < max(onsets) < 140
    for b, x in enumerate(np.linspace(-2, 2, 128)):
        plus, minus = max(x, 0), max(-x, 0)
        window = onsets[b], onsets[b] + 15, 320
        expected = [on(*window, plus), on(*window, minus), on(160, 320, 320)]
        assert np.array_equal(inputs[:, :, b], expected)
        expected = [on(160, 320, 320, minus), on(160, 320, 320, plus)]
        assert np.array_equal(targets[:, :, b], expected)


@pytest.mark.parametrize(("cls", "offset"), [(MemoryAngle, 0.0), (MemoryAntiAngle, np.pi)])
@pytest.mark.parametrize(("n_inputs", "n_outputs"), [(5, 3), (6, 5)])
def test_memory_angle_trials(cls, offset, n_inputs, n_outputs):
    task = cls(n_inputs=n_inputs, n_outputs=n_outputs, seed=4)
    inputs, targets, conditions = task.get_batch()
    onsets = [c["stim_on"] for c in conditions]
    drawn = {c["stim_on"] for _ in range(8) for c in task.get_batch()[2]}
    assert drawn | set(onsets) == set(range(20))
    for b, theta in enumerate(2 * np.pi * np.arange(72) / 72):
        shown, recalled = code(theta, n_inputs - 2), code(theta + offset, n_outputs)
        expected = [on(onsets[b], onsets[b] + 10, 200, v) for v in shown]
        expected += [on(0, 200, 200), on(120, 200, 200)]
        assert np.allclose(inputs[:, :, b], expected, rtol=0, atol=1e-12)
        expected = [on(120, 200, 200, v) for v in recalled]
        assert np.allclose(targets[:, :, b], expected, rtol=0, atol=1e-12)
        assert conditions[b]["Theta"] == 5.0 * b


def test_go_no_go_trials():
    task = GoNoGo()
    inputs, targets, _ = task.get_batch()
    for b, x in enumerate(np.linspace(0, 1, 256)):
        expected = [np.full(60, x), on(30, 60, 60), np.ones(60)]
        assert np.array_equal(inputs[:, :, b], expected)
        assert np.array_equal(targets[:, :, b], [on(30, 60, 60, float(x > 0.5))])
    assert task.get_choices(targets).tolist() == [-1] * 128 + [1] * 128
    at_criterion = task.generate_input_target_stream(0.5)[1]
    assert not at_criterion.any()


def test_xor_trials():
    task = XOR()
    inputs, targets, _ = task.get_batch()
    for b in range(256):
        first, second = b // 2 % 2, b % 2
        shown = np.zeros((4, 150))
        shown[first] = 1
        shown[2 + second] = 1
        assert np.array_equal(inputs[:, :, b], shown)
        answer = np.zeros((2, 150))
        answer[1 if first == second else 0, 15:] = 1
        assert np.array_equal(targets[:, :, b], answer)
    assert task.get_choices(targets)[:4].tolist() == [-1, 1, 1, -1]


def test_half_adder_trials():
    task = HalfAdder()
    inputs, targets, _ = task.get_batch()
    for b in range(256):
        first, second = b // 2 % 2, b % 2
        assert np.array_equal(inputs[:, :, b], [[first] * 150, [second] * 150])
        assert np.array_equal(targets[:, :, b], [on(30, 120, 150, (first + second) % 2)])
    assert task.get_choices(targets)[:4].tolist() == [-1, 1, 1, -1]


def test_angle_integration_trial():
    task = AngleIntegration(n_steps=8, n_outputs=4, w=0.5, min_block_length=1)
    inputs, target, _ = task.generate_input_target_stream([1.0, -2.0], [0, 3])
    assert inputs[0].tolist() == [1] * 3 + [0] * 5
    assert inputs[1].tolist() == [0] * 3 + [2] * 5
    assert inputs[2].tolist() == [1] * 8
    theta = 0.5 * np.array([1, 2, 3, 1, -1, -3, -5, -7])
    assert np.allclose(target.T, [code(angle, 4) for angle in theta], rtol=0, atol=1e-12)


def test_angle_integration_blocks_are_drawn_as_defined():
    task = AngleIntegration(amp_range=(-0.5, 1.5), seed=0)
    conditions = task.get_batch()[2]
    gaps = np.concatenate([np.diff(c["block_starts"]) for c in conditions])
    amps = np.concatenate([c["amps"] for c in conditions])
    assert gaps.min() >= 10
    assert all(c["block_starts"][0] == 0 for c in conditions)
    assert -0.5 <= amps.min() < -0.45
    assert 1.45 < amps.max() < 1.5


def test_reference_frame_trials():
    task = ReferenceFrame(n_inputs_retina=3, n_inputs_head=4, n_outputs=5, batch_size=5)
    inputs, targets, conditions = task.get_batch()
    assert inputs.shape == (7, 120, 16)
    quarter = np.pi / 2
    for b, condition in enumerate(conditions):
        retina, head = quarter * (b // 4), quarter * (b % 4)
        assert condition["theta_retina"] == pytest.approx(retina)
        shown = code(retina, 3) + code(head, 4)
        assert np.allclose(inputs[:, :, b], np.outer(shown, np.ones(120)), rtol=0, atol=1e-12)
        answer = np.outer(code(retina + head, 5), np.ones(120))
        assert np.allclose(targets[:, :, b], answer, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("cls", "names"),
    [
        (CDDM, {"motion": [1, 0, 0.5, 0.5, 0.5, 0.5], "color": [0, 1, 0.5, 0.5, 0.5, 0.5]}),
        (NBitFlipFlop, {"zero": [0, 0, 0]}),
        (MemoryNumber, {"delay": [0, 0, 1], "recall": [0, 1, 1]}),
        (MemoryAntiNumber, {"delay": [0, 0, 0], "recall": [0, 0, 1]}),
        (MemoryAntiAngle, {"delay": [0, 0, 0, 1, 0], "recall": [0, 0, 0, 1, 1]}),
        (DMTS, {"delay": [0, 0, 0], "decision": [0, 0, 1]}),
        (TwoIntervalComparison, {"delay": [0, 0, 0], "middle": [0.5, 0.5, 0]}),
        (XOR, {"01": [1, 0, 0, 1]}),
    ],
)
def test_analysis_inputs(cls, names):
    vectors = cls().analysis_inputs
    for name, vector in names.items():
        assert vectors[name].tolist() == vector


def test_the_answer_of_logic_is_that_of_the_whole_decision():
    """A network that returns a step too early has answered all the same."""
    task = HalfAdder(n_repeats=1)
    _, targets, _ = task.get_batch()
    early = targets.copy()
    early[:, task.dec_off - 3 :] = 0.0
    assert task.get_choices(targets).tolist() == [-1, 1, 1, -1]
    assert task.get_choices(early).tolist() == [-1, 1, 1, -1]
