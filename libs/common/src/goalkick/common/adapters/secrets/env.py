"""Secrets in the variables of the process: for a laptop, and for what a cluster injects."""

from collections.abc import Mapping

from goalkick.common.core.errors import SettingsError


class EnvSecrets:
    """Answers `env:NAME`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Takes the variables, usually `os.environ`; they are read when asked for."""
        self._environ = environ

    def read(self, name: str) -> str:
        """The variable's value, without final line ends.

        Raises:
            SettingsError: there is no such variable, or it is empty.
        """
        if not self._environ.get(name, "").rstrip("\r\n"):
            found = "an empty one" if name in self._environ else "none"
            raise SettingsError(f"env:{name}: expected a variable with the secret, found {found}")
        return self._environ[name].rstrip("\r\n")
