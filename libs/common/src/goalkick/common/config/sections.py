"""The sections that the one configuration file of all processes may have."""

from typing import Final

from goalkick.common.topics import AROUND, SERVICES

SECTIONS: Final = frozenset(
    {*SERVICES, *AROUND, "runtime", "trading", "budget", "secrets", "vault"}
)
"""Every process reads its own and passes over the others; any other name is a mistake."""
