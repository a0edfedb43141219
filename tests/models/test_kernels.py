"""Which kernels a machine computes with, in a line."""

from __future__ import annotations

import sys

import pytest
import torch

from models.machine import kernels
from models.machine.kernels import kernels_of


@pytest.fixture(autouse=True)
def asked_anew():
    kernels_of.cache_clear()
    yield
    kernels_of.cache_clear()


def test_those_of_a_cpu_are_named():
    """The library of products, torch, and the processor that loops are compiled for."""
    blas, of_torch, processor = kernels_of("cpu").split("; ")
    assert len(blas.split()) == 3  # its name, version, and the kernels that it chose
    assert of_torch == f"torch {torch.backends.cpu.get_cpu_capability()}"
    assert processor and " " not in processor


def test_other_kernels_of_a_library_are_another_line(monkeypatch):
    monkeypatch.setattr(kernels, "_of_torch", lambda: "AVX2")
    assert "; torch AVX2; " in kernels_of("cpu")


def test_where_nothing_tells_there_is_what_torch_says(monkeypatch):
    """As without Numba, and with a BLAS that is not known."""
    monkeypatch.setattr("threadpoolctl.threadpool_info", list)
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert kernels_of("cpu") == f"torch {torch.backends.cpu.get_cpu_capability()}"


def test_a_gpu_is_named_with_its_capability(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_name", lambda device: "A card 80GB")
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))
    assert kernels_of("cuda:0") == "A card 80GB, sm_90"
