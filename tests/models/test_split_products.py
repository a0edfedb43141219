"""Products split in three on tensor cores: how exact gradients by them are, emulated on the CPU.

Triton's interpreter multiplies in full precision whatever is asked for, so that what a tensor core
does to the factors is done here to those of the reference back end.
"""

import itertools

import pytest
import torch

from models.engine import Buffers, Cotangent, RecurrentNoise, Weights
from models.engine.backends import plain
from models.engine.backends.triton_launch import ACTIVATIONS_WITH_CODE, PRECISIONS, products_in
from models.formulas.equations import Equation
from tasks_lib.errors import ParameterError

BITS = {"tf32": 10, "bf16": 7}  # of the fraction that is kept
SHAPE = {"k": 1, "n": 40, "m": 3, "o": 2, "trials": 4}


def rounded(x, kind):
    """Round float32 to the nearest number with fewer bits, ties to even, as the hardware does."""
    dropped = 23 - BITS[kind]
    words = x.contiguous().view(torch.int32)
    words = words + ((1 << (dropped - 1)) - 1) + ((words >> dropped) & 1)
    return ((words >> dropped) << dropped).view(torch.float32)


def split(x, kind, number):
    """Return parts whose sum is x, or nearly: each the rounded rest of those before."""
    parts = []
    for _ in range(number):
        parts.append(rounded(x, kind))
        x = x - parts[-1]
    return parts


# Pairs of parts that are multiplied: all whose product can count in float32.
PAIRS = {
    "tf32": ("tf32", 1, [(0, 0)]),
    "tf32x3": ("tf32", 2, [(0, 1), (1, 0), (0, 0)]),
    "bf16x3": ("bf16", 2, [(0, 1), (1, 0), (0, 0)]),
    "bf16x6": ("bf16", 3, [(0, 2), (1, 1), (2, 0), (0, 1), (1, 0), (0, 0)]),
}


def product(a, b, precision):
    """Multiply batches of matrices; products of parts are exact, sums are those of float32."""
    kind, number, pairs = PAIRS[precision]
    left, right = split(a, kind, number), split(b, kind, number)
    return sum(BMM(left[i], right[j]) for i, j in pairs)


BMM = torch.bmm


class _Torch:
    """Torch with other products."""

    def __init__(self, precision):
        self._precision = precision

    def __getattr__(self, name):
        return getattr(torch, name)

    def bmm(self, a, b):
        return product(a, b, self._precision)

    def baddbmm(self, start, a, b):
        return start + product(a, b, self._precision)


def gradients(monkeypatch, equation, n_steps, precision=None, dtype=torch.float32):
    """Return all gradients by the reference back end, with products in a precision."""
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
        if precision is not None:
            patch.setattr(plain, "torch", _Torch(precision))
            patch.setattr(torch.Tensor, "baddbmm_",
                          lambda self, a, b: self.add_(product(a, b, precision)))  # fmt: skip
        back_end = plain.Plain()
        silent = RecurrentNoise([0.0] * k, [(1, 2)] * k, 0)
        run = back_end.forward(equation, weights, inputs, silent, (), Buffers())
        (found,) = back_end.backward(run, [Cotangent(on_outputs)])
    return torch.cat([block.double().flatten() for block in found])


def errors(monkeypatch, equation, n_steps, precisions):
    exact = gradients(monkeypatch, equation, n_steps, dtype=torch.float64)
    return [
        float((gradients(monkeypatch, equation, n_steps, p) - exact).norm() / exact.norm())
        for p in precisions
    ]


_KINDS = list(itertools.product(ACTIVATIONS_WITH_CODE, ("s", "h")))


@pytest.mark.parametrize(
    ("n_steps", "bounds"),
    [(2, {"bf16x6": 2.0, "tf32x3": 3.5}),
     pytest.param(300, {"bf16x6": 2.0, "tf32x3": 2.0}, marks=pytest.mark.slow)],
)  # fmt: skip
def test_how_exact_gradients_are(n_steps, bounds, monkeypatch):
    """The distance from float64 by that of float32, of every activation and form.

    Six products of bfloat16 are as good as float32; three of tf32 are after many steps, when other
    rounding has added up, and up to three times as far after one.
    """
    ratios = {precision: [] for precision in (*bounds, "bf16x3")}
    for activation, form in _KINDS:
        equation = Equation(activation, form, tau=10.0)
        ieee, one, *others = errors(monkeypatch, equation, n_steps, (None, "tf32", *ratios))
        assert one > 30 * ieee  # one product of rounded factors is another matter
        for precision, error in zip(ratios, others, strict=True):
            ratios[precision].append(error / ieee)
    for precision, bound in bounds.items():
        assert max(ratios[precision]) <= bound, ratios
    # Three products of bfloat16 lose the last bits: they are no substitute.
    assert min(ratios["bf16x3"]) > 2.0


def test_rounding_is_that_of_the_formats():
    x = torch.tensor([1.0, 1.0 + 2**-10, 1.0 + 2**-11, 1.0 + 3 * 2**-11, -3.14159274])
    wanted = [1.0, 1.0 + 2**-10, 1.0, 1.0 + 2 * 2**-10, -3.140625]
    assert rounded(x, "tf32").tolist() == pytest.approx(wanted, rel=0, abs=2**-9)
    assert rounded(x, "tf32")[:4].tolist() == wanted[:4]
    torch.testing.assert_close(rounded(x, "bf16"), x.bfloat16().float(), rtol=0, atol=0)
    assert (sum(split(x, "tf32", 2)) - x).abs().max() <= 2**-22


def test_the_default_is_float32_and_others_are_refused():
    from models.engine.backends.triton_launch import products

    assert products().precision == "ieee"
    assert PRECISIONS[0] == "ieee"
    with products_in("tf32x3"):
        assert products().precision == "tf32x3"
    assert products().precision == "ieee"
    with pytest.raises(ParameterError, match="precision = 'bf16'"), products_in("bf16"):
        pass
