"""A task whose trials differ in length: NaN targets say where nothing is asked.

All trials of a batch are arrays of ``n_steps``. After a trial's end its inputs are 0 and its
targets NaN: what the network does there counts neither in the loss nor in the scores, and is grey
in the pictures. ::

    rnn check-task trials_of_different_lengths:CuedResponse

The template of a task of your own, line by line, is own_task.py.
"""

from __future__ import annotations

import numpy as np

from tasks_lib import Task


class CuedResponse(Task):
    """Say the sign of a stimulus once a cue comes, after a delay of random length; then it is over.

    Input channel 0 is the stimulus, +1 or -1 on [5, 10); channel 1 is 1 for 10 steps from the cue
    on, which are the last of the trial. The target is 0 before the cue and the stimulus' sign from
    2 steps after it; the 2 steps between are nobody's business.

    Parameters
    ----------
    n_steps : int
        Length of the longest trial; the delay is at most n_steps - 20.
    n_inputs, n_outputs : int
        2 inputs, 1 output.
    n_trials : int
        Trials of a batch.
    seed : int, optional
    """

    condition_fields = ("sign",)

    def __init__(self, n_steps=60, n_inputs=2, n_outputs=1, n_trials=32, seed=None):
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        self.n_trials = n_trials

    def conditions(self):
        """Return the signs, half of each, with the delays drawn."""
        delays = self.rng.integers(5, self.n_steps - 20 + 1, size=self.n_trials)
        return [{"sign": (-1) ** i, "delay": int(delay)} for i, delay in enumerate(delays)]

    def generate_input_target_stream(self, sign, delay):
        """Return input (2, T), target (1, T) and condition of one trial."""
        cue, end = 10 + delay, 20 + delay
        inputs = np.zeros((2, self.n_steps))
        inputs[0, 5:10] = sign
        inputs[1, cue:end] = 1.0
        target = np.full((1, self.n_steps), np.nan)  # nothing is asked ...
        target[0, :cue] = 0.0  # ... but to wait
        target[0, cue + 2 : end] = sign  # ... and to respond
        return inputs, target, {"sign": sign, "delay": delay}

    def get_choices(self, outputs):
        """Return the sign of the output at the end of each trial.

        The last value of a shorter trial is kept to the end of the array, so that -1 is its end.
        """
        return np.sign(outputs[0, -1]).astype(int)
