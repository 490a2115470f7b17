"""Reads a service's new settings as the service will; exit code 2 and the reason if they are wrong.

Run by the chart's job before an upgrade, so that a wrong value changes nothing.
"""

import os
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from goalkick.common.config.sections import SECTIONS
from goalkick.common.config.settings import load
from goalkick.common.core.errors import GoalkickError
from goalkick.common.runtime.service import ServiceSettings
from goalkick.common.topics import parts_of


def check(service: str, file: Path) -> None:
    """Loads the settings of a service, and makes its core where that says more.

    Raises:
        GoalkickError: they are wrong; says what was expected.
    """
    module = import_module(f"goalkick.{service}.service")
    model = next(
        one
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, ServiceSettings)
        and one.__module__ == module.__name__
    )
    loaded: Any = load(model, file=file, environ=os.environ, other_sections=SECTIONS).value
    for part in ("feature", "strategy"):
        if part in parts_of(service):
            import_module(f"goalkick.{part}.service").maker(getattr(loaded, part))


def main() -> None:
    """Checks what CONFIG says for SERVICE."""
    service = os.environ["SERVICE"]
    file = Path(tempfile.gettempdir()) / f"{service}.yaml"
    file.write_text(os.environ["CONFIG"])
    try:
        check(service, file)
    except GoalkickError as error:
        print(f"{service}: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"{service}: as expected")


main()
