"""The commands of `goalkick`, one module each.

A module imports at its top only what its `--help` needs; what is slow to import (numba, pandas,
ONNX Runtime, pydantic) is imported where it is used.
"""
