"""The arguments of a penalty function, and the registry of penalties by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from inspect import Parameter, signature
from math import log
from typing import Any, TypeVar

import torch
from torch import Tensor

from tasks_lib.errors import (
    CannotImport,
    ParameterError,
    check_bool,
    check_choice,
    check_float,
    check_int,
    collecting,
    kind_and_text,
    raise_all,
    use_one_of,
)
from tasks_lib.imports import (
    OWN_PACKAGES,
    check_origin,
    defined_at,
    import_attribute,
    loaded_attribute,
)

from ..engine import Statistic

Penalty = Callable[..., Tensor]
Rule = Callable[[dict[str, Any]], None]
Needs = Callable[[dict[str, Any]], Sequence[Statistic]]
Limit = Mapping[str, float] | tuple[str, ...]
F = TypeVar("F", bound=Penalty)


def no_statistics(args: Mapping[str, Any]) -> Sequence[Statistic]:
    """Declare that a penalty needs weights or outputs only."""
    return ()


POSITIVE: Limit = {"exclusive_minimum": 0.0}
NON_NEGATIVE: Limit = {"minimum": 0.0}
EXPONENT: Limit = {"minimum": 1.0}  # below 1 the slope of max(0, z)^g is infinite at 0


def size_scale(n_units: int) -> float:
    """Return s = ln 101 / ln(N + 1)."""
    return log(101.0) / log(n_units + 1.0)


@dataclass(frozen=True, eq=False)
class PenaltyContext:
    """One network, its trials and its weights, as a penalty sees them.

    Attributes
    ----------
    states : Tensor (N, T, B)
        States x.
    rates : Tensor (N, T, B)
        Firing rates r: x in form s, f(x) in form h; given as a function, and made when asked for.
    outputs, targets : Tensor (n_outputs, T, B)
        Output y and what it should be, NaN where nothing is asked.
    inputs : Tensor (n_inputs, T, B)
        Input u.
    W_rec, W_inp, W_out : Tensor (N, N), (N, n_inputs), (n_outputs, N)
        Effective weights, constraints applied.
    b_rec : Tensor (N,)
        Bias.
    dale : Tensor (N,) or None
        +1 for excitatory units, -1 for inhibitory ones; None without Dale's law.
    exc_to_inh_ratio : float
        Excitatory units for each inhibitory one, R.
    equation_type : {"s", "h"}
        Whether states are rates or potentials.
    n_units : int
        Number of units N.
    mask : Tensor
        Indices of the steps that count in the loss, where the target is not NaN.
    statistics : mapping
        Statistics of the units (N,) that were taken while the network ran; `statistic` uses them.
    units_of_kinds : tuple of two Tensors, optional
        Indices of excitatory and of inhibitory units, where they are known; `excitatory` and
        `inhibitory` are they, or come from ``dale``.
    """

    states: Tensor
    rates_of: Callable[[], Tensor]
    outputs: Tensor
    inputs: Tensor
    targets: Tensor
    W_rec: Tensor
    W_inp: Tensor
    W_out: Tensor
    b_rec: Tensor
    dale: Tensor | None
    exc_to_inh_ratio: float
    equation_type: str
    n_units: int
    mask: Tensor
    statistics: Mapping[Statistic, Tensor] = field(default_factory=dict)
    units_of_kinds: tuple[Tensor, Tensor] | None = None

    @cached_property
    def excitatory(self) -> Tensor:
        """Indices of excitatory units; there is Dale's law."""
        return self._of_sign(1)

    @cached_property
    def inhibitory(self) -> Tensor:
        """Indices of inhibitory units; there is Dale's law."""
        return self._of_sign(-1)

    def _of_sign(self, sign: int) -> Tensor:
        if self.units_of_kinds is not None:
            return self.units_of_kinds[0 if sign > 0 else 1]
        assert self.dale is not None
        return torch.nonzero(self.dale * sign > 0)[:, 0]

    @cached_property
    def rates(self) -> Tensor:
        """Firing rates (N, T, B)."""
        return self.rates_of()

    def statistic(self, kind: str, tau: float = 1.0) -> Tensor:
        """Return a statistic of each unit over steps and trials, (N,); see `Statistic`.

        A penalty that depends on activity through these alone, and names them in `register`, costs
        no pass over the trajectories.
        """
        wanted = Statistic(kind, tau)
        if wanted in self.statistics:
            return self.statistics[wanted]
        return wanted.of(self.states, self.rates, (1, 2))

    @property
    def size_scale(self) -> float:
        """Factor s = ln 101 / ln(N + 1) by which caps shrink as the network grows; 1 at N = 100."""
        return size_scale(self.n_units)

    @property
    def net_input(self) -> Tensor:
        """Net input h = W_rec x + W_inp u, (N, T, B)."""
        recurrent = self.W_rec @ self.states.flatten(1)
        return (recurrent + self.W_inp @ self.inputs.flatten(1)).view(self.states.shape)


