"""How networks and their trials are divided into the tiles of `models.engine.fused_kernels`."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

# Up to this many units the weights stay in shared memory: 64 KiB, beside 10 KiB of scratch.
MAX_RESIDENT = 128
TENSOR_ROWS = 16


@dataclass(frozen=True)
class Tile:
    """What a program works on and with.

    Attributes
    ----------
    rows : int
        Trials of a program.
    n_warps : int
        Warps of a program.
    n_stages : int
        Chunks of the weights that are on their way at a time, where they are not kept.
    """

    rows: int
    n_warps: int = 4
    n_stages: int = 1


@dataclass(frozen=True)
class Layout:
    """How N units, M channels and O outputs lie in tiles; see `models.engine.fused_kernels`."""

    n_units: int
    n_inputs: int
    n_outputs: int
    padded: int = field(init=False)

    def __post_init__(self) -> None:
        """Pad to a power of two, each quarter of which is a factor that `tl.dot` takes."""
        object.__setattr__(self, "padded", max(64, 1 << (self.n_units - 1).bit_length()))

    @property
    def resident(self) -> bool:
        """Whether the weights stay in shared memory."""
        return self.padded <= MAX_RESIDENT

    @property
    def folded(self) -> bool:
        """Whether the padding has room for channels, the constant 1 and outputs."""
        beside = max(self.n_inputs + 1, self.n_outputs)
        return self.resident and self.n_units + beside <= self.padded

    @property
    def bytes_of_parts(self) -> int:
        """Shared memory of a program that multiplies parts: weights, what is multiplied, 1 KiB."""
        return 3 * 2 * self.padded * (self.padded + TENSOR_ROWS) + 1024

    @property
    def bytes_with_gradients(self) -> int:
        """Shared memory of one that sums the gradients of all weights too: states beside them."""
        return self.bytes_of_parts + 3 * 2 * self.padded * TENSOR_ROWS

    def inner(self, n_beside: int, tile: Tile) -> int:
        """Return how many rows of the weights are multiplied, with so many beside the units.

        A multiple of 16, or of a quarter of all where a program has few trials: a part of a quarter
        costs three barriers more a step, which are as long as what they save there.
        """
        unit = 16 if tile.rows >= 8 else self.padded // 4
        used = self.n_units + (n_beside if self.folded else 0)
        return -(-used // unit) * unit


def sums_on_chip(layout: Layout, precision: str) -> bool:
    """Return whether programs that propagate adjoints sum the gradients of all weights as well.

    Then neither adjoints are written nor states read once more. On tensor cores, of sm_80 as of
    later ones, it spills at most some hundred bytes a thread; without them it has no room.
    """
    return precision == "bf16x6" and layout.folded


def choose_tile(
    layout: Layout,
    n_runs: int,
    n_trials: int,
    device: torch.device,
    precision: str = "ieee",
    with_gradients: bool = False,
) -> Tile:
    """Return the fastest tile for networks of a size on a device.

    Parameters
    ----------
    layout : Layout
    n_runs : int
        Networks times adjoints.
    n_trials : int
        Of each.
    device : torch.device
    precision : {"ieee", "bf16x6"}
    with_gradients : bool
        Whether a program sums the gradients of all weights; see `sums_on_chip`.
    """
    # As compiled for sm_80, sm_90 and sm_100 (benchmarks/kernel_resources.md), on four warps: 16
    # trials take 72 KiB of shared memory at N = 128 and 64 at N = 100, and 170 to 255 registers a
    # thread, some of which spill once in four steps, where noise is drawn; two programs share a
    # multiprocessor. 2 trials take 65 KiB.
    # A step of R trials costs what the chip needs to bring the weights out of shared memory, and R
    # times its products: about 900 + 105 R cycles, from counting instructions.
    # Weights that are not kept come from the L2 cache at each step, for whose sake a tile is large.
    if not layout.resident:
        return Tile(16, n_warps=8, n_stages=2)
    processors, shared = 1, 0
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        processors = properties.multi_processor_count
        shared = getattr(properties, "shared_memory_per_multiprocessor", 0)
    if precision != "ieee":
        # Tensor cores take 16 rows. With 16 units a warp has more company to wait in; with 32 two
        # programs share a multiprocessor, which then reads less out of shared memory in all. Four
        # warps have no registers for gradients.
        n_programs = n_runs * -(-n_trials // TENSOR_ROWS)
        alone = n_programs <= processors or shared < 2 * layout.bytes_of_parts or with_gradients
        return Tile(TENSOR_ROWS, n_warps=layout.padded // (16 if alone else 32))

    def cycles(rows: int) -> int:
        n_programs = n_runs * -(-n_trials // rows)
        return -(-n_programs // processors) * (900 + 105 * rows)

    return Tile(min((16, 8, 4, 2), key=cycles))
