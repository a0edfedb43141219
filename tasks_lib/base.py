"""The base class of every task: conditions, trials and batches."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .errors import MAX_COUNT, ParameterError, check_bool, check_int
from .imports import one_name
from .masks import as_nan, held_to_the_end, read_mask
from .sizes import bytes_in_words, check_bytes, physical_bytes

Float = NDArray[np.float64]
Condition = dict[str, Any]
Trial = tuple[Float, Float, Condition]
Batch = tuple[Float, Float, list[Condition]]
# Beside the values: a condition is a dict of a few numbers, a channel has a name.
_CONDITION_BYTES, _NAME_BYTES = 500, 100


class Task(ABC):
    """A behavioural task: inputs and target outputs of trials.

    To define your own, subclass it: take your parameters as keyword arguments, keep each as an
    attribute of the same name, call ``super().__init__``, and write `conditions` and
    `generate_input_target_stream`. Draw every random number from ``self.rng``.
    `tasks_lib.check_task` tells what is still wrong. Where batches take long, write
    `generate_trials` too.

    Parameters
    ----------
    n_steps : int
        Length of a trial T, in steps of dt.
    n_inputs, n_outputs : int
        Numbers of input and output channels.
    seed : int, optional
        Seed of the task's own generator: the same seed gives the same batches.

    Attributes
    ----------
    condition_fields : tuple of str, or None
        Fields of a condition that say what kind of trial it is, by which scores are grouped;
        none of them: all trials are of one kind. None: every field that is a single value.
    code_names : mapping
        Arguments that name a class or a function: each with the function that returns, of a name,
        that of the definition, so that `params` are the same whatever path names it.
    """

    condition_fields: ClassVar[tuple[str, ...] | None] = None
    code_names: ClassVar[Mapping[str, Callable[[str], str]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # A subclass that defines its trials one by one must not get its parent's batches.
        super().__init_subclass__(**kwargs)
        if "generate_input_target_stream" in vars(cls) and "generate_trials" not in vars(cls):
            cls.generate_trials = Task.generate_trials  # type: ignore[method-assign]

    def __init__(
        self, n_steps: int, n_inputs: int, n_outputs: int, seed: int | None = None
    ) -> None:
        self.n_steps = check_int("n_steps", n_steps, 1, MAX_COUNT)
        self.n_inputs = check_int("n_inputs", n_inputs, 1, MAX_COUNT)
        self.n_outputs = check_int("n_outputs", n_outputs, 1, MAX_COUNT)
        self.seed = None if seed is None else check_int("seed", seed, minimum=0)
        self.rng = np.random.default_rng(self.seed)
        self.expect_trials("n_steps", self.n_steps, 1)

    def expect_trials(self, field: str, value: Any, n_trials: int) -> None:
        """Refuse batches that no machine holds, before one is made.

        To be called in ``__init__`` by tasks whose parameters say how many trials a batch has.

        Parameters
        ----------
        field, value
            The parameter that says it.
        n_trials : int
        """
        if self.n_steps > n_trials:
            field, value = "n_steps", self.n_steps
        self._expected = (field, value, n_trials)
        what = f"a batch of {n_trials} trials of {self.n_steps} steps"
        check_bytes(field, value, self._batch_bytes(n_trials), what, "use fewer trials or steps")

    def _batch_bytes(self, n_trials: int) -> int:
        n_channels = self.n_inputs + self.n_outputs
        values = 8 * self.n_steps * n_channels
        return n_trials * (values + _CONDITION_BYTES) + n_channels * _NAME_BYTES

    def check_memory(self, n_trials: int | None = None) -> None:
        """Refuse a batch that this machine does not hold: n trials, by default as expected."""
        field, value, expected = self._expected
        n = expected if n_trials is None else n_trials
        needed, present = 2 * self._batch_bytes(n), physical_bytes()
        if needed > present:
            raise ParameterError(
                field,
                value,
                f"to make a batch of {n} trials of {self.n_steps} steps takes about "
                f"{bytes_in_words(needed)} of memory, and this machine has "
                f"{bytes_in_words(present)}",
                "use fewer trials or steps, or a larger machine",
            )

    @abstractmethod
    def conditions(self) -> list[Condition]:
        """Return the conditions of one batch, in order (drawing what is random in them)."""

    @abstractmethod
    def generate_input_target_stream(self, **condition: Any) -> Trial:
        """Return input (n_inputs, T), target (n_outputs, T) and the condition of one trial."""

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return many trials: those of `generate_input_target_stream`, one for each condition.

        Parameters
        ----------
        conditions : sequence of B dicts

        Returns
        -------
        inputs : array (n_inputs, T, B)
        targets : array (n_outputs, T, B)
        conditions : list of B dicts
        """
        if not conditions:
            name = f"{type(self).__name__}.conditions"
            raise ParameterError(name, conditions, "are none", "give one for each trial")
        trials = [self._trial(i, c) for i, c in enumerate(conditions)]
        inputs = np.stack([trial[0] for trial in trials], axis=2)
        targets = np.stack([trial[1] for trial in trials], axis=2)
        return inputs, targets, [trial[2] for trial in trials]

    def _trial(self, number: int, condition: Condition) -> Trial:
        try:
            return self.generate_input_target_stream(**condition)
        except TypeError:
            self._check_condition(number, condition)
            raise

    def _check_condition(self, number: int, condition: Condition) -> None:
        """Refuse a condition whose fields are not the arguments of a trial."""
        arguments = inspect.signature(self.generate_input_target_stream).parameters.values()
        taken = [a for a in arguments if a.kind in (a.POSITIONAL_OR_KEYWORD, a.KEYWORD_ONLY)]
        known = ", ".join(a.name for a in taken)
        for argument in taken:
            if argument.default is argument.empty and argument.name not in condition:
                raise ParameterError(
                    f"conditions.{number}.{argument.name}",
                    None,
                    f"is missing, and trials of {type(self).__name__} need it",
                    f"give {known}",
                )
        if not any(a.kind is a.VAR_KEYWORD for a in arguments):
            for field in condition.keys() - {a.name for a in taken}:
                raise ParameterError(
                    f"conditions.{number}.{field}",
                    condition[field],
                    f"is not a field of {type(self).__name__}'s conditions",
                    f"use {known}",
                )

    def condition_kind(self, condition: Condition) -> Condition:
        """Return the fields of a trial's condition by which scores are grouped."""
        if self.condition_fields is None:
            return {k: v for k, v in condition.items() if isinstance(v, (str, int, float))}
        return {field: condition[field] for field in self.condition_fields}

    @property
    def component_tasks(self) -> dict[str, Task]:
        """The tasks that this one joins, by name; none but of a `Mixture`."""
        return {}

    def component_of(self, condition: Condition) -> str | None:
        """Return the name of the task, of those that this one joins, that a trial is of."""
        return None

    @property
    def mask(self) -> NDArray[np.int64] | NDArray[np.bool_]:
        """Steps that count in the loss and the scores; all by default.

        Indices of steps, or booleans (T,); or booleans (T, B), one column for each trial of a
        batch, where every batch has the same trials: `get_batch` then puts NaN into the targets
        where a step does not count. Where trials and their lengths are drawn at random, put NaN
        into the targets instead (docs/tasks.md).
        """
        return np.arange(self.n_steps)

    def check_network(self, network: Any, remedy: str) -> None:
        """Refuse a network whose channels are not those of this task.

        Parameters
        ----------
        network : object with ``n_inputs`` and ``n_outputs``
        remedy : str
            What to do then.

        Raises
        ------
        ParameterError
            Naming the number that differs.
        """
        for field in ("n_inputs", "n_outputs"):
            has, wanted = getattr(network, field), getattr(self, field)
            if has != wanted:
                raise ParameterError(field, has, f"the task has {wanted}", remedy)

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """Named constant inputs (n_inputs,) at which the dynamics are worth analysing."""
        return {"zero": np.zeros(self.n_inputs)}

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel."""
        return tuple(f"input {i}" for i in range(self.n_inputs))

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return tuple(f"output {i}" for i in range(self.n_outputs))

    def get_choices(self, outputs: Float) -> NDArray[np.int64] | None:
        """Return the choice (B,) read from outputs or targets (n_outputs, T, B).

        0 means no choice. None, by default: a task without choices. Where a trial's targets end
        early (NaN), the values of its last step are kept to the end of the array.
        """
        return None

    def read_choices(
        self, outputs: Float, targets: Float, conditions: Sequence[Condition]
    ) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
        """Return the choices made and the right ones (B,), each read at a trial's own last step.

        None where the task has no choices.

        Parameters
        ----------
        outputs, targets : array (n_outputs, T, B)
        conditions : sequence of B dicts
            Of the same trials.
        """
        made, right = (self.get_choices(held_to_the_end(v, targets)) for v in (outputs, targets))
        return made, right

    def trials_with_choices(self, conditions: Sequence[Condition]) -> NDArray[np.bool_]:
        """Return which trials have a choice (B,), of a task that has choices."""
        return np.ones(len(conditions), dtype=np.bool_)

    def signed_stimuli(self, condition: Condition) -> tuple[str, dict[str, float]] | None:
        """Return the context of a trial and the signed strengths of its stimuli.

        By these psychometric curves are drawn. A positive strength speaks for the choice 1, a
        negative one for -1. Of tasks that write it, `get_choices` returns 1, -1 and 0 alone.

        Parameters
        ----------
        condition : dict
            Of one trial, as `generate_input_target_stream` returns it.

        Returns
        -------
        context : str
            Curves are fitted for each context on its own. With one context alone, "all".
        strengths : dict
            ``relevant``: what the choice should follow, and ``irrelevant``, where there is one:
            what it should not.

        None, by default: a task without, or a trial that belongs to no curve.
        """
        return None

    @classmethod
    def has_signed_stimuli(cls, params: Mapping[str, Any] | None = None) -> bool:
        """Return whether tasks of this class have choices by signed stimuli.

        Parameters
        ----------
        params : dict, optional
            Of one task, where that depends on them.
        """
        return (
            cls.signed_stimuli is not Task.signed_stimuli
            and cls.get_choices is not Task.get_choices
        )

    def get_batch(self, shuffle: bool = False) -> Batch:
        """Return a batch of trials.

        Parameters
        ----------
        shuffle : bool
            Whether to permute the trials.

        Returns
        -------
        inputs : array (n_inputs, T, B)
        targets : array (n_outputs, T, B)
            NaN where nothing is asked, such as after the end of a shorter trial.
        conditions : list of B dicts
        """
        check_bool("shuffle", shuffle)
        self.check_memory()
        conditions = self.conditions()
        if isinstance(conditions, Sequence):  # of what is none, `check_task` says so
            self.check_memory(len(conditions))
        inputs, targets, conditions = self.generate_trials(conditions)
        targets = self._with_mask_of_trials(targets, len(conditions))
        if shuffle:
            order = self.rng.permutation(len(conditions))
            inputs, targets = np.take(inputs, order, axis=2), np.take(targets, order, axis=2)
            conditions = [conditions[i] for i in order]
        return inputs, targets, conditions

    def _with_mask_of_trials(self, targets: Float, n_trials: int) -> Float:
        """Return targets with NaN where the mask of their trial, if there is one, says no.

        So shuffling, choosing and joining trials need not know of masks.
        """
        mask = self.mask
        if np.ndim(mask) != 2:
            return targets
        name, batch = f"{type(self).__name__}.mask", " in this batch"
        by_trial = read_mask(mask, self.n_steps, n_trials, name, batch).by_trial
        if by_trial is None or np.shape(targets)[1:] != by_trial.shape:
            return targets  # of another shape: `check_task` says so
        return as_nan(targets, by_trial)

    def reset(self, seed: int | None = None) -> None:
        """Start the generator again, from ``seed`` or from the task's own seed."""
        chosen = self.seed if seed is None else check_int("seed", seed, minimum=0)
        self.rng = np.random.default_rng(chosen)

    @property
    def params(self) -> dict[str, Any]:
        """Every constructor argument but the seed, as plain values that JSON can hold."""
        names = [n for n in inspect.signature(type(self).__init__).parameters if n != "self"]
        missing = [n for n in names if not hasattr(self, n)]
        if missing:
            raise ParameterError(
                f"{type(self).__name__}.{missing[0]}",
                None,
                "is an argument of the class but not an attribute",
                f"set self.{missing[0]} in __init__",
            )
        values = {name: plain(getattr(self, name)) for name in names if name != "seed"}
        for name, defined in self.code_names.items():
            if isinstance(values.get(name), str):
                values[name] = one_name(values[name], defined(values[name]))
        return values

    def __repr__(self) -> str:
        """Return the call that makes this task."""
        arguments = {**self.params, "seed": self.seed}
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})"


def plain(value: Any) -> Any:
    """Return a value with NumPy's arrays and numbers in it as lists and plain numbers."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    return value
