"""What a program may have switched in torch, and a training must not depend on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def without_graph(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that autograd does not record it, as `torch.no_grad` does.

    Where nothing is recorded anyway it costs nothing; `torch.no_grad` takes some microseconds.
    """

    @wraps(function)
    def unrecorded(*args: P.args, **kwargs: P.kwargs) -> R:
        if not torch.is_grad_enabled():
            return function(*args, **kwargs)
        with torch.no_grad():
            return function(*args, **kwargs)

    return unrecorded


@contextmanager
def plain_torch() -> Iterator[None]:
    """Run what is inside as in a program that has switched nothing.

    Without it `torch.inference_mode` would train without penalties, whose gradients it does not
    take; a default device would get arrays that belong elsewhere; autocasting and a default dtype
    would change the precision. A function can be decorated with it.
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            # Not always: it makes every operation a little slower.
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, dtype)
        yield
