"""Secrets in files, one each: what Docker and Kubernetes mount."""

from pathlib import Path

from goalkick.common.core.errors import SettingsError

LARGEST = 64 * 1024
"""Bytes of a secret's file; keys and certificates are far smaller, a wrong path often is not."""


class FileSecrets:
    """Answers `file:/path`; a file is read whenever it is asked for, so a rotation is seen."""

    def read(self, name: str) -> str:
        """The file's text, without final line ends.

        Raises:
            SettingsError: `name` is no absolute path, or the file cannot be read, is empty, is
                larger than 64 KiB, or is not UTF-8 text.
        """
        path = Path(name)
        if not path.is_absolute():
            raise SettingsError(f"file:{name}: expected an absolute path, found a relative one")
        found = _problem(path)
        if found:
            raise SettingsError(f"file:{name}: expected a file with the secret, found {found}")
        return path.read_text(encoding="utf-8").rstrip("\r\n")


def _problem(path: Path) -> str | None:
    """What is wrong with the file; looked at apart, so that no error ever holds its text."""
    try:
        size = path.stat().st_size
        if size > LARGEST:
            return f"{size} bytes (at most {LARGEST})"
        if not path.read_text(encoding="utf-8").rstrip("\r\n"):
            return "an empty one"
    except UnicodeDecodeError:
        return "one that is not UTF-8 text"
    except OSError as error:
        return error.strerror or type(error).__name__
    return None
