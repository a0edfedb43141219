"""Products of parts on tensor cores: how exact gradients by them are, emulated on the CPU.

What a tensor core does is done to the products of the reference back end: factors of 8 significant
bits, products that are exact, sums of 16 of them and what they are added to, rounded towards zero
(Fasi et al. 2021, https://doi.org/10.7717/peerj-cs.330). `split_interpreted` runs the kernels.
"""

import itertools

import pytest
import torch

from models.engine import Buffers, Cotangent, RecurrentNoise, Weights
from models.engine.backends import plain
from models.engine.backends.row_products import SPLIT_CHUNK
from models.engine.backends.triton_launch import ACTIVATIONS_WITH_CODE, PRECISIONS, products_in
from models.formulas.equations import Equation
from tasks_lib.errors import ParameterError

SHAPE = {"k": 1, "n": 40, "m": 3, "o": 2, "trials": 4}
BMM = torch.bmm


def rounded(x):
    """Round float32 to the nearest number of 8 significant bits, as the kernels do."""
    words = x.contiguous().view(torch.int32)
    return (((words + 0x8000) >> 16) << 16).view(torch.float32)


def split(x, number):
    """Return parts whose sum is x, or nearly: each the rounded rest of those before."""
    parts = []
    for _ in range(number):
        parts.append(rounded(x))
        x = x - parts[-1]
    return parts


def towards_zero(x):
    """Round float64 to float32 towards zero."""
    nearest = x.float()
    beyond = nearest.double().abs() > x.abs()
    return torch.where(beyond, (nearest.view(torch.int32) - 1).view(torch.float32), nearest)


def added(total, a, b):
    """Add a product of matrices to what there is, as a tensor core does."""
    for first in range(0, a.shape[-1], 16):
        some = slice(first, first + 16)
        total = towards_zero(total.double() + BMM(a[..., some].double(), b[:, some].double()))
    return total


# Pairs of parts that are multiplied, in the order in which they are added.
SIX = [(2, 0), (0, 2), (1, 1), (1, 0), (0, 1), (0, 0)]
THREE = [(1, 0), (0, 1), (0, 0)]
CHAINS = [[(2, 0), (0, 0)], [(0, 2), (1, 0)], [(1, 1), (0, 1)]]


def product(a, b, kind):
    """Multiply as the loops do where terms are few, and as sums over all rows do where many."""
    left, right = split(a, 3), split(b, 3)
    zero = torch.zeros(*a.shape[:-1], b.shape[-1])

    def chain(pairs, some=slice(None), total=zero):
        for i, j in pairs:
            total = added(total, left[i][..., some], right[j][:, some])
        return total

    if a.shape[-1] <= 256 and kind != "three":
        one, two, three = map(chain, CHAINS)
        return one + (two + three)
    total = zero
    for first in range(0, a.shape[-1], SPLIT_CHUNK):
        some = slice(first, first + SPLIT_CHUNK)
        if kind == "in one sum":
            total = chain(SIX, some, total)
        else:
            total = total + chain(THREE if kind == "three" else SIX, some)
    return total


class _Torch:
    """Torch with other products."""

    def __init__(self, kind):
        self._kind = kind

    def __getattr__(self, name):
        return getattr(torch, name)

    def bmm(self, a, b):
        return product(a, b, self._kind)

    def baddbmm(self, start, a, b):
        return start + product(a, b, self._kind)


def gradients(monkeypatch, equation, n_steps, kind=None, dtype=torch.float32):
    """Return all gradients by the reference back end, with products of a kind."""
    k, n, m, o, b = SHAPE.values()
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return torch.randn(*shape, generator=generator).to(dtype)

    weights = Weights(
        random(k, n, n) / n**0.5, random(k, n, m), random(k, o, n) / n**0.5, random(k, n),
        random(k, n),
    )  # fmt: skip
    inputs, on_outputs = random(k, n_steps, b, m), random(k, n_steps, b, o)
    with monkeypatch.context() as patch:
        if kind is not None:
            patch.setattr(plain, "torch", _Torch(kind))
            patch.setattr(torch.Tensor, "baddbmm_",
                          lambda self, a, b: self.add_(product(a, b, kind)))  # fmt: skip
        back_end = plain.Plain()
        silent = RecurrentNoise([0.0] * k, [(1, 2)] * k, 0)
        run = back_end.forward(equation, weights, inputs, silent, (), Buffers())
        (found,) = back_end.backward(run, [Cotangent(on_outputs)])
    return torch.cat([block.double().flatten() for block in found])


def ratios(monkeypatch, equation, n_steps, *kinds):
    """Return the errors of gradients by products of each kind, by that of float32."""
    exact = gradients(monkeypatch, equation, n_steps, dtype=torch.float64)
    float32, *found = (
        float((gradients(monkeypatch, equation, n_steps, kind) - exact).norm())
        for kind in (None, *kinds)
    )
    return [error / float32 for error in found]


_KINDS = list(itertools.product(ACTIVATIONS_WITH_CODE, ("s", "h")))


@pytest.mark.parametrize("n_steps", [2, pytest.param(300, marks=pytest.mark.slow)])
def test_how_exact_gradients_are(n_steps, monkeypatch):
    """The distance from float64 by that of float32, of every activation and form."""
    for activation, form in _KINDS:
        equation = Equation(activation, form, tau=10.0)
        (ratio,) = ratios(monkeypatch, equation, n_steps, "six")
        assert ratio <= 2.0, (activation, form)


@pytest.mark.slow
def test_what_is_no_substitute(monkeypatch):
    """Three products lose the last bits, and so does a long sum that a tensor core keeps."""
    three, in_one_sum = ratios(monkeypatch, Equation("tanh", "h", tau=10.0), 300, "three",
                               "in one sum")  # fmt: skip
    assert three > 2.0 and in_one_sum > 5.0


def test_rounding_is_that_of_the_formats():
    x = torch.tensor([1.0, 1.0 + 2**-7, 1.0 + 2**-8, 1.0 + 3 * 2**-9, -3.14159274])
    assert rounded(x).tolist() == [1.0, 1.0 + 2**-7, 1.0 + 2**-7, 1.0 + 2**-7, -3.140625]
    assert (sum(split(x, 3)) == x).all()
    y = torch.tensor([1.0 + 2**-24, -1.0 - 3 * 2**-24, 1.0], dtype=torch.float64)
    assert towards_zero(y).tolist() == [1.0, -1.0 - 2**-23, 1.0]


def test_the_default_is_float32_and_others_are_refused():
    from models.engine.backends.triton_launch import products

    assert products().precision == "ieee"
    assert PRECISIONS[0] == "ieee"
    with products_in("bf16x6"):
        assert products().precision == "bf16x6"
    assert products().precision == "ieee"
    with pytest.raises(ParameterError, match="precision = 'bf16'"), products_in("bf16"):
        pass
