"""Running K networks forward, and backpropagating gradients through that run.

The same two functions on every back end (`models.engine.backends`); which one runs is chosen in
`models.engine.backends.registry`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from tasks_lib.errors import ParameterError

from ..formulas.equations import Equation
from ..machine.torch_modes import without_graph
from .backends import registry
from .backends.base import BackEndUnavailableError, NetworkKind
from .buffers import Buffers
from .philox import Draws
from .statistics import Statistic
from .trajectory import Cotangent, RecurrentNoise, Trajectory
from .weights import Weights


@dataclass(frozen=True, kw_only=True)
class Simulation(Trajectory):
    """Result of a simulation of K networks, with backpropagation through it; see `Trajectory`.

    Attributes
    ----------
    back_end : {"compiled", "fused", "stepped", "plain"}
        What ran them.
    """

    back_end: str

    @property
    def kind(self) -> NetworkKind:
        """Properties by which a back end for backpropagation is chosen."""
        states = self.states
        return NetworkKind(self.equation, self.weights.n_units, states.dtype, states.device)

    def pull_back(self, cotangents: Sequence[Cotangent]) -> list[Weights]:
        """Return the gradients by the weights of each of A losses, in one pass."""
        back_end = registry.get(self.back_end)
        try:
            return back_end.backward(self, cotangents)
        except BackEndUnavailableError as error:
            registry.remember_unfit(back_end, self.kind, error)
            return registry.PLAIN.backward(self, cotangents)

    def pull_back_to_inputs(self, cotangent: Cotangent) -> Tensor:
        """Return the gradient by the inputs, (K, T, B, M)."""
        return registry.PLAIN.backward_to_inputs(self, cotangent)


@without_graph
def simulate(
    equation: Equation,
    weights: Weights,
    inputs: Tensor,
    noise: RecurrentNoise,
    statistics: Sequence[Statistic] = (),
    back_end: str | None = None,
    buffers: Buffers | None = None,
) -> Simulation:
    """Simulate K networks, outside autograd's graph.

    Parameters
    ----------
    equation, weights
        The networks.
    inputs : Tensor (K, T, B, M)
        With their noise.
    noise : RecurrentNoise
        Of the units.
    statistics : sequence of Statistic
        To be taken.
    back_end : {"compiled", "fused", "stepped", "plain"}, optional
        Which loops; the fastest there are by default. Where it lacks something, ``plain`` runs
        instead, and a warning says what it was.
    buffers : Buffers, optional
        Where to put the trajectories; a later simulation with the same buffers overwrites them.
    """
    weights = Weights(*(w.detach() for w in weights))
    for w in weights:
        if w.dtype != inputs.dtype:
            raise ParameterError(
                "u.dtype",
                str(inputs.dtype),
                f"the weights are {w.dtype}",
                "make the network with the dtype that it should have, and inputs alike",
            )
    n_steps, n_trials = inputs.shape[1:3]
    if n_steps == 0 or n_trials == 0:
        raise ParameterError(
            "u.shape",
            f"{n_steps} steps, {n_trials} trials",
            "there is nothing to run",
            "give one step and one trial at least",
        )
    kind = NetworkKind(equation, weights.n_units, inputs.dtype, inputs.device)
    chosen = registry.choose(kind, back_end)
    given = (equation, weights, inputs, noise, tuple(statistics), buffers or Buffers())
    try:
        run = chosen.forward(*given)
    except BackEndUnavailableError as error:
        registry.remember_unfit(chosen, kind, error)
        chosen = registry.PLAIN
        run = chosen.forward(*given)
    return Simulation(**vars(run), back_end=chosen.name)


def draw(draws: Draws, like: Tensor) -> Tensor:
    """Return standard normals (K, T, B, channels), by the fastest way there is."""
    return registry.for_draws(like.device).normals(draws, like)


def draw_noise(
    draws: Draws, like: Tensor, scales: Sequence[float], onto: Tensor | None
) -> Tensor | None:
    """Return `draw` times the scale of each network (K,), added to ``onto``, in one pass.

    None where there is no such pass.
    """
    return registry.for_draws(like.device).noise(draws, like, scales, onto)
