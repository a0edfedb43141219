"""Adam for K networks that each have a learning rate of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..network.batch import one_for_each

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """The optimiser of Kingma and Ba (2015, arXiv:1412.6980), weight decay added to the gradient.

    torch's own has one learning rate for all that a tensor holds; here the first axis of every
    tensor is the network.

    Parameters
    ----------
    params : sequence of Tensor (K, ...)
        Changed in place by `step`.
    lr : sequence of float (K,)
        Learning rate of each network.
    weight_decay : float or sequence of float (K,)
        Of all networks, or of each.

    Attributes
    ----------
    state : dict
        Tensor -> its moments by name, as torch's optimisers have it.
    n_steps : int
        Steps taken.
    """

    def __init__(
        self, params: Sequence[Tensor], lr: Sequence[float], weight_decay: float | Sequence[float]
    ) -> None:
        self.params = list(params)
        like = self.params[0]
        self.lr, self.weight_decay = (
            torch.tensor(values, dtype=like.dtype, device=like.device)
            for values in (list(lr), one_for_each("weight_decay", weight_decay, len(like)))
        )
        self.n_steps = 0
        self.state = {
            p: {name: torch.zeros_like(p) for name in ("exp_avg", "exp_avg_sq")}
            for p in self.params
        }

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Take a step along gradients, shaped like the parameters.

        Each operation is rounded by itself. One that joins two, as ``lerp`` and ``addcmul`` do,
        may round an element by its place in the array, so that companions would matter.
        """
        self.n_steps += 1
        correction = (1.0 - BETA_2**self.n_steps) ** 0.5
        rate = self.lr * (-correction / (1.0 - BETA_1**self.n_steps))
        for p, gradient in zip(self.params, gradients, strict=True):
            first, second = self.state[p].values()
            each = (-1, *[1] * (p.ndim - 1))
            g = (p * self.weight_decay.view(each)).add_(gradient)
            first.mul_(BETA_1).add_(g * (1.0 - BETA_1))
            second.mul_(BETA_2).add_(g.mul_(g).mul_(1.0 - BETA_2))
            size = second.sqrt().add_(EPSILON * correction)
            p.add_(torch.div(first, size, out=size).mul_(rate.view(each)))
