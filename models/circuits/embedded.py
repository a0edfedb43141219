"""A latent circuit in its network: the embedding, and what each predicts of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks_lib.brief import brief

from ..formulas.activations import Activation
from ..formulas.equations import SIGMAS, Equation
from ..network.rnn_numpy import RNNNumpy
from ..populations.variants import with_weights

Float = NDArray[np.float64]


@brief
@dataclass(frozen=True, eq=False)
class EmbeddedCircuit:
    """A small network whose rates, embedded, are those of a large one: y = s Q x.

    Attributes
    ----------
    network : RNNNumpy
        The circuit: n nodes, of the equation of the large network.
    embedding : array (N, n)
        Q, of orthonormal columns: where in the large network each node is.
    scale : float
        s of `embedding_scale`.
    """

    network: RNNNumpy
    embedding: Float
    scale: float

    @classmethod
    def of(
        cls, rnn: RNNNumpy, embedding: Float, scale: float, weights: Mapping[str, Any]
    ) -> EmbeddedCircuit:
        """Return a circuit of a network from its weights.

        Parameters
        ----------
        rnn : RNNNumpy
            The large network.
        embedding : array (N, n)
        scale : float
        weights : mapping
            W_rec, W_inp, W_out, b_rec, x_init of the circuit.
        """
        equation = circuit_equation(rnn.equation, scale, *embedding.shape)
        return cls(RNNNumpy(**weights, **vars(equation)), embedding, scale)

    @property
    def n_nodes(self) -> int:
        """Number of nodes n."""
        return self.network.n_units

    def activity(self, states: Float) -> Float:
        """Return the rates (N, T, B) that states (n, T, B) of the circuit are in the network."""
        rates = self.network.equation.rates(states)
        return np.asarray(self.scale * np.tensordot(self.embedding, rates, 1), dtype=np.float64)

    def run(self, inputs: Float) -> tuple[Float, Float, Float]:
        """Run the circuit on inputs (n_inputs, T, B); return states, outputs, and `activity`."""
        states, outputs = self.network.run(inputs)
        return states, outputs, self.activity(states)

    def with_connection(self, to_node: int, from_node: int, change: float) -> RNNNumpy:
        """Return the circuit with one recurrent weight changed."""
        W_rec = self.network.W_rec.copy()
        W_rec[to_node, from_node] += change
        return with_weights(self.network, W_rec)

    def connection_in(self, rnn: RNNNumpy, to_node: int, from_node: int, change: float) -> RNNNumpy:
        """Return the large network with what this connection is there: W + c Q_i Q_jᵀ.

        The network's recurrent input, W y with y = s Q x, then grows by c s Q_i x_j, which is the
        embedded c x_j of the circuit.
        """
        left, right = self.embedding[:, to_node], self.embedding[:, from_node]
        return with_weights(rnn, rnn.W_rec + change * np.outer(left, right))

    def relation(self, rnn: RNNNumpy) -> tuple[float | None, float | None]:
        """Return how far the network's weights are the circuit's: W_rec Q against Q w_rec.

        Returns
        -------
        error : float or None
            |W_rec Q - Q w_rec| / |W_rec Q|, Frobenius norms; None where W_rec Q is 0. What W_rec
            sends out of the space of Q's columns counts in it.
        correlation : float or None
            Of the entries of Qᵀ W_rec Q with those of w_rec; None where one does not vary.
        """
        Q, w = self.embedding, self.network.W_rec
        sent = rnn.W_rec @ Q
        size = float(np.linalg.norm(sent))
        error = float(np.linalg.norm(sent - Q @ w)) / size if size > 0 else None
        return error, correlation(Q.T @ sent, w)


def embedding_scale(activation: Activation, n_units: int, n_nodes: int) -> float:
    """Return the scale s of an embedding y = s Q x with QᵀQ = 1.

    Where f(c x) = c f(x) for c > 0, as with relu, a node that is g units which do the same has
    rates sqrt(g) times theirs, and s = 1 loses nothing. Any other f, such as tanh, sets the size of
    rates; a node then has those of its units where s = sqrt(N / n), if the n groups are as large.

    Parameters
    ----------
    activation : Activation
    n_units, n_nodes : int
        N and n.
    """
    return 1.0 if activation.half_slopes is not None else sqrt(n_units / n_nodes)


def circuit_equation(equation: Equation, scale: float, n_units: int, n_nodes: int) -> Equation:
    """Return the equation of a circuit's nodes, noise-free: that of units, in their group's size.

    In a group of N / n units that do the same, y = s sqrt(n / N) x: by its square the coefficient
    of a cubic damping differs. Of all else nothing does.

    Parameters
    ----------
    equation : Equation
        Of the large network.
    scale : float
    n_units, n_nodes : int
        N and n.
    """
    silent: dict[str, Any] = dict.fromkeys(SIGMAS, 0.0)
    gamma = equation.gamma * scale**2 * n_nodes / n_units
    return replace(equation, gamma=gamma, noise_inside=False, **silent)


def is_odd(activation: Activation) -> bool:
    """Return whether f(-x) = -f(x): a node and its negative are then the same circuit."""
    x = np.linspace(0.0, 5.0, 101)
    return bool(np.allclose(activation.f(-x), -activation.f(x), rtol=1e-9, atol=1e-12))


def correlation(a: Float, b: Float) -> float | None:
    """Return Pearson's correlation of the entries of two arrays; None where one does not vary."""
    first, second = (np.ravel(v) - np.mean(v) for v in (a, b))
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    if len(first) < 2 or size <= 1e-24:
        return None
    return float(np.clip(first @ second / size, -1.0, 1.0))
