"""Stopping processes of tests, as a machine that hangs would."""

import os
import signal


def freeze(pid: int) -> None:
    """Stops a child of ours with SIGSTOP, and returns when it has stopped.

    The signal alone comes a while later, and what the child still does in it passes for an answer.
    """
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
