"""Compute with angles: integrate a velocity, add a retinal and a head angle."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .angles import angle_code, check_code
from .base import Batch, Condition, Float, Task, Trial
from .columns import (
    check_fields,
    check_floats,
    check_ints,
    first_trial,
    make_conditions,
    read_floats,
)
from .errors import ParameterError, check_float, check_int
from .windows import after_grace, check_channels, check_window, steps


class AngleIntegration(Task):
    """Integrate a signed velocity into an angle.

    The velocity v is constant in blocks: the first starts at 0, each next one min_block_length +
    floor(Exp(mean T / mu_blocks)) steps later, and each has its own velocity, uniform in
    amp_range. Input channel 0 is the positive part of v, channel 1 the negative one, channel 2
    is always 1. The target at step t is the code of theta = w (v(0) + ... + v(t)).

    Parameters
    ----------
    n_steps : int
        Length of a trial T.
    n_inputs, n_outputs : int
        3 inputs, at least 3 outputs.
    w : float
        Angle in radians that a velocity of 1 adds in a step.
    amp_range : pair of float
        Smallest and largest velocity.
    mu_blocks : float
        Expected number of exponential gaps in a trial.
    min_block_length : int
        Shortest block in steps.
    batch_size : int
        Trials in a batch.
    seed : int, optional
    """

    condition_fields: ClassVar[tuple[str, ...]] = ()  # all trials are of one kind

    def __init__(
        self,
        n_steps: int = 220,
        n_inputs: int = 3,
        n_outputs: int = 3,
        w: float = 0.15,
        amp_range: Sequence[float] = (-1.0, 1.0),
        mu_blocks: float = 10.0,
        min_block_length: int = 10,
        batch_size: int = 256,
        seed: int | None = None,
    ) -> None:
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        check_channels("AngleIntegration", "n_inputs", n_inputs, (3,))
        check_code("n_outputs", self.n_outputs)
        self.w = check_float("w", w)
        if self.w == 0.0:
            raise ParameterError("w", w, "leaves the angle where it is", "give another number")
        if not isinstance(amp_range, (list, tuple)) or len(amp_range) != 2:
            raise ParameterError("amp_range", amp_range, "is not a pair", "give [low, high]")
        low = check_float("amp_range[0]", amp_range[0])
        self.amp_range = [low, check_float("amp_range[1]", amp_range[1], minimum=low)]
        self.mu_blocks = check_float("mu_blocks", mu_blocks, exclusive_minimum=0.0)
        self.min_block_length = check_int("min_block_length", min_block_length, 1, self.n_steps)
        self.batch_size = check_int("batch_size", batch_size, minimum=1)
        self.expect_trials("batch_size", self.batch_size, self.batch_size)

    @property
    def mask(self) -> NDArray[np.int64]:
        """All steps but the first 10."""
        return steps(after_grace((0, self.n_steps), 10))

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """No velocity, and the smallest and largest one."""
        return {
            "rest": self._shown(0.0),
            "lowest velocity": self._shown(self.amp_range[0]),
            "highest velocity": self._shown(self.amp_range[1]),
        }

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return ("velocity +", "velocity -", "constant")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return tuple(f"angle {i}" for i in range(self.n_outputs))

    def _shown(self, velocity: float | Float) -> Float:
        v = np.asarray(velocity, dtype=np.float64)
        return np.stack([np.maximum(v, 0.0), np.maximum(-v, 0.0), np.ones_like(v)])

    def conditions(self) -> list[Condition]:
        """Draw the blocks of every trial."""
        return [self._draw() for _ in range(self.batch_size)]

    def _draw(self) -> Condition:
        starts, start, mean_gap = [], 0, self.n_steps / self.mu_blocks
        while start < self.n_steps:
            starts.append(start)
            # The same draws as exponential(mean_gap), without the time that its checks take.
            start += self.min_block_length + int(mean_gap * self.rng.standard_exponential())
        low, high = self.amp_range
        amps = low + (high - low) * self.rng.random(len(starts))
        return {"amps": amps.tolist(), "block_starts": starts}

    def generate_input_target_stream(  # type: ignore[override]
        self,
        amps: Sequence[float] | None = None,
        block_starts: Sequence[int] | None = None,
    ) -> Trial:
        """Return input, target and condition of one trial, with given blocks or drawn ones.

        Parameters
        ----------
        amps : list of float, optional
            Velocity in each block.
        block_starts : list of int, optional
            First step of each block: 0, then ascending.

        Returns
        -------
        input : array (3, T)
        target : array (n_outputs, T)
        condition : dict
            ``amps`` and ``block_starts``.
        """
        fields = {"amps": amps, "block_starts": block_starts}
        return first_trial(AngleIntegration.generate_trials(self, [fields]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (3, T, B), targets (n_outputs, T, B) and conditions of many trials."""
        check_fields("AngleIntegration", conditions, ("amps", "block_starts"))
        given = [
            self._draw() if c.get("amps") is None and c.get("block_starts") is None else c
            for c in conditions
        ]
        amps, starts = self._read_blocks(given)
        lengths = np.diff(starts, append=self.n_steps)
        lengths[lengths <= 0] += self.n_steps  # the next block starts the next trial
        blocks = np.repeat(amps, lengths).reshape(-1, self.n_steps)
        velocity = np.ascontiguousarray(blocks.T)
        targets = angle_code(self.w * np.cumsum(velocity, axis=0), self.n_outputs)
        said = make_conditions(
            len(given),
            amps=[[float(v) for v in c["amps"]] for c in given],
            block_starts=[[int(s) for s in c["block_starts"]] for c in given],
        )
        return self._shown(velocity), targets, said

    def _read_blocks(self, conditions: Sequence[Condition]) -> tuple[Float, NDArray[np.int64]]:
        """Return velocities and first steps of the blocks of all trials, checked."""
        for c in conditions:
            for field in ("amps", "block_starts"):
                value = c.get(field)
                if not isinstance(value, (list, tuple)) or not value:
                    raise ParameterError(field, value, "is not a list", "give one value a block")
        amps = check_floats("amps", list(chain(*(c["amps"] for c in conditions))))
        all_starts = list(chain(*(c["block_starts"] for c in conditions)))
        checked = check_ints("block_starts", all_starts, 0, self.n_steps - 1)
        for c in conditions:
            starts, n_blocks = list(c["block_starts"]), len(c["amps"])
            if starts[0] != 0 or starts != sorted(set(starts)) or len(starts) != n_blocks:
                raise ParameterError(
                    "block_starts",
                    starts,
                    f"does not divide the trial into {n_blocks} blocks",
                    "start at 0, ascend, and give one start for each of amps",
                )
        return amps, checked


