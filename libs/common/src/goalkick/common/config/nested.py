"""Nested variables as a tree, the way pydantic-settings reads them, with YAML in place of JSON."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from goalkick.common.config.document import read_value
from goalkick.common.core.errors import SettingsError


class _Source(EnvSettingsSource):
    """Lists and mappings are YAML; a list may also be written `a,b`."""

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        try:
            decoded = read_value(value, field_name)
        except SettingsError:
            return value  # validation says what was expected, and names the variable
        if isinstance(decoded, str):
            return [part.strip() for part in decoded.split(",") if part.strip()]
        return decoded


def nested_values(
    model: type[BaseModel], prefix: str, separator: str, variables: Mapping[str, str]
) -> dict[str, Any]:
    """What the variables say about the model's fields; those of no field are left out.

    Args:
        model: whose fields they set.
        prefix: of all variables, in lower case.
        separator: between a key and one below it.
        variables: name without prefix, in lower case -> text.
    """
    source = _Source(
        _as_base_settings(model),
        case_sensitive=False,
        env_prefix=prefix,
        env_nested_delimiter=separator,
    )
    source.env_vars = {prefix + name: text for name, text in variables.items()}
    tree: dict[str, Any] = source()
    return tree


def _as_base_settings(model: type[BaseModel]) -> Any:
    """The same fields on the base class that the library's sources ask for."""
    return create_model(model.__name__, __base__=(BaseSettings, model))
