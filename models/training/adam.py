"""Adam for K networks that each have a learning rate of their own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..machine.torch_modes import without_graph
from ..network.batch import one_for_each
from ..network.rows import Rows

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
    moments : list of Rows
        The same of all parameters, ``exp_avg`` and ``exp_avg_sq``.
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
        shapes = [tuple(p.shape[1:]) for p in self.params]
        self.moments = [Rows.empty(len(like), shapes, like) for _ in range(2)]
        for moment in self.moments:
            moment.rows.zero_()
        self.state = {
            p: dict(zip(("exp_avg", "exp_avg_sq"), own, strict=True))
            for p, *own in zip(self.params, *self.moments, strict=True)
        }

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
        first, second = (moment.rows for moment in self.moments)
        g = Rows.of(self.params).rows.mul_(self.weight_decay[:, None])
        g.add_(Rows.of(gradients).rows)
        first.mul_(BETA_1).add_(g * (1.0 - BETA_1))
        second.mul_(BETA_2).add_(g.mul_(g).mul_(1.0 - BETA_2))
        size = second.sqrt().add_(epsilon)
        step = torch.div(first, size, out=size).mul_(rate[:, None])
        for p, own in zip(self.params, self.moments[0].with_rows(step), strict=True):
            p.add_(own)
