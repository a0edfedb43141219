"""Single trials of a NeuroGym environment, each decided by its own seed alone."""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Float
from .errors import CannotImport, ParameterError, kind_and_text, text_of
from .imports import check_origin, defined_at, import_attribute

MAX_REDRAWS = 1000
ATOMS = {type, type(None), bool, int, float, str, np.ndarray}  # what holds no generator
Factory = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class NeuroGymTrial:
    """One trial as the environment made it.

    Attributes
    ----------
    observations : array (t, n_inputs)
    truth : array (t, n_outputs)
        Ground truth; of discrete actions, one-hot.
    labels : dict
        The plain scalars among the environment's description of the trial.
    periods : dict
        Name -> (first step, step after the last).
    """

    observations: Float
    truth: Float
    labels: dict[str, Any]
    periods: dict[str, tuple[int, int]]


def find_environment(name: Any) -> Factory:
    """Return what makes the environment of a name that NeuroGym registers, or of "module:Class".

    Raises
    ------
    ParameterError
        Where it does not exist or cannot be imported, or NeuroGym is not installed, or where
        imports are restricted and it is neither NeuroGym's nor in an allowed package.
    """
    registered = registered_environments()
    if not isinstance(name, str) or (":" not in name and name not in registered):
        close = difflib.get_close_matches(str(name), registered, n=3, cutoff=0.4)
        raise ParameterError(
            "environment",
            name,
            "is not an environment of NeuroGym",
            f"use {' or '.join(close) or 'one of neurogym.all_envs(collections=True)'}",
        )
    address = registered.get(name, name)
    own = address in registered.values()
    try:
        with quiet():
            factory = import_attribute("environment", address, own)
        if not own:
            check_origin("environment", address, factory)
    except ParameterError:
        raise
    except Exception as error:  # anything that a foreign module raises while it is imported
        raise CannotImport(
            "environment",
            name,
            f"cannot be imported ({kind_and_text(error)})",
            "install its package where this runs, and check the spelling",
        ) from error
    if not callable(factory):
        raise ParameterError("environment", name, "is not a class", "name a class")
    return factory


def environment_name(name: str) -> str:
    """Return the name of an environment that does not depend on the path by which it is named.

    That under which NeuroGym registers it; else "package.module:Class" of the definition.
    Parameters and errors are those of `find_environment`.
    """
    registered = registered_environments()
    if name in registered:
        return name
    defined = defined_at(find_environment(name)) or name
    return min((short for short, at in registered.items() if at == defined), default=defined)


def registered_environments() -> dict[str, str]:
    """Return the environments that NeuroGym registers: name -> "module:Class"."""
    try:
        with quiet():
            registration = importlib.import_module("neurogym.envs.registration")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "neurogym"
        raise CannotImport(
            "task_class",
            "NeuroGym",
            "needs the package neurogym, which "
            + ("is not installed" if missing else f"fails when imported ({text_of(error)})"),
            'pip install "rnn-pipeline[neurogym]"',
        ) from error
    return dict(registration.ALL_EXTENDED_ENVS)


class quiet(warnings.catch_warnings):
    """Silence the warnings of gymnasium and NeuroGym, which concern their own developers."""

    def __enter__(self) -> None:
        """Ignore all warnings from here on."""
        super().__enter__()
        warnings.simplefilter("ignore")


