#!/usr/local/bin/python
"""What an image runs: the one service that is in it, whose name is put in when it is made.

Kernels were compiled when the image was made. Numba wants to write where it reads them from, and
an image cannot be written to, so they are copied; they are 0.3 MB.
"""

import os
import runpy
import shutil
import tempfile
from pathlib import Path

kernels = Path(os.environ["NUMBA_CACHE_DIR"])
if kernels.is_dir() and any(kernels.iterdir()):
    writable = Path(tempfile.gettempdir()) / "kernels"
    shutil.copytree(kernels, writable, dirs_exist_ok=True)
    os.environ["NUMBA_CACHE_DIR"] = str(writable)
runpy.run_module("goalkick.SERVICE", run_name="__main__", alter_sys=True)
