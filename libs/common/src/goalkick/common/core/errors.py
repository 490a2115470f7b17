"""The root of every error that Goalkick raises.

Three kinds, three fates: invalid data is rejected, counted and dead-lettered, and the stream goes
on; a transient failure is retried, bounded, in an adapter; a broken invariant ends the process.
"""


class GoalkickError(Exception):
    """Any error of ours; its message says what was expected, what was found, and where."""


class InvalidDataError(GoalkickError):
    """Input from outside is wrong; the input is refused, the stream goes on."""


class TransientError(GoalkickError):
    """Something outside failed and may work later."""


class InvariantError(GoalkickError):
    """Our own state is wrong: the process must stop and recover by starting again."""


class SettingsError(GoalkickError):
    """The configuration cannot be used."""
