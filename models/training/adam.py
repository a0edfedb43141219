"""Adam for K networks that each have a learning rate of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..machine.torch_modes import without_graph
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
        # One row a network, of all its parameters: an operation then serves all of them.
        self._sizes = [p[0].numel() for p in self.params]
        self._moments = [torch.zeros(len(like), sum(self._sizes)).to(like) for _ in range(2)]
        views = [self._by_parameter(rows) for rows in self._moments]
        self.state = {
            p: dict(zip(("exp_avg", "exp_avg_sq"), own, strict=True))
            for p, *own in zip(self.params, *views, strict=True)
        }

    def _by_parameter(self, rows: Tensor) -> list[Tensor]:
        """Return the parts of rows (K, n), each shaped like its parameter."""
        parts = torch.split(rows, self._sizes, dim=1)
        return [part.view(p.shape) for part, p in zip(parts, self.params, strict=True)]

    @staticmethod
    def factors(n_steps: int) -> tuple[float, float]:
        """Return what the n-th step, from 1, is corrected by: factor on the rate, and epsilon."""
        correction = (1.0 - BETA_2**n_steps) ** 0.5
        return -correction / (1.0 - BETA_1**n_steps), EPSILON * correction

    @without_graph
    def step(
        self,
        gradients: Sequence[Tensor],
        factors: tuple[float | Tensor, float | Tensor] | None = None,
    ) -> None:
        """Take a step along gradients, shaped like the parameters.

        Each operation is rounded by itself. One that joins two, as ``lerp`` and ``addcmul`` do,
        may round an element by its place in the array, so that companions would matter.

        Parameters
        ----------
        gradients : sequence of Tensor
        factors : tuple, optional
            What `factors` gives for this step, as tensors in the memory of the device; steps are
            then counted by who gives them.
        """
        if factors is None:
            self.n_steps += 1
            factors = self.factors(self.n_steps)
        factor, epsilon = factors
        rate = self.lr * factor
        first, second = self._moments
        rows = torch.cat([p.detach().flatten(1) for p in self.params], dim=1)
        g = rows.mul_(self.weight_decay[:, None])
        g.add_(torch.cat([gradient.flatten(1) for gradient in gradients], dim=1))
        first.mul_(BETA_1).add_(g * (1.0 - BETA_1))
        second.mul_(BETA_2).add_(g.mul_(g).mul_(1.0 - BETA_2))
        size = second.sqrt().add_(epsilon)
        step = torch.div(first, size, out=size).mul_(rate[:, None])
        for p, own in zip(self.params, self._by_parameter(step), strict=True):
            p.add_(own)