@dataclass(frozen=True)
class _Entry:
    function: Penalty
    limits: Mapping[str, Limit] = field(default_factory=dict)
    rule: Rule | None = None
    needs: Needs | None = None
    registered: bool = False


_ENTRIES: dict[str, _Entry] = {}


def register(
    name: str, rule: Rule | None = None, needs: Needs | None = None, **limits: Limit
) -> Callable[[F], F]:
    """Give a penalty a short name; to be used as a decorator.

    Parameters
    ----------
    name : str
        Short name by which trainings name the penalty.
    rule : callable, optional
        Given all arguments, defaults filled in; raises `ParameterError` where they disagree.
    needs : callable, optional
        Given all arguments, defaults filled in; returns the statistics that the penalty asks the
        context for, to be taken while the network runs, or none where it looks at weights or
        outputs alone. Without it all trajectories are kept for the penalty.
    **limits
        For an argument: the texts that it may be, as a tuple, or the bounds of a number, as in
        ``tau={"exclusive_minimum": 0.0}`` (also ``minimum``, ``maximum``). The kind of an argument
        is that of its default: True, a whole number (2), any number (2.0).

    Examples
    --------
    >>> @register("mean_rate", weight_of_zero={"minimum": 0.0})
    ... def mean_rate(context, weight_of_zero=1.0):
    ...     return weight_of_zero * context.rates.mean()
    """

    def keep(function: F) -> F:
        old = _ENTRIES.get(name)
        if old is not None and _address(old.function) != _address(function):
            raise ParameterError(
                "name", name, f"is the penalty {_address(old.function)}", "choose another name"
            )
        _ENTRIES[name] = _Entry(function, limits, rule, needs, registered=True)
        return function

    return keep


def names() -> tuple[str, ...]:
    """Return the short names of all penalties, sorted."""
    return tuple(sorted(_ENTRIES))


def get(name: str) -> Penalty:
    """Return the penalty of a short name or of a ``"package.module:function"``."""
    return _entry(name).function


