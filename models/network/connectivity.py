"""Initial weights, and the constraints on weights: sparsity, Dale's law, self-connections."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tasks_lib.errors import ParameterError
from tasks_lib.sizes import counted

from .blocks import states_of_weights
from .config import NetworkConfig
from .low_rank import Factors, drawn_factors, factors_of

Float = NDArray[np.float64]

BLOCKS = ("W_rec", "W_inp", "W_out")
WEIGHTS = (*BLOCKS, "b_rec", "x_init")
# Fields of a configuration that constrain each block.
CONSTRAINT_FIELDS = {
    "W_rec": "dale, self_connections, blocks",
    "W_inp": "nonnegative_inp, blocks",
    "W_out": "dale, nonnegative_out, blocks",
}
# Violators of a sign are set to this, not to 0, so that the sign of the connection stays known.
NEARLY_ZERO = 1e-12
ZERO = 1.01 * NEARLY_ZERO  # at most this counts as no weight
# All eigenvalues of 2000 units take seconds, of 10 000 a quarter of an hour. Not to be lowered: it
# decides on the last bits of the weights that a seed stands for.
ALL_EIGENVALUES_UNITS = 2000
ARNOLDI_TOLERANCE, MOST_RESTARTS = 1e-10, 100

# One random stream for each block of weights, numbered for ever: a new block takes a new number,
# so that adding one never changes the networks that a seed stands for.
STREAMS = {
    "W_rec": 0,
    "W_inp": 1,
    "W_out": 2,
    "b_rec": 3,
    "mask": 4,
    "noise": 5,
    "task": 6,
    "dropout": 7,
    "validation": 8,
    "factors": 9,
}


def stream(seed: int, name: str) -> np.random.SeedSequence:
    """Return the random stream ``name`` of the network with this seed."""
    return np.random.SeedSequence([seed, STREAMS[name]])


def sizes_in_words(n_units: int, n_inputs: int, n_outputs: int) -> str:
    """Return how large a network is."""
    counts = (n_units, "unit"), (n_inputs, "input"), (n_outputs, "output")
    return ", ".join(counted(number, what) for number, what in counts)


def as_weights(field: str, value: ArrayLike, shape: tuple[int | None, ...]) -> Float:
    """Return a float64 copy of ``value`` after checking its shape (None = any) and finiteness."""
    array = np.array(value, dtype=np.float64)
    agrees = array.ndim == len(shape) and all(
        wanted in (None, size) for wanted, size in zip(shape, array.shape, strict=True)
    )
    if not agrees:
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise ParameterError(
            f"{field}.shape", array.shape, f"should be {wanted}", "pass weights of one network"
        )
    if not np.isfinite(array).all():
        raise ParameterError(field, "non-finite", "has NaN or infinite entries", "pass finite ones")
    return array


@dataclass(frozen=True)
class Connectivity:
    """Weights of one network and their constraints.

    Attributes
    ----------
    W_rec, W_inp, W_out, b_rec : array
        (N, N), (N, n_inputs), (n_outputs, N), (N,).
    masks : dict
        Block name -> boolean array, False where a weight does not exist.
    fixed : dict
        Name of an array of weights, b_rec among them -> boolean array, True where a weight is not
        trained. Arrays all of whose weights are trained are left out.
    signs : dict
        Block name -> array of -1, 0, +1: the sign that a weight keeps (0: free).
    x_init : array (N,), optional
        Initial state; zeros where it is not given.
    factors : Factors, optional
        Those whose product W_rec is, where the configuration limits its rank.
    """

    W_rec: Float
    W_inp: Float
    W_out: Float
    b_rec: Float
    masks: dict[str, NDArray[np.bool_]]
    signs: dict[str, Float]
    x_init: Float | None = None
    factors: Factors | None = None
    fixed: dict[str, NDArray[np.bool_]] = field(default_factory=dict)

    @classmethod
    def of(cls, weights: Mapping[str, ArrayLike], config: NetworkConfig) -> Connectivity:
        """Return weights that exist already, under the constraints of a configuration.

        Parameters
        ----------
        weights : dict
            W_rec, W_inp, W_out and, if they are not zero, b_rec and x_init. What is 0 in W_rec
            does not exist where the configuration has a density below 1. Where it limits the rank,
            W_rec is divided into factors (`models.network.low_rank.factors_of`).
        config : NetworkConfig

        Raises
        ------
        ParameterError
            Where shapes disagree, weights are not finite, or break a constraint.
        """
        n = config.n_units
        blocks = {
            "W_rec": as_weights("W_rec", weights["W_rec"], (n, n)),
            "W_inp": as_weights("W_inp", weights["W_inp"], (n, None)),
            "W_out": as_weights("W_out", weights["W_out"], (None, n)),
        }
        zeros = np.zeros(n)
        masks = block_masks(config, blocks)
        signs = block_signs(config, blocks["W_inp"].shape[1], blocks["W_out"].shape[0])
        for name, block in blocks.items():
            broken = (np.abs(block) > ZERO) & ~masks[name] | (block * signs[name] < -ZERO)
            if broken.any():
                place = tuple(int(i) for i in np.argwhere(broken)[0])
                raise ParameterError(
                    f"{name}{list(place)}",
                    float(block[place]),
                    "breaks a constraint that the configuration declares",
                    f"declare it otherwise ({CONSTRAINT_FIELDS[name]}), or change the weights",
                )
        return cls(
            **blocks,
            b_rec=as_weights("b_rec", weights.get("b_rec", zeros), (n,)),
            masks=masks,
            signs=signs,
            x_init=as_weights("x_init", weights.get("x_init", zeros), (n,)),
            factors=factors_of(blocks["W_rec"], config.max_rank) if config.max_rank else None,
            fixed=fixed_weights(config, blocks["W_inp"].shape[1], blocks["W_out"].shape[0]),
        )


def dale_signs(config: NetworkConfig) -> Float:
    """Return each unit's sign: +1 excitatory, -1 inhibitory (0 without Dale's law), (N,)."""
    if not config.dale:
        return np.zeros(config.n_units)
    return np.where(np.arange(config.n_units) < config.n_excitatory, 1.0, -1.0)


def block_signs(config: NetworkConfig, n_inputs: int, n_outputs: int) -> dict[str, Float]:
    """Return the sign that each weight keeps (0: free), by block."""
    n = config.n_units
    return {
        "W_rec": np.tile(dale_signs(config), (n, 1)),
        "W_inp": np.full((n, n_inputs), float(bool(config.nonnegative_inp))),
        "W_out": np.full((n_outputs, n), float(bool(config.nonnegative_out))),
    }


def block_masks(
    config: NetworkConfig, weights: Mapping[str, Float]
) -> dict[str, NDArray[np.bool_]]:
    """Return where weights of a network exist, by block, as boolean arrays."""
    allowed = np.ones_like(weights["W_rec"], dtype=bool)
    if not config.self_connections:
        np.fill_diagonal(allowed, False)
    if config.density < 1.0:  # a trained weight that exists is 1e-12 at least, never 0
        allowed &= weights["W_rec"] != 0
    masks = {
        "W_rec": allowed,
        "W_inp": np.ones_like(weights["W_inp"], dtype=bool),
        "W_out": np.tile(dale_signs(config) >= 0, (weights["W_out"].shape[0], 1)),
    }
    return {name: _with_blocks(config, name, mask) for name, mask in masks.items()}


def _with_blocks(config: NetworkConfig, name: str, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask & states_of_weights(config, name, mask.shape)[0]


def fixed_weights(
    config: NetworkConfig, n_inputs: int, n_outputs: int
) -> dict[str, NDArray[np.bool_]]:
    """Return which weights are not trained, by array; arrays without any are left out."""
    n = config.n_units
    shapes = {"W_rec": (n, n), "W_inp": (n, n_inputs), "W_out": (n_outputs, n), "b_rec": (n,)}
    found = {
        name: states_of_weights(config, name, shape)[1]
        for name, shape in shapes.items()
        if name in config.blocks
    }
    return {name: fixed for name, fixed in found.items() if fixed.any()}


def _recurrent_mask(config: NetworkConfig, seed: int) -> NDArray[np.bool_]:
    n = config.n_units
    allowed: NDArray[np.bool_] = np.ones((n, n), dtype=bool)
    if not config.self_connections:
        np.fill_diagonal(allowed, False)
    allowed = _with_blocks(config, "W_rec", allowed)
    if config.density < 1.0:
        rng = np.random.default_rng(stream(seed, "mask"))
        candidates = np.flatnonzero(allowed)
        n_kept = round(config.density * candidates.size)
        kept = rng.permutation(candidates)[:n_kept]
        allowed = np.zeros((n, n), dtype=bool)
        allowed.flat[kept] = True
    return allowed


def spectral_radius(weights: Float) -> float:
    """Return the largest modulus of a matrix's eigenvalues.

    Up to `ALL_EIGENVALUES_UNITS` rows from all eigenvalues, whose bits every network of that size
    hangs on. Above, those of largest modulus are found by the implicitly restarted Arnoldi method
    (Lehoucq, Sorensen & Yang 1998, ARPACK) from a fixed start, to `ARNOLDI_TOLERANCE`; where that
    does not converge, or where all seem to be zero, from all of them.
    """
    n = len(weights)
    if n > ALL_EIGENVALUES_UNITS:
        from scipy.sparse.linalg import ArpackError

        with suppress(ArpackError):
            found = float(np.abs(_largest_eigenvalues(weights)).max())
            # Of a nilpotent matrix rounding errors are all that is found: small, but far from zero.
            if found > 1e-2 * np.abs(weights).max():
                return found
    return float(np.abs(np.linalg.eigvals(weights)).max())


def _largest_eigenvalues(weights: Float) -> NDArray[np.complex128]:
    from scipy.sparse.linalg import eigs

    rng = np.random.default_rng(0)
    start = rng.standard_normal(len(weights))
    # SciPy draws further directions where the first ones span an invariant subspace: from 1.17 on
    # from a generator that has no seed unless it is given one.
    seeded = {"rng": rng} if "rng" in inspect.signature(eigs).parameters else {}
    # One alone may be the wrong one of several that are nearly as large.
    found = eigs(
        weights, k=8, ncv=160, which="LM", v0=start, tol=ARNOLDI_TOLERANCE,
        maxiter=MOST_RESTARTS, return_eigenvectors=False, **seeded,
    )  # fmt: skip
    return np.asarray(found)


def _scaled_to_radius(weights: Float, radius: float) -> Float:
    current = spectral_radius(weights)
    # A nilpotent matrix (one unit, or a very sparse one) has no radius to scale.
    return weights * (radius / current) if current > 1e-12 else weights


def initial_connectivity(
    config: NetworkConfig, n_inputs: int, n_outputs: int, seed: int
) -> Connectivity:
    """Draw the weights of the network with this seed.

    With Dale's law, columns of W_rec from excitatory units are +|Normal(1/sqrt(N), 1/N)|, those
    from inhibitory units -|Normal(R/sqrt(N), 1/N)| (mean, standard deviation), W_inp and the
    excitatory columns of W_out |Normal(1/sqrt(N), 1/N)|, inhibitory columns of W_out zero.
    Otherwise every weight is Normal(0, 1/sqrt(N)). W_rec is then masked and rescaled to the
    spectral radius. Where its rank is limited, it is the product of factors
    (`models.network.low_rank.drawn_factors`).
    """
    n = config.n_units
    sign = dale_signs(config)
    excitatory = sign >= 0
    root = 1.0 / np.sqrt(n)

    def normal(block: str, mean: float | Float, sd: float, shape: tuple[int, ...]) -> Float:
        return mean + sd * np.random.default_rng(stream(seed, block)).standard_normal(shape)

    masks = {
        "W_rec": _recurrent_mask(config, seed),
        "W_inp": _with_blocks(config, "W_inp", np.ones((n, n_inputs), dtype=bool)),
        "W_out": _with_blocks(config, "W_out", np.tile(excitatory, (n_outputs, 1))),
    }
    if config.dale:
        mean = np.where(excitatory, root, config.exc_to_inh_ratio * root)
        w_rec = np.abs(normal("W_rec", mean, 1.0 / n, (n, n))) * sign
        w_inp = np.abs(normal("W_inp", root, 1.0 / n, (n, n_inputs)))
        w_out = np.abs(normal("W_out", root, 1.0 / n, (n_outputs, n)))
    else:
        w_rec = normal("W_rec", 0.0, root, (n, n))
        w_inp = normal("W_inp", 0.0, root, (n, n_inputs))
        w_out = normal("W_out", 0.0, root, (n_outputs, n))
        # Non-negative without Dale: the modulus keeps the scale of the draw.
        w_inp = np.abs(w_inp) if config.nonnegative_inp else w_inp
        w_out = np.abs(w_out) if config.nonnegative_out else w_out
    if config.trains_bias and config.bias_init == "uniform":
        rng = np.random.default_rng(stream(seed, "b_rec"))
        bias = rng.uniform(config.bias_min, config.bias_max, n)
    else:
        bias = np.full(n, np.clip(0.0, config.bias_min, config.bias_max))
    factors = None
    if config.max_rank:
        factors = drawn_factors(n, config.max_rank, config.spectral_radius, stream(seed, "factors"))
        w_rec = factors.product()
    else:
        w_rec = _scaled_to_radius(w_rec * masks["W_rec"], config.spectral_radius)
    return Connectivity(
        W_rec=w_rec,
        W_inp=w_inp * masks["W_inp"],
        W_out=w_out * masks["W_out"],
        b_rec=bias,
        masks=masks,
        signs=block_signs(config, n_inputs, n_outputs),
        factors=factors,
        fixed=fixed_weights(config, n_inputs, n_outputs),
    )
