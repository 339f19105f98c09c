"""A small, real tensor-parallel inference server, and the faults to inject into it.

Nothing is scripted to come out a certain way: stalls, waiting, batch cuts and
token flips are measured and computed.

Importing this package pins the matrix library before NumPy is loaded: its
choice of kernel and its number of threads both change the bits of a product,
and a recording and its replay must agree to the bit.
"""

from __future__ import annotations

import os
import platform

if platform.machine() in ("x86_64", "AMD64"):
    os.environ["OPENBLAS_CORETYPE"] = "Haswell"  # AVX2: every x86 of the last ten years has it
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one core a rank