def defined_name(name: str) -> str:
    """Return the name of a penalty that does not depend on the path by which it is named.

    The short name of a penalty of this package; else ``"package.module:function"`` of the
    definition: by its short name, a process finds another package's only once it is imported.
    """
    function = get(name)
    if str(getattr(function, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]:
        return next((n for n, e in _ENTRIES.items() if e.function is function), name)
    return defined_at(function) or name


def statistics(name: str, args: Mapping[str, Any]) -> tuple[Statistic, ...]:
    """Return the statistics that a penalty with these arguments needs of the units."""
    entry = _entry(name)
    if entry.needs is None:
        return ()
    every = signature(entry.function).parameters.values()
    defaults = {p.name: p.default for p in every if p.default is not Parameter.empty}
    return tuple(entry.needs({**defaults, **args}))


def needs_trajectories(name: str) -> bool:
    """Return whether a penalty may need states and rates, beyond its declared statistics."""
    return _entry(name).needs is None


def check(name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return a penalty's arguments in normal form, or say which of them it does not take.

    Parameters
    ----------
    name : str
        Short name or ``"package.module:function"``.
    args : mapping
        Arguments by name; those left out have their defaults.

    Returns
    -------
    dict
        The given arguments, checked.

    Raises
    ------
    ParameterError
        Unknown penalty or argument, an argument missing, or a value outside its limits.
    """
    entry = _entry(name)
    where = f"penalties.{name}.args"
    if not isinstance(args, Mapping):
        raise ParameterError(where, args, "is not a mapping", 'write {"argument": value}')
    # The first parameter is the context, passed by position.
    every = list(signature(entry.function).parameters.values())[1:]
    named = {p.name: p for p in every if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in every)
    remedy = f"it takes {', '.join(named)}" if named else "it takes no arguments"
    errors: list[ParameterError] = []
    for key, value in args.items():
        if key not in named and not takes_any:
            problem, meant = "is no argument of this penalty", use_one_of(key, named)
            said = meant if meant.endswith("?") else remedy
            errors.append(ParameterError(f"{where}.{key}", value, problem, said))
    for key, p in named.items():
        if p.default is Parameter.empty and key not in args:
            problem = "is missing and has no default"
            errors.append(ParameterError(f"{where}.{key}", None, problem, "give it"))
    checked = dict(args)
    if entry.registered:
        for key in filter(named.__contains__, args):
            with collecting(errors):
                checked[key] = _check_value(
                    f"{where}.{key}", args[key], named[key], entry.limits.get(key)
                )
    raise_all(errors)
    if entry.registered and entry.rule is not None:
        defaults = {k: p.default for k, p in named.items() if p.default is not Parameter.empty}
        entry.rule({**defaults, **checked})
    return checked


def normal_args(name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Return a penalty's arguments, checked, sorted, without those that are the defaults.

    Equal penalties have equal arguments in this form. Parameters and errors are those of `check`.
    """
    checked = check(name, args)
    defaults = {key: p.default for key, p in signature(get(name)).parameters.items()}

    def is_default(key: str) -> bool:
        value, default = checked[key], defaults.get(key, Parameter.empty)
        plain = isinstance(default, (str, int, float)) or default is None
        return plain and isinstance(value, bool) == isinstance(default, bool) and value == default

    return {key: checked[key] for key in sorted(checked) if not is_default(key)}


def _check_value(path: str, value: Any, parameter: Parameter, limit: Limit | None) -> Any:
    if isinstance(limit, tuple):
        return check_choice(path, value, limit)
    bounds: dict[str, Any] = dict(limit or {})
    if isinstance(parameter.default, bool):
        return check_bool(path, value)
    if isinstance(parameter.default, int):
        return check_int(path, value, **bounds)
    if isinstance(parameter.default, float):
        return check_float(path, value, **bounds)
    return value


def _entry(name: str) -> _Entry:
    if not isinstance(name, str) or not name:
        raise ParameterError("penalties", name, "is not a penalty's name", _known(name))
    if name in _ENTRIES:
        return _ENTRIES[name]
    if ":" not in name:
        raise ParameterError("penalties", name, "is not a penalty", _known(name))
    module_name, _, attribute = name.partition(":")
    own = loaded_attribute(name) if module_name.partition(".")[0] in OWN_PACKAGES else None
    for entry in _ENTRIES.values():
        if _address(entry.function) == name or entry.function is own:
            return entry
    try:
        function = import_attribute("penalties", name)
    except ParameterError:
        raise
    except AttributeError as error:
        raise CannotImport(
            "penalties", name, f"{module_name} has no {attribute!r}", "correct the name"
        ) from error
    except Exception as error:  # someone else's module may fail to import in any way
        raise CannotImport(
            "penalties",
            name,
            f"cannot be imported ({kind_and_text(error)})",
            'write "package.module:function", and install the package in this environment',
        ) from error
    for entry in _ENTRIES.values():  # registered under a short name too: the same limits hold
        if entry.function is function:
            return entry
    check_origin("penalties", name, function)
    try:
        takes_context = len(signature(function).parameters) > 0
    except (TypeError, ValueError):
        takes_context = False
    if not takes_context:
        raise ParameterError(
            "penalties", name, "is not a function of a context", "write def f(context, **args)"
        )
    return _Entry(function)


def _known(name: Any) -> str:
    meant = use_one_of(name, names())
    every = f'use one of {", ".join(names())}, or "package.module:function"'
    return meant if meant.endswith("?") else every


def _address(function: Penalty) -> str:
    module = getattr(function, "__module__", "?")
    return f"{module}:{getattr(function, '__qualname__', repr(function))}"
