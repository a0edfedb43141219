"""A task of your own: copy this file into your package, rename the class and change what differs.

The task is the delayed comparison of two stimuli (Romo, Brody, Hernández & Lemus 1999): a first
stimulus, a delay of random length, a second one; then say which was stronger.

Two ways to use it, both from the folder that holds the file, or with its package installed:

1. Have it checked. From Python, ``tasks_lib.check_task(DelayedComparison())`` is silent or says
   what is wrong and what to do; at the command line, ::

       rnn check-task own_task:DelayedComparison --params '{"n_steps": 60}'

2. Train on it. In a submission (YAML), its row names the class; nothing else has to change: ::

       tasks:
         comparison:
           class: "my_package.my_module:DelayedComparison"
           params: {shortest_delay: 5, longest_delay: 15}

   Rows name code, so whoever runs it says whose: ``rnn --allow my_package submit FILE``, and
   ``rnn --allow my_package worker``.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np

from tasks_lib import ParameterError, Task


class DelayedComparison(Task):
    """Tell which of two stimuli, apart by a delay, was stronger.

    Input channel 0 is the first stimulus on [5, 10), and the second one for 5 steps after the
    delay; channel 1 is 1 during the decision, the last 10 steps. The target during the decision:
    output 0 is 1 if the first stimulus was stronger, output 1 if the second was.

    Parameters
    ----------
    n_steps : int
        Length of a trial.
    n_inputs, n_outputs : int
        2 inputs, 2 outputs.
    strengths : list of float
        Strengths of stimuli; every pair of two different ones is shown.
    shortest_delay, longest_delay : int
        Range of the delay in steps, both included.
    n_repeats : int
        Trials of each pair in a batch.
    seed : int, optional
    """

    # Fields of a condition by which scores are grouped: here one score for each pair. () is one
    # score for all trials; without this line, every field that is a single value counts.
    condition_fields = ("first", "second")

    # Every argument needs a default and an attribute of the same name: that is how a stored row
    # makes the task again. `seed` comes last and goes to super().__init__.
    def __init__(
        self,
        n_steps=45,
        n_inputs=2,
        n_outputs=2,
        strengths=(0.2, 0.4, 0.6, 0.8),
        shortest_delay=5,
        longest_delay=15,
        n_repeats=10,
        seed=None,
    ):
        super().__init__(n_steps, n_inputs, n_outputs, seed)
        self.strengths = list(strengths)
        self.shortest_delay = shortest_delay
        self.longest_delay = longest_delay
        self.n_repeats = n_repeats
        # Refuse what cannot work: the field, its value, what is wrong, the remedy.
        earliest = 10 + longest_delay + 5 + 10
        if n_steps < earliest:
            raise ParameterError(
                "n_steps", n_steps, "is too short for the longest delay", f"give {earliest}"
            )
        if not 0 <= shortest_delay <= longest_delay:
            raise ParameterError(
                "shortest_delay", shortest_delay, "is out of range", "give 0 to longest_delay"
            )

    # The trials of a batch. All that is random is drawn here, from self.rng, and put into the
    # condition, so that a condition says its trial completely.
    def conditions(self):
        """Return every (repeat, pair of stimuli), with the delays drawn."""
        pairs = self.n_repeats * list(permutations(self.strengths, 2))
        delays = self.rng.integers(self.shortest_delay, self.longest_delay + 1, size=len(pairs))
        return [
            {"first": first, "second": second, "delay": int(delay)}
            for (first, second), delay in zip(pairs, delays, strict=True)
        ]

    # One trial. The condition that it returns is stored and must make the same trial again:
    # plain numbers and strings only, and `**rest` takes the fields that are computed from others.
    def generate_input_target_stream(self, first, second, delay, **rest):
        """Return input (2, T), target (2, T) and condition of one trial."""
        inputs = np.zeros((self.n_inputs, self.n_steps))
        inputs[0, 5:10] = first
        inputs[0, 10 + delay : 15 + delay] = second
        inputs[1, -10:] = 1.0
        target = np.zeros((self.n_outputs, self.n_steps))
        target[0 if first > second else 1, -10:] = 1.0
        condition = {
            "first": first,
            "second": second,
            "delay": delay,
            "correct_choice": 1 if first > second else -1,
        }
        return inputs, target, condition

    # What follows is optional: the base class says "all steps", "zero", "input 0", "no choices".

    # The same steps in all trials; trials_of_different_lengths.py says more.
    @property
    def mask(self):
        """Steps that count in the loss and the scores: not the first 3 of the decision."""
        return np.delete(np.arange(self.n_steps), np.s_[-10:-7])

    @property
    def analysis_inputs(self):
        """Constant inputs at which fixed points are sought."""
        return {"delay": np.zeros(2), "decision": np.array([0.0, 1.0])}

    @property
    def input_names(self):
        """Name of each input channel."""
        return ("stimulus", "decision cue")

    @property
    def output_names(self):
        """Name of each output channel."""
        return ("first stronger", "second stronger")

    def get_choices(self, outputs):
        """Return 1 or -1 for the first or the second, read at the last step; here the accuracy."""
        return np.sign(outputs[0, -1] - outputs[1, -1]).astype(int)

    def signed_stimuli(self, condition):
        """Return what psychometric curves are drawn by: here by how much the first is stronger."""
        return "all", {"relevant": condition["first"] - condition["second"]}


# For batches of thousands of trials, also write `generate_trials(conditions)`, which returns
# inputs (n_inputs, T, B), targets (n_outputs, T, B) and the B conditions, all at once.
