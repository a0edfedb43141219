"""Which units are dropped in a run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from ..engine import Weights


@dataclass(frozen=True, eq=False)
class DropoutMask:
    """Factors on the outputs of the units of K networks in a run with dropout.

    Attributes
    ----------
    factor : Tensor (K, N)
        Factor on what each unit sends: 0 where it is dropped.
    dead : bool
        Whether dropped units send nothing at all, neither to other units nor to the penalties;
        otherwise they are only not read.
    """

    factor: Tensor
    dead: bool = False

    def applied_to(self, weights: Weights) -> Weights:
        """Return the weights of the run; or, of a gradient by those, that by the full weights.

        What a unit sends passes through its column of W_rec and of W_out.
        """
        sent = self.factor[:, None]
        w_rec = weights.W_rec * sent if self.dead else weights.W_rec
        return replace(weights, W_out=weights.W_out * sent, W_rec=w_rec)
