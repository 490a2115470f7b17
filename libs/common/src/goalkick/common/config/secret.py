"""A secret in the settings: written as a reference, resolved at start-up, never printed.

The file says `env:NAME`, `file:/path` or `vault:path#key`; the value itself never stands in it.
Whoever needs the value calls `reveal()`, as late as possible, and never stores or logs it.
"""

import hmac
import re
from collections.abc import Mapping
from typing import Any, NoReturn, Self, TypeVar

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from goalkick.common.config.encrypted import CIPHERTEXT, Decrypted
from goalkick.common.core.errors import GoalkickError, SettingsError
from goalkick.common.ports.secrets import Secrets

MASK = "**********"
"""What stands for every secret; its length says nothing about the value's."""

SECRET_ERROR = "secret_reference"  # noqa: S105 -- the name of an error, not a secret

_REFERENCE = re.compile(rf"env:\w+|file:/\S.*|vault:[^\s#]+#[^\s#]+|{CIPHERTEXT.pattern}")
_EXPECTED = (
    "expected a reference to a secret (env:NAME, file:/path or vault:path#key), "
    "found something else; a secret itself must not stand in the configuration"
)

Model = TypeVar("Model", bound=BaseModel)


class Secret:
    """A reference to a secret and, once resolved, its value; shows itself as `**********`."""

    __slots__ = ("_reference", "_value")

    def __init__(self, reference: str, value: str | None = None) -> None:
        """Takes a reference; `resolve_secrets` gives it the value.

        Raises:
            SettingsError: `reference` is none; the message does not repeat it.
        """
        if not _REFERENCE.fullmatch(reference):
            raise SettingsError(_EXPECTED)
        self._reference = reference
        self._value = value

    @property
    def reference(self) -> str:
        """Where the value is kept; not itself secret."""
        return self._reference

    def kept_in(self, scheme: str) -> bool:
        """Whether a store keeps it, and may one day have another value.

        Args:
            scheme: `env`, `file` or `vault`; a value that stands encrypted in the configuration
                is in none.
        """
        encrypted = CIPHERTEXT.fullmatch(self._reference)
        return encrypted is None and self._reference.startswith(f"{scheme}:")

    def reveal(self) -> str:
        """The value.

        Raises:
            SettingsError: nobody resolved it.
        """
        if self._value is None:
            raise SettingsError(f"{self._reference}: expected a resolved secret, found a reference")
        return self._value

    def resolve(self, stores: Mapping[str, Secrets]) -> Self:
        """The same secret with its value.

        Args:
            stores: by scheme: `env`, `file`, `vault`.

        Raises:
            SettingsError: no store for its scheme is configured, or the store does not have it.
        """
        if self._value is not None and CIPHERTEXT.fullmatch(self._reference):
            return self  # what it decrypts to never changes
        scheme, _, name = self._reference.partition(":")
        if scheme not in stores:
            raise SettingsError(
                f"{self._reference}: expected a scheme that is configured "
                f"({', '.join(sorted(stores)) or 'none is'}), found {scheme}: "
                f"the {scheme} adapter is not configured"
            )
        return type(self)(self._reference, stores[scheme].read(name))

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, format_spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (self._value or "").encode(), (other._value or "").encode()
        return self._reference == other._reference and hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash(self._reference)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled: expected only its reference to travel")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validated,
            json_schema_input_schema=core_schema.str_schema(pattern=_REFERENCE.pattern),
            serialization=core_schema.plain_serializer_function_ser_schema(
                str, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )

    @classmethod
    def _validated(cls, value: object) -> "Secret":
        if isinstance(value, Secret):
            return value
        if isinstance(value, Decrypted):
            return cls(value.ciphertext, str(value))
        if isinstance(value, str) and _REFERENCE.fullmatch(value):
            return cls(value)
        raise PydanticCustomError(SECRET_ERROR, _EXPECTED)


def resolve_secrets(settings: Model, stores: Mapping[str, Secrets]) -> Model:
    """A copy of the settings in which every secret has its value.

    Args:
        settings: any model, with secrets at any depth.
        stores: by scheme: `env`, `file`, `vault`.

    Raises:
        SettingsError: a secret cannot be had; the message names the key and the reference.
    """
    resolved: Model = _resolved(settings, stores, ())
    return resolved


def _resolved(value: Any, stores: Mapping[str, Secrets], path: tuple[str, ...]) -> Any:
    if isinstance(value, Secret):
        try:
            return value.resolve(stores)
        except GoalkickError as error:
            # The same error with more words: its kind may hold more than a message.
            error.args = (f"{'.'.join(path)}: {error}",)
            raise
    if isinstance(value, BaseModel):
        fields = {name: getattr(value, name) for name in type(value).model_fields}
        changed = _changed(fields, stores, path)
        return value.model_copy(update=changed) if changed else value
    if isinstance(value, dict):
        changed = _changed(value, stores, path)
        return {**value, **changed} if changed else value
    if isinstance(value, list | tuple):
        items = [_resolved(item, stores, (*path, str(i))) for i, item in enumerate(value)]
        return type(value)(items)
    return value


def _changed(
    values: Mapping[Any, Any], stores: Mapping[str, Secrets], path: tuple[str, ...]
) -> dict[Any, Any]:
    changed = {}
    for key, value in values.items():
        resolved = _resolved(value, stores, (*path, str(key)))
        if resolved is not value:
            changed[key] = resolved
    return changed
