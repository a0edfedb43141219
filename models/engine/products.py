"""Products of small matrices from compiled code: the BLAS that SciPy brings, called directly.

What NumPy and torch spend on a call (checks, allocation, waking threads) is as much as a product of
a network of 100 units takes.
"""

from __future__ import annotations

from llvmlite.binding import add_symbol
from numba import types
from numba.extending import get_cython_function_address

from .compilation import inline

_NAMES = {"sgemm": "rnn_engine_sgemm", "dgemm": "rnn_engine_dgemm"}
for _blas, _symbol in _NAMES.items():
    add_symbol(_symbol, get_cython_function_address("scipy.linalg.cython_blas", _blas))
_signature = types.void(*[types.uintp] * 13)
_sgemm = types.ExternalFunction(_NAMES["sgemm"], _signature)
_dgemm = types.ExternalFunction(_NAMES["dgemm"], _signature)
_NO, _YES = ord("N"), ord("T")


@inline
def multiply(a, b, out, transposed, beta, integers, reals):
    """Put a b + beta out into ``out``, or aᵀ b + beta out; rows contiguous, whole arrays or rows.

    Parameters
    ----------
    a : array (m, k), or (k, m) if transposed
    b : array (k, n)
    out : array (m, n)
    integers : int32 array (8,)
    reals : array (2,), of the type of the others
        Scratch: BLAS takes its arguments by address.
    """
    m, n = out.shape
    k = b.shape[0]
    size = reals.itemsize
    integers[0], integers[1] = _NO, _YES if transposed else _NO
    integers[2], integers[3], integers[4] = n, m, k
    # Row-major arrays are the transposed ones to BLAS, so that the factors change places.
    # The stride of a single row can be anything.
    integers[5] = b.strides[0] // size if k > 1 else n
    integers[6] = a.strides[0] // size if a.shape[0] > 1 else a.shape[1]
    integers[7] = out.strides[0] // size if m > 1 else n
    reals[0], reals[1] = 1.0, beta
    i, r = integers.ctypes.data, reals.ctypes.data
    if size == 4:
        _sgemm(
            i, i + 4, i + 8, i + 12, i + 16, r, b.ctypes.data, i + 20,
            a.ctypes.data, i + 24, r + size, out.ctypes.data, i + 28,
        )  # fmt: skip
    else:
        _dgemm(
            i, i + 4, i + 8, i + 12, i + 16, r, b.ctypes.data, i + 20,
            a.ctypes.data, i + 24, r + size, out.ctypes.data, i + 28,
        )  # fmt: skip
