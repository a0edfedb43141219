"""Logic of two bits: exclusive or, and the sum of a half adder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import Batch, Condition, Float, Task, Trial
from .columns import check_fields, first_trial, make_conditions, read_ints
from .errors import ParameterError, check_int
from .windows import check_channels, check_due, check_window, decision_sign, steps

BITS = tuple(product((0, 1), repeat=2))
Bits = int | NDArray[np.int64]


class TwoBitTask(Task):
    """A task on two bits that are shown at once."""

    condition_fields: ClassVar[tuple[str, ...]] = ("v1", "v2")
    channels: ClassVar[tuple[int, int]]

    def __init__(
        self,
        n_steps: int,
        n_inputs: int,
        n_outputs: int,
        windows: tuple[tuple[Any, Any], tuple[Any, Any]],
        n_repeats: int,
        seed: int | None,
    ) -> None:
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        name = type(self).__name__
        check_channels(name, "n_inputs", n_inputs, self.channels[:1])
        check_channels(name, "n_outputs", n_outputs, self.channels[1:])
        self.stim_on, self.stim_off = check_window("stim", *windows[0], self.n_steps)
        self.dec_on, self.dec_off = check_window("dec", *windows[1], self.n_steps)
        check_due({"dec_on": self.dec_on}, {"stim_on": self.stim_on})
        self.n_repeats = check_int("n_repeats", n_repeats, minimum=1)
        self.expect_trials("n_repeats", self.n_repeats, 4 * self.n_repeats)

    @abstractmethod
    def _shown(self, v1: Bits, v2: Bits) -> Float:
        """Return the inputs (n_inputs, ...) of two bits (...)."""

    @abstractmethod
    def _answer(self, v1: Bits, v2: Bits) -> tuple[Float, Condition]:
        """Return the targets (n_outputs, ...) of two bits (...), and the condition's answer."""

    @property
    def mask(self) -> NDArray[np.int64]:
        """Steps from the decision on."""
        return steps((self.dec_on, self.n_steps))

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """The inputs of each pair of bits."""
        return {f"{a}{b}": self._shown(a, b) for a, b in BITS}

    def conditions(self) -> list[Condition]:
        """Return every (repeat, bit 1, bit 2)."""
        return [{"v1": a, "v2": b} for _ in range(self.n_repeats) for a, b in BITS]

    def generate_input_target_stream(
        self,
        logical_values: Sequence[int] | None = None,
        v1: int | None = None,
        v2: int | None = None,
        **rest: Any,
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        logical_values : pair of int, optional
            The two bits, 0 or 1.
        v1, v2 : int, optional
            The bits one by one, where logical_values is not given.

        Returns
        -------
        input : array (n_inputs, T)
        target : array (n_outputs, T)
        condition : dict
            ``v1``, ``v2`` and the answer.
        """
        if logical_values is not None:
            if not isinstance(logical_values, (list, tuple)) or len(logical_values) != 2:
                raise ParameterError(
                    "logical_values", logical_values, "is not a pair", "give two bits"
                )
            v1, v2 = logical_values
        return first_trial(TwoBitTask.generate_trials(self, [{"v1": v1, "v2": v2, **rest}]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (n_inputs, T, B), targets (n_outputs, T, B), conditions of many trials."""
        a, b = read_ints(conditions, "v1", 0, 1), read_ints(conditions, "v2", 0, 1)
        answer, said = self._answer(a, b)
        check_fields(type(self).__name__, conditions, ("v1", "v2", *said))
        inputs = np.zeros((self.n_inputs, self.n_steps, len(conditions)))
        inputs[:, self.stim_on : self.stim_off] = self._shown(a, b)[:, None]
        targets = np.zeros((self.n_outputs, self.n_steps, len(conditions)))
        targets[:, self.dec_on : self.dec_off] = answer[:, None]
        return inputs, targets, make_conditions(len(conditions), v1=a, v2=b, **said)

    def get_choices(self, outputs: Float) -> NDArray[np.int64]:
        """Return 1 for bits that differ, -1 for equal ones, by the mean of the decision.

        By its mean, as a network that knows when the decision ends begins to return before.
        """
        return decision_sign(outputs, (self.dec_on, self.dec_off), threshold=0.5)


class XOR(TwoBitTask):
    """Tell whether two bits are equal.

    Inputs are one-hot: bit 1 on channels 0 (for 0) and 1 (for 1), bit 2 on channels 2 and 3. The
    target during the decision: output 1 is 1 if they are equal, else output 0 is.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        4 inputs, 2 outputs.
    stim_on, stim_off, dec_on, dec_off : int
        Windows of stimulus and decision, to the trial's end by default. The decision starts with
        the stimulus at the earliest.
    n_repeats : int
        Trials of each pair of bits in a batch.
    seed : int, optional
    """

    channels = (4, 2)

    def __init__(
        self,
        n_steps: int = 150,
        n_inputs: int = 4,
        n_outputs: int = 2,
        stim_on: int = 0,
        stim_off: int | None = None,
        dec_on: int = 15,
        dec_off: int | None = None,
        n_repeats: int = 64,
        seed: int | None = None,
    ) -> None:
        windows = (stim_on, stim_off), (dec_on, dec_off)
        super().__init__(n_steps, n_inputs, n_outputs, windows, n_repeats, seed)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return ("bit 1 = 0", "bit 1 = 1", "bit 2 = 0", "bit 2 = 1")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return ("different", "equal")

    def _shown(self, v1: Bits, v2: Bits) -> Float:
        return np.array([1 - v1, v1, 1 - v2, v2], dtype=np.float64)

    def _answer(self, v1: Bits, v2: Bits) -> tuple[Float, Condition]:
        return np.array([v1 != v2, v1 == v2], dtype=np.float64), {"match": v1 == v2}


class HalfAdder(TwoBitTask):
    """Add two bits modulo 2.

    Inputs are the bits, the target is (bit 1 + bit 2) mod 2 during the decision. All steps from
    the decision's onset count, also those after its end, where the target is 0 again.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        2 inputs, 1 output.
    stim_on, stim_off, dec_on, dec_off : int
        Windows of stimulus and decision; the stimulus lasts to the trial's end by default. The
        decision starts with it at the earliest.
    n_repeats : int
        Trials of each pair of bits in a batch.
    seed : int, optional
    """

    channels = (2, 1)

    def __init__(
        self,
        n_steps: int = 150,
        n_inputs: int = 2,
        n_outputs: int = 1,
        stim_on: int = 0,
        stim_off: int | None = None,
        dec_on: int = 30,
        dec_off: int = 120,
        n_repeats: int = 64,
        seed: int | None = None,
    ) -> None:
        windows = (stim_on, stim_off), (dec_on, dec_off)
        super().__init__(n_steps, n_inputs, n_outputs, windows, n_repeats, seed)

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return ("bit 1", "bit 2")

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return ("sum",)

    def _shown(self, v1: Bits, v2: Bits) -> Float:
        return np.array([v1, v2], dtype=np.float64)

    def _answer(self, v1: Bits, v2: Bits) -> tuple[Float, Condition]:
        total = (v1 + v2) % 2
        return np.array([total], dtype=np.float64), {"output": total}
