"""Keeps secrets out of core dumps: a process that holds some must not write its memory down."""

import ctypes
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4
"""Of prctl(2): with 0 no core is written, not even to a program that collects them, and nobody
but root may attach to the process."""


def forbid_core_dumps() -> None:
    """Sees that a crash of this process leaves no copy of its memory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # The library that the process has already: to look for it would start programs.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
