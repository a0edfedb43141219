"""A stand-in for CUDA graphs on a CPU: what was done is done again on the same memory.

As in a graph, Python is not run again and numbers of the host are those of the capture, memory is
that of the capture, and what would wait for the device is refused.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# What reads a number of the device, or sends one to it from memory that may be gone when the graph
# is replayed, or makes a tensor whose size depends on numbers of the device.
WAITS = (
    "aten._local_scalar_dense",
    "aten.item",
    "aten.nonzero",
    "aten.masked_select",
    "aten.equal",
    "aten.is_nonzero",
    "aten.lift_fresh",
    "aten._unique",
)


def waits(function: Any, args: Any) -> bool:
    """Return whether an operation would wait for the device."""
    name = str(function)
    if name.startswith(("aten.index.Tensor", "aten.index_put", "aten._index_put_impl_")):
        places = args[1]
        return any(p is not None and p.dtype in (torch.bool, torch.uint8) for p in places)
    return any(name == word or name.startswith(f"{word}.") for word in WAITS)


class Waiting(RuntimeError):
    """Says what a real capture says."""

    def __init__(self, function: Any) -> None:
        super().__init__(f"operation not permitted when stream is capturing: {function}")


class WaitsCounted(TorchDispatchMode):
    """Notes the operations that would wait for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.n_operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.n_operations += 1
        if waits(function, args):
            self.found.append(str(function))
        return function(*args, **(kwargs or {}))


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


class _Recorder(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.own: set[int] = set()
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self.held: list[Tensor] = []  # memory of a graph is not used again

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if waits(function, args):
            raise Waiting(function)
        written = [
            tensor
            for argument, given in zip(function._schema.arguments, args, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write
            for tensor in _tensors(given)
        ]
        written += _tensors(kwargs.get("out"))
        for tensor in written:
            place = tensor.untyped_storage().data_ptr()
            if place not in self.own and place not in self.before:
                whole = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
                self.before[place] = whole, whole.clone()
        given = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
        result = function(*args, **kwargs)
        outs = _tensors(result)
        self.held += outs
        new = [t for t in outs if t.untyped_storage().data_ptr() not in given]
        self.own |= {t.untyped_storage().data_ptr() for t in new}
        self.calls.append((function, args, kwargs, result if new else None))
        return result

    def undo(self) -> None:
        for whole, old in self.before.values():
            whole.copy_(old)

    def replay(self) -> None:
        with torch.no_grad():
            for function, args, kwargs, kept in self.calls:
                result = function(*args, **kwargs)
                if kept is not None and "empty" not in str(function):
                    for place, new in zip(_tensors(kept), _tensors(result), strict=True):
                        place.detach().copy_(new)


class RecordedGraphs:
    """Captures by recording operations; counts what was asked of it."""

    def __init__(self) -> None:
        self.n_warm, self.n_captures, self.n_replays = 0, 0, 0

    def warm_up(self, function):
        self.n_warm += 1
        function()

    def capture(self, function):
        recorder = _Recorder()
        try:
            with recorder:
                function()
        finally:
            recorder.undo()
        self.n_captures += 1

        def replay():
            self.n_replays += 1
            recorder.replay()

        return replay
