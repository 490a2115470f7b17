"""Compiles the kernels of features once, so that pods load them instead of compiling.

Run while an image is built, with the variables with which its service runs: the cache belongs to
them. It does nothing where a service has no kernels.
"""

import importlib.util


def main() -> None:
    """Compiles every kernel with the types with which the service calls it."""
    if importlib.util.find_spec("goalkick.feature") is None:
        return
    from goalkick.feature.kernel import compiled_step  # noqa: PLC0415 (not everywhere)

    compiled_step()


if __name__ == "__main__":
    main()
