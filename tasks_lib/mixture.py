"""Several tasks in one: trials of each, told apart by rule inputs (Yang et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Batch, Condition, Float, Task, Trial
from .by_name import task_class
from .columns import first_trial, read_choices
from .errors import ParameterError, check_bool, check_float, check_int
from .masks import held_to_the_end
from .mixture_components import TASK, MixedTask, channels, read_components
from .mixture_selection import MOST_EMPTY, selected
from .windows import check_channels

# Remember an angle, and report it or the opposite one: the same trials but for the rule.
_DEFAULT = (
    {"name": "pro", "class": "MemoryAngle"},
    {"name": "anti", "class": "MemoryAntiAngle"},
)
_SUM_TOLERANCE = 1e-6


class Mixture(Task):
    """Trials of several tasks in one batch: one network is to do all of them.

    The trials of a component are its own, to the bit; what its mask leaves out is NaN in the
    targets. A rule input for each component is 1 in its trials and 0 in all others. Channels of
    one name are one channel: by default those of a component are its alone, the inputs of all
    others are 0 in its trials and their outputs are asked nothing. Shorter trials are padded:
    inputs are 0 after their end, rules too, and nothing is asked. The condition of a trial names
    its component as ``task``, beside the component's own fields.

    Parameters
    ----------
    n_steps : int, optional
        Length of a trial; that of the longest component by default.
    n_inputs, n_outputs : int, optional
        What the channels of the components and the rules make; any other number is refused.
    components : sequence of dict
        Of each ``name`` and ``class``; where they differ from the class's defaults ``n_steps``,
        ``n_inputs``, ``n_outputs`` and ``params``, as in a submission; if wanted ``inputs`` and
        ``outputs``, a name for each of its channels, its own ``rule_periods``, and ``only``,
        values that fields of the conditions have in the trials that are taken.
    fractions : sequence of float, optional
        Share of each component in the trials of a batch, together 1; in proportion to their own
        batches by default. Trials are drawn from a component's batches without replacement, a
        further batch after each.
    batch_size : int, optional
        Trials in a batch; as many as the components' own batches have together by default.
    share_inputs, share_outputs : bool
        Whether channels that have the same name in their own tasks are one channel.
    rule_inputs : bool
        Whether there are rule inputs; without, inputs must tell components apart.
    rule_periods : sequence of [on, off], optional
        When a rule input is 1, in steps; an off of null is the end of the component's trial. All
        of that by default.
    seed : int, optional
    """

    def __init__(
        self,
        n_steps: int | None = None,
        n_inputs: int | None = None,
        n_outputs: int | None = None,
        components: Sequence[Mapping[str, Any]] = _DEFAULT,
        fractions: Sequence[float] | None = None,
        batch_size: int | None = None,
        share_inputs: bool = False,
        share_outputs: bool = False,
        rule_inputs: bool = True,
        rule_periods: Sequence[Sequence[int | None]] | None = None,
        seed: int | None = None,
    ) -> None:
        self.share_inputs = check_bool("share_inputs", share_inputs)
        self.share_outputs = check_bool("share_outputs", share_outputs)
        self.rule_inputs = check_bool("rule_inputs", rule_inputs)
        self._parts, self.components, self.rule_periods = read_components(components, rule_periods)
        names = [part.name for part in self._parts]
        asked, self._inputs = channels(self._parts, "input", self.share_inputs)
        self._rules = tuple(f"rule {name}" for name in names) if self.rule_inputs else ()
        taken = next((rule for rule in self._rules if rule in asked), None)
        if taken is not None:
            problem, remedy = "is the name of a rule input", "name the channel otherwise"
            raise ParameterError("components", taken, problem, remedy)
        self._input_names = (*asked, *self._rules)
        self._output_names, self._outputs = channels(self._parts, "output", self.share_outputs)
        longest = max(part.task.n_steps for part in self._parts)
        length = longest if n_steps is None else check_int("n_steps", n_steps, minimum=1)
        if length < longest:
            problem = f"is too short: a component's trials have {longest} steps"
            raise ParameterError("n_steps", n_steps, problem, f"give at least {longest}")
        sizes = {"n_inputs": len(self._input_names), "n_outputs": len(self._output_names)}
        for field, number in (("n_inputs", n_inputs), ("n_outputs", n_outputs)):
            if number is not None:
                check_channels("these components", field, number, (sizes[field],))
        super().__init__(length, **sizes, seed=seed)
        own = [part.n_trials for part in self._parts]
        self.fractions = _checked_fractions(fractions, names)
        self.batch_size = batch_size
        if batch_size is not None:
            self.batch_size = check_int("batch_size", batch_size, minimum=len(self._parts))
        total = sum(own) if self.batch_size is None else self.batch_size
        self.expect_trials("batch_size", self.batch_size, total)
        self._numbers = _numbers(self.fractions, self.batch_size, own)

    @property
    def condition_fields(self) -> tuple[str, ...]:  # type: ignore[override]
        """``task``, and the fields by which the scores of the components are grouped."""
        fields = dict.fromkeys(field for part in self._parts for field in part.fields)
        return (TASK, *fields)

    def condition_kind(self, condition: Condition) -> Condition:
        """Return the component of a trial, and the fields by which its scores are grouped."""
        part = self._part(condition)
        return {TASK: part.name, **part.task.condition_kind(_own(condition))}

    @property
    def component_tasks(self) -> dict[str, Task]:
        """The task of each component, by its name."""
        return {part.name: part.task for part in self._parts}

    def component_of(self, condition: Condition) -> str:
        """Return the name of the component that a trial is of."""
        return self._part(condition).name

    @property
    def mask(self) -> NDArray[np.int64]:
        """Steps that count in the trials of some component; in the others targets are NaN."""
        counts: NDArray[np.bool_] = np.zeros(self.n_steps, dtype=np.bool_)
        for part in self._parts:
            counts[: part.task.n_steps] |= part.counts
        return np.flatnonzero(counts)

    @property
    def analysis_inputs(self) -> dict[str, Float]:
        """Those of each component, with its rule on."""
        found: dict[str, Float] = {}
        for number, part in enumerate(self._parts):
            for name, vector in part.task.analysis_inputs.items():
                whole = np.zeros(self.n_inputs)
                whole[self._inputs[number]] = vector
                if self.rule_inputs:
                    whole[self._rule_channel(number)] = 1.0
                found[f"{part.name}: {name}"[:64]] = whole
        return found

    @property
    def input_names(self) -> tuple[str, ...]:
        """Name of each input channel, the rules last."""
        return self._input_names

    @property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output channel."""
        return self._output_names

    def conditions(self) -> list[Condition]:
        """Return the conditions of a batch, component by component."""
        found: list[Condition] = []
        for part, wanted in zip(self._parts, self._numbers, strict=True):
            task = self._drawing(part)
            left, n_empty = wanted, 0
            while left:
                drawn = selected(task.conditions(), part.only)
                n_empty = 0 if drawn else n_empty + 1
                if n_empty > MOST_EMPTY:
                    problem = f"is of no trial of {MOST_EMPTY} batches"
                    remedy = "select trials by what every batch has"
                    raise ParameterError(f"{part.field}.only", part.only, problem, remedy)
                batch = [{TASK: part.name, **condition} for condition in drawn]
                if left < len(batch):
                    chosen = np.sort(self.rng.permutation(len(batch))[:left])
                    batch = [batch[i] for i in chosen]
                found += batch
                left -= len(batch)
        return found

    def generate_input_target_stream(  # type: ignore[override]
        self, task: str, **condition: Any
    ) -> Trial:
        """Return input, target and condition of one trial.

        Parameters
        ----------
        task : str
            Name of the component.
        **condition
            The condition of its trial.

        Returns
        -------
        input : array (n_inputs, T)
        target : array (n_outputs, T)
            NaN where nothing is asked.
        condition : dict
        """
        return first_trial(Mixture.generate_trials(self, [{TASK: task, **condition}]))

    def generate_trials(self, conditions: Sequence[Condition]) -> Batch:
        """Return inputs (n_inputs, T, B), targets (n_outputs, T, B), conditions of many trials."""
        inputs = np.zeros((self.n_inputs, self.n_steps, len(conditions)))
        targets = np.full((self.n_outputs, self.n_steps, len(conditions)), np.nan)
        said: list[Condition] = [{} for _ in conditions]
        for number, part, trials in self._trials_of_parts(conditions):
            own = self._drawing(part).generate_trials([_own(conditions[i]) for i in trials])
            length = np.arange(part.task.n_steps)
            inputs[np.ix_(self._inputs[number], length, trials)] = own[0]
            steps = np.flatnonzero(part.counts)
            targets[np.ix_(self._outputs[number], steps, trials)] = own[1][:, steps]
            if self.rule_inputs:
                for on, off in part.rule_periods:
                    inputs[self._rule_channel(number), on:off, trials] = 1.0
            for trial, condition in zip(trials, own[2], strict=True):
                said[trial] = {TASK: part.name, **condition}
        return inputs, targets, said

    def read_choices(
        self, outputs: Float, targets: Float, conditions: Sequence[Condition]
    ) -> tuple[NDArray[np.int64] | None, NDArray[np.int64] | None]:
        """Return the choices made and the right ones (B,), each as its component reads it.

        Both are 0 in trials of components without choices; None where none has any.
        """
        made: NDArray[np.int64] = np.zeros(len(conditions), dtype=np.int64)
        right, known = made.copy(), False
        for number, part, trials in self._trials_of_parts(conditions):
            length = np.arange(part.task.n_steps)
            own = outputs[np.ix_(self._outputs[number], length, trials)]
            # Made again: of the targets here only the steps that count are left.
            given = [_own(conditions[i]) for i in trials]
            wanted = self._drawing(part).generate_trials(given)[1]
            one, other = (
                part.task.get_choices(held_to_the_end(values, wanted)) for values in (own, wanted)
            )
            if one is not None and other is not None:
                made[trials], right[trials], known = one, other, True
        return (made, right) if known else (None, None)

    def trials_with_choices(self, conditions: Sequence[Condition]) -> NDArray[np.bool_]:
        """Return which trials are of components that have choices (B,)."""
        have = {part.name: part.has_choices for part in self._parts}
        return np.array([have[self._part(c).name] for c in conditions], dtype=np.bool_)

    def signed_stimuli(self, condition: Condition) -> tuple[str, dict[str, float]] | None:
        """Return what its component says of a trial; the context begins with the component."""
        part = self._part(condition)
        said = part.task.signed_stimuli(_own(condition)) if part.has_curves else None
        return None if said is None else (part.context(said[0]), said[1])

    @classmethod
    def has_signed_stimuli(cls, params: Mapping[str, Any] | None = None) -> bool:
        """Return whether some component has choices by signed stimuli; True where none is given."""
        given = (params or {}).get("components")
        return given is None or any(
            task_class(one["class"]).has_signed_stimuli(one.get("params")) for one in given
        )

    def _part(self, condition: Condition) -> MixedTask:
        return self._parts[int(read_choices([condition], TASK, list(self.component_tasks))[0])]

    def _trials_of_parts(
        self, conditions: Sequence[Condition]
    ) -> list[tuple[int, MixedTask, NDArray[np.int64]]]:
        """Return the number of each component that has trials, the component and its trials."""
        which = read_choices(conditions, TASK, [part.name for part in self._parts])
        found = [(i, part, np.flatnonzero(which == i)) for i, part in enumerate(self._parts)]
        return [each for each in found if len(each[2])]

    def _rule_channel(self, number: int) -> int:
        return self.n_inputs - len(self._parts) + number

    def _drawing(self, part: MixedTask) -> Task:
        """Return the task of a component, which draws from this task's generator."""
        part.task.rng = self.rng
        return part.task


