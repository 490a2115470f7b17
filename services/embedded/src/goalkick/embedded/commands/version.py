"""`goalkick version`: which Goalkick this is."""

import platform
from importlib.metadata import version as version_of

from goalkick.embedded.commands.options import Json
from goalkick.embedded.console import print_json, print_text


def version(json: Json = False) -> None:
    """Print the version."""
    found = version_of("goalkick-embedded")
    if json:
        print_json({"goalkick": found, "python": platform.python_version()})
    else:
        print_text(f"goalkick {found} (Python {platform.python_version()})")