@dataclass(frozen=True)
class TrialSource:
    """Makes the trials of an environment.

    Every trial comes from an environment made afresh, whose generators are replaced: nothing that
    happened before, in this process or another, can show in it.

    Parameters
    ----------
    name : str
        Name of the environment, for messages.
    factory : callable
        Makes it.
    arguments : dict
        Keyword arguments of the factory.
    session : int
        A trial is one of the first ``session`` trials after the environment was made.
    """

    name: str
    factory: Factory
    arguments: dict[str, Any]
    session: int

    def make(self) -> Any:
        """Make the environment."""
        try:
            with quiet():
                environment = self.factory(**self.arguments)
        except Exception as error:  # whatever a foreign constructor raises
            raise ParameterError(
                "arguments",
                self.arguments,
                f"{self.name} refuses them ({kind_and_text(error)})",
                f"use {self._accepted()}",
            ) from error
        if not hasattr(getattr(environment, "unwrapped", None), "_new_trial"):
            self._refuse("has no trials", "use a trial-based environment of NeuroGym")
        return environment

    def draw(self, seed: int, n_steps: int | None = None) -> NeuroGymTrial:
        """Return the trial that a seed decides.

        A trial longer than ``n_steps`` is drawn again from the same stream.
        """
        rng = np.random.RandomState(seed)  # the kind that NeuroGym uses
        for _ in range(MAX_REDRAWS):
            trial = self._one(rng)
            if n_steps is None or len(trial.observations) <= n_steps:
                return trial
        raise ParameterError(
            "n_steps", n_steps, f"is too short for trials of {self.name}", "give more"
        )

    def _one(self, rng: np.random.RandomState) -> NeuroGymTrial:
        environment = self.make()
        _share_generator(environment, rng)
        try:
            with quiet():
                for _ in range(1 + rng.randint(self.session)):
                    labels = environment.new_trial()
        except Exception as error:  # whatever a foreign environment raises
            raise ParameterError(
                "environment",
                self.name,
                f"fails to make a trial ({kind_and_text(error)})",
                "mend its arguments, or n_steps and dt",
            ) from error
        inner = environment.unwrapped
        if getattr(inner, "ob", None) is None:
            self._refuse(
                "makes its observations step by step from actions, not trial by trial",
                "use an environment whose trials have observations (ob) and ground truth (gt)",
            )
        if getattr(inner, "gt", None) is None or not getattr(inner, "_gt_built", True):
            self._refuse(
                "gives trials without ground truth: it is to be learnt from reward",
                "use an environment whose every trial has a ground truth (gt)",
            )
        observations = np.array(inner.ob, dtype=np.float64).reshape(len(inner.ob), -1)
        truth = self._targets(inner.action_space, np.asarray(inner.gt))
        if len(observations) != len(truth) or not len(truth):
            self._refuse(
                f"has {len(observations)} observations and {len(truth)} ground truths in a trial",
                "give it a timing in which both are as many, and not none",
            )
        periods = {
            str(name): (int(start), int(inner.end_ind[name]))
            for name, start in inner.start_ind.items()
        }
        return NeuroGymTrial(observations, truth, _scalars(labels), periods)

    def _targets(self, space: Any, truth: NDArray[Any]) -> Float:
        """Return targets (t, n_outputs): one-hot over discrete actions, else as they are."""
        kind = type(space).__mro__
        if any(c.__name__ == "Box" for c in kind):
            return truth.astype(np.float64).reshape(len(truth), -1)
        if not any(c.__name__ == "Discrete" for c in kind):
            self._refuse(f"has actions of the kind {kind[0].__name__}", "use Discrete or Box")
        actions = truth.reshape(len(truth), -1) - int(getattr(space, "start", 0))
        if actions.shape[1] != 1 or not np.isin(actions, np.arange(space.n)).all():
            self._refuse(
                "has a ground truth that is none of its actions",
                "use an environment whose ground truth is an action",
            )
        return np.eye(int(space.n))[actions[:, 0].astype(np.int64)]

    def _refuse(self, problem: str, remedy: str) -> None:
        raise ParameterError("environment", self.name, problem, remedy)

    def _accepted(self) -> str:
        try:
            # NeuroGym's metaclass hides the signature of the class itself.
            function = self.factory.__init__ if inspect.isclass(self.factory) else self.factory
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        names = [
            p.name
            for p in parameters
            if p.name not in ("self", "dt") and p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        ]
        return ", ".join(names) or "what its documentation names"


class _SortedSet(set[Any]):
    """A set that is gone through in the same order in every process."""

    def __iter__(self) -> Any:
        return iter(sorted(super().__iter__(), key=repr))


def _share_generator(environment: Any, rng: np.random.RandomState) -> None:
    """Let all that an environment holds, at any depth, draw from one generator.

    NeuroGym's own ``seed`` gives equal streams to the environment and to each random duration,
    which ties the lengths of periods to what is shown in them.
    """
    modern = np.random.Generator(np.random.PCG64(rng.randint(2**32, size=4, dtype=np.uint32)))
    seen: set[int] = set()
    waiting = [environment]
    while waiting:
        holder = waiting.pop()
        if type(holder) in ATOMS or id(holder) in seen:
            continue
        seen.add(id(holder))
        if isinstance(holder, dict):
            waiting += holder.values()
        elif isinstance(holder, (list, tuple)):
            waiting += holder
        elif hasattr(holder, "__dict__") and not inspect.isroutine(holder):
            attributes = vars(holder)
            for name, value in attributes.items():
                if isinstance(value, np.random.RandomState):
                    attributes[name] = rng
                elif isinstance(value, np.random.Generator):
                    attributes[name] = modern
                elif isinstance(value, set):  # AnnubesEnv draws for each of a set
                    attributes[name] = _SortedSet(value)
            waiting += attributes.values()


def _scalars(labels: Any) -> dict[str, Any]:
    """Return the plain scalars of a trial's description, as JSON can hold them."""
    plain = {}
    for name, value in (labels or {}).items():
        scalar = value.item() if isinstance(value, np.generic) else value
        if isinstance(scalar, float) and not math.isfinite(scalar):
            continue
        if isinstance(scalar, (bool, int, float, str)):
            plain[str(name)] = scalar
    return plain
