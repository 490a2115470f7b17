"""Encrypted values in the configuration: `vault:v1:...` anywhere stands for what it decrypts to.

A decrypted value is text: it is read like a variable's, so `0.5`, `true` and `5m` become what their
key expects. It is never shown: `describe` masks its key, and errors do not quote it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from goalkick.common.config.types import KeyPath
from goalkick.common.core.errors import GoalkickError, SettingsError

CIPHERTEXT = re.compile(r"vault:v\d+:[A-Za-z0-9+/]+={0,2}")
"""What Vault's transit engine made of a value."""

Decrypt = Callable[[Mapping[str, Any], Sequence[str]], Sequence[str]]
"""Takes the whole configuration (it says where Vault is) and ciphertexts; gives their texts."""


class Decrypted(str):
    """A text that was encrypted in the configuration; its `repr` does not show it.

    Attributes:
        ciphertext: as it stood there.
    """

    __slots__ = ("ciphertext",)
    ciphertext: str

    @classmethod
    def of(cls, ciphertext: str, text: str) -> Self:
        """What `ciphertext` decrypts to."""
        made = cls(text)
        made.ciphertext = ciphertext
        return made

    def __repr__(self) -> str:
        return "Decrypted('**********')"


def encrypted_values(tree: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every encrypted value with its key, list indices included."""
    if isinstance(tree, str):
        if CIPHERTEXT.fullmatch(tree):
            yield path, tree
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from encrypted_values(value, (*path, str(key)))
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from encrypted_values(value, (*path, str(index)))


def decrypted(
    tree: dict[str, Any], decrypt: Decrypt | None
) -> tuple[dict[str, Any], frozenset[KeyPath]]:
    """The tree with its encrypted values in the clear, and their keys.

    Args:
        tree: merged from all sources.
        decrypt: asks Vault; None: there is nobody to ask.

    Raises:
        SettingsError: a value cannot be decrypted.
        TransientError: Vault cannot be asked now.
    """
    found = dict(encrypted_values(tree))
    if not found:
        return tree, frozenset()
    first = ".".join(next(iter(found)))
    if decrypt is None:
        raise SettingsError(
            f"{first}: expected a value in the clear where nothing is set up to decrypt it, "
            "found an encrypted one"
        )
    ciphertexts = list(dict.fromkeys(found.values()))
    try:
        texts = dict(zip(ciphertexts, decrypt(tree, ciphertexts), strict=True))
    except GoalkickError as error:
        # `type(error)` may want more than a message; the words are added to the same error.
        error.args = (f"encrypted value of {', '.join(_dotted(found))}: {error}",)
        raise
    put: dict[str, Any] = _replaced(tree, texts)
    return put, frozenset(found)


def _dotted(found: Mapping[KeyPath, str]) -> list[str]:
    return [".".join(path) for path in found]


def _replaced(tree: Any, texts: Mapping[str, str]) -> Any:
    if isinstance(tree, str):
        return Decrypted.of(tree, texts[tree]) if tree in texts else tree
    if isinstance(tree, Mapping):
        return {key: _replaced(value, texts) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_replaced(value, texts) for value in tree]
    return tree
