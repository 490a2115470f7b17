"""What every store of secrets promises."""

from collections.abc import Callable

import pytest

from goalkick.common.core.errors import SettingsError
from goalkick.common.ports.secrets import Secrets

Keeper = Callable[[str], str]
"""Puts a value into the store and says the name that it is read by."""


class SecretsContract:
    """A subclass has the fixtures `store: Secrets`, `keep: Keeper` and `absent: str` (a name)."""

    @pytest.mark.parametrize("value", ["hunter2", "two words", "ключ", "a\nb", " padded "])
    def test_what_is_kept_is_read(self, store: Secrets, keep: Keeper, value: str) -> None:
        assert store.read(keep(value)) == value

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_the_final_line_end_is_not_part_of_it(
        self, store: Secrets, keep: Keeper, end: str
    ) -> None:
        assert store.read(keep(f"hunter2{end}")) == "hunter2"

    def test_a_missing_secret_is_refused_by_its_name(self, store: Secrets, absent: str) -> None:
        with pytest.raises(SettingsError, match=f"{absent}: expected"):
            store.read(absent)

    @pytest.mark.parametrize("value", ["", "\n"])
    def test_an_empty_secret_is_refused(self, store: Secrets, keep: Keeper, value: str) -> None:
        name = keep(value)
        with pytest.raises(SettingsError, match="found an empty one"):
            store.read(name)