class ReferenceFrame(Task):
    """Add the angle on the retina and the angle of the head.

    Inputs: the code of the retinal angle on the first n_inputs_retina channels, that of the head
    angle on the n_inputs_head others, during the stimulus. The target, at the same time, is the
    code of their sum over the outputs.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        As many inputs as both codes have together (their sum by default), at least 3 outputs.
    n_inputs_retina, n_inputs_head : int
        Channels of each code, at least 3.
    stim_on, stim_off : int
        Window of the stimulus, the whole trial by default.
    batch_size : int
        Angles equally spaced from 0 to 2 pi, both counted. As 2 pi is 0 again it is left out: a
        batch has every pair of batch_size - 1 angles.
    seed : int, optional
    """

    condition_fields: ClassVar[tuple[str, ...]] = ("theta_retina", "theta_head")

    def __init__(
        self,
        n_steps: int = 120,
        n_inputs: int | None = None,
        n_outputs: int = 6,
        n_inputs_retina: int = 6,
        n_inputs_head: int = 6,
        stim_on: int = 0,
        stim_off: int | None = None,
        batch_size: int = 16,
        seed: int | None = None,
    ) -> None:
        self.n_inputs_retina = check_code("n_inputs_retina", n_inputs_retina)
        self.n_inputs_head = check_code("n_inputs_head", n_inputs_head)
        total = self.n_inputs_retina + self.n_inputs_head
        super().__init__(n_steps, total if n_inputs is None else n_inputs, n_outputs, seed)
        check_channels(
            f"n_inputs_retina + n_inputs_head = {total}", "n_inputs", self.n_inputs, (total,)
        )
        check_code("n_outputs", self.n_outputs)
        self.stim_on, self.stim_off = check_window("stim", stim_on, stim_off, self.n_steps)
        self.batch_size = check_int("batch_size", batch_size, minimum=2)
        self.expect_trials("batch_size", self.batch_size, self.batch_size)

    @property
    def mask(self) -> NDArray[np.int64]:
        """All steps but the first 10 of the stimulus."""
        stimulus = after_grace((self.stim_on, self.stim_off), 10)
        return steps((0, self.stim_on), stimulus, (self.stim_off, self.n_steps))

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """Both angles 0, and nothing shown."""
        return {"ahead": self._shown(0.0, 0.0), "zero": np.zeros(self.n_inputs)}

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        retina = (f"retina {i}" for i in range(self.n_inputs_retina))
        return (*retina, *(f"head {i}" for i in range(self.n_inputs_head)))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return tuple(f"angle {i}" for i in range(self.n_outputs))

    def _shown(self, retina: float | Float, head: float | Float) -> Float:
        codes = angle_code(retina, self.n_inputs_retina), angle_code(head, self.n_inputs_head)
        return np.concatenate(codes)

    def conditions(self) -> list[Condition]:
        """Return every (retinal angle, head angle), in radians."""
        angles = [2 * np.pi * i / (self.batch_size - 1) for i in range(self.batch_size - 1)]
        return [{"theta_retina": a, "theta_head": b} for a in angles for b in angles]

    def generate_input_target_stream(  # type: ignore[override]
        self, theta_retina: float, theta_head: float, **rest: Any
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        theta_retina, theta_head : float
            Angles in radians.

        Returns
        -------
        input : array (n_inputs, T)
        target : array (n_outputs, T)
        condition : dict
            The above and their sum modulo 2 pi, ``theta_ego``.
        """
        fields = {"theta_retina": theta_retina, "theta_head": theta_head, **rest}
        return first_trial(ReferenceFrame.generate_trials(self, [fields]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (n_inputs, T, B), targets (n_outputs, T, B), conditions of many trials."""
        check_fields("ReferenceFrame", conditions, (*self.condition_fields, "theta_ego"))
        retina = read_floats(conditions, "theta_retina")
        head = read_floats(conditions, "theta_head")
        shown = slice(self.stim_on, self.stim_off)
        inputs = np.zeros((self.n_inputs, self.n_steps, len(conditions)))
        inputs[:, shown] = self._shown(retina, head)[:, None]
        targets = np.zeros((self.n_outputs, self.n_steps, len(conditions)))
        targets[:, shown] = angle_code(retina + head, self.n_outputs)[:, None]
        said = make_conditions(
            len(conditions),
            theta_retina=retina,
            theta_head=head,
            theta_ego=(retina + head) % (2 * np.pi),
        )
        return inputs, targets, said
