"""How far the weights of K networks move, over 100, 1,000 and 10,000 iterations."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..machine.torch_modes import without_graph
from ..network.by_network import inner
from .config import WINDOWS


class WeightChanges:
    """Keeps what weights were a window of iterations ago, and how they had changed by then.

    With w(t) all trained weights of a network after t iterations, as one vector, a window of n
    iterations ends wherever n divides t. Its change is d(t) = w(t) - w(t - n).

    Parameters
    ----------
    params : sequence of Tensor (K, ...)
        The trained weights.
    max_iter : int
        Windows that do not fit into so many iterations are not kept.
    """

    def __init__(self, params: Sequence[Tensor], max_iter: int) -> None:
        self.params = list(params)
        self.windows = tuple(n for n in WINDOWS if n <= max_iter)
        now = self._now()
        self.before = {n: now.clone() for n in self.windows}
        # All 0 until there is one: its cosine with anything is then not defined.
        self.changes = {n: torch.zeros_like(now) for n in self.windows}

    def _now(self) -> Tensor:
        return torch.cat([p.detach().flatten(1) for p in self.params], dim=1)

    def ends(self, iteration: int) -> list[int]:
        """Return the windows that end after so many iterations."""
        return [n for n in self.windows if iteration > 0 and iteration % n == 0]

    @without_graph
    def take(self, iteration: int) -> dict[int, tuple[Tensor, Tensor]]:
        """Return norm (K,) of the change and its cosine (K,) with the one before, by window.

        Of the windows that end here, which begin anew. NaN where a cosine is not defined: one of
        the two changes is 0, or there is none before.
        """
        found = {}
        for n in self.ends(iteration):
            now = self._now()
            change = now - self.before[n]
            size = inner([change], [change]).sqrt()
            last = self.changes[n]
            scale = size * inner([last], [last]).sqrt()
            cosine = inner([change], [last]) / scale
            cosine = torch.where(scale > 0, cosine.clamp(-1.0, 1.0), torch.nan)
            found[n] = size, cosine
            # In place: they are tensors of the training's state.
            self.before[n].copy_(now)
            last.copy_(change)
        return found

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor that `take` changes, by name."""
        before = {f"before.{n}": tensor for n, tensor in self.before.items()}
        return before | {f"change.{n}": tensor for n, tensor in self.changes.items()}
