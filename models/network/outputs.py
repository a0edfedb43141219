"""Outputs of one network alone, for analyses that read no states: in little memory, on any device.

States and noise of all trials are as many numbers as units, steps and trials together: 1000 units,
300 steps and 2000 trials are 5 GB of each. Here the engine runs some trials at a time and keeps
what comes out.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..engine import Buffers, NetworkKind, Weights, choose_back_end, torch_on_one
from .noise import Noise, RunNoise
from .noise_draws import NoiseDraws, NoiseSources, to_internal
from .rnn_numpy import RNNNumpy
from .run import RunMemory, run_networks

DTYPE = torch.float64
# What the trials that run at a time hold. On a GPU more of them make fewer launches.
BYTES_HELD = {"cpu": 3 * 2**26, "cuda": 2**31}
MOST_TRIALS = 1024


def network_outputs(
    rnn: RNNNumpy,
    u: ArrayLike,
    noise: bool | Noise = False,
    device: str | torch.device = "cpu",
) -> NDArray[np.float64]:
    """Simulate trials in float64 and return what the network says, without its states.

    Parameters
    ----------
    rnn : RNNNumpy
        The network; of its generator two words are drawn, which name the noise. What is of another
        class runs itself, by its own ``run``.
    u : array (n_inputs, T, B)
        Inputs of B trials.
    noise : bool or Noise
        Whether to draw the network's noise, or the draws to use.
    device : str or torch.device
        Where it runs.

    Returns
    -------
    array (n_outputs, T, B)
        Those of `RNNNumpy.run` to rounding, where noise is off or given. Drawn noise is a function
        of its place (`models.engine.philox`): neither the device nor how trials are divided changes
        it. On a CPU the outputs are the same to the bit whatever memory and threads there are.
    """
    if not isinstance(rnn, RNNNumpy):
        return np.asarray(rnn.run(u, noise=noise)[1], dtype=np.float64)
    place = torch.device(device)
    inputs = to_internal(rnn.check_input(u, (3,)), DTYPE, place)[None]
    blocks = (rnn.W_rec, rnn.W_inp, rnn.W_out, rnn.b_rec, rnn.x_init)
    weights = Weights(*(torch.tensor(block, dtype=DTYPE, device=place)[None] for block in blocks))
    key = (0, 0)
    if noise is True:
        low, high = rnn.rng.integers(0, 2**32, 2)
        key = (int(low), int(high))
    sources = NoiseSources([rnn.equation], [key], place)
    draws = NoiseDraws(RunNoise(noise), sources, 0, weights.W_rec)
    # The kernels of a GPU compute in float32, which is not what scores are taken in.
    back_end = "plain" if place.type == "cuda" else None
    memory = RunMemory(Buffers(), trials_at_once(rnn, inputs.shape[1], place, back_end))
    with torch_on_one(), np.errstate(over="ignore", invalid="ignore"):
        run = run_networks(rnn.equation, weights, inputs, draws, None, (), memory, back_end)
    return np.ascontiguousarray(run.outputs[0].movedim(-1, 0).cpu().numpy())


def trials_at_once(
    rnn: RNNNumpy, n_steps: int, device: torch.device, back_end: str | None = None
) -> int:
    """Return how many trials run at a time.

    It depends on sizes and the kind of device alone, and not on what is free: products are rounded
    by their shape, and so the outputs of a network are the same on every machine of a kind.
    """
    chosen = choose_back_end(NetworkKind(rnn.equation, rnn.n_units, DTYPE, device), back_end)
    arrays = chosen.arrays_held(rnn.equation, 0)
    one = int(arrays * n_steps * rnn.n_units * DTYPE.itemsize)
    return max(1, min(MOST_TRIALS, BYTES_HELD[device.type] // one))