def _own(condition: Condition) -> Condition:
    """Return the condition of a trial as its component has it."""
    return {field: value for field, value in condition.items() if field != TASK}


def _checked_fractions(fractions: Any, names: Sequence[str]) -> list[float] | None:
    if fractions is None:
        return None
    if isinstance(fractions, (str, Mapping)) or not hasattr(fractions, "__len__"):
        remedy = f"give {len(names)} numbers"
        raise ParameterError("fractions", fractions, "is not a list", remedy)
    if len(fractions) != len(names):
        problem = f"are not as many as there are components, {', '.join(names)}"
        raise ParameterError("fractions", fractions, problem, f"give {len(names)} numbers")
    values = [
        check_float(f"fractions[{i}]", v, exclusive_minimum=0.0, maximum=1.0)
        for i, v in enumerate(fractions)
    ]
    if abs(sum(values) - 1.0) > _SUM_TOLERANCE:
        problem, remedy = f"add up to {sum(values):g}", "give shares that add up to 1"
        raise ParameterError("fractions", values, problem, remedy)
    return values


def _numbers(
    fractions: Sequence[float] | None, batch_size: int | None, own: Sequence[int]
) -> list[int]:
    """Return the trials of each component in a batch, one at least, by largest remainders."""
    if fractions is None and batch_size is None:
        return list(own)
    total = sum(own) if batch_size is None else batch_size
    shares = np.array(fractions if fractions is not None else np.divide(own, sum(own)))
    # What rounding does to 0.3 * 10 is no remainder.
    exact = np.round(shares * total, 9)
    numbers = np.maximum(np.floor(exact), 1).astype(np.int64)
    while (missing := total - int(numbers.sum())) != 0:
        step = int(np.sign(missing))
        distance = step * (exact - numbers)
        if step < 0:
            distance[numbers == 1] = -np.inf
        numbers[int(np.argmax(distance))] += step
    return [int(number) for number in numbers]
