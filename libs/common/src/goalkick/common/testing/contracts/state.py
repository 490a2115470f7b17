"""What every state store promises."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import GoalkickError, InvariantError
from goalkick.common.ports.state import StateStore

Opener = Callable[[], StateStore]
"""Opens the same store again and again, each time as a new process would."""

_ENTRIES = st.dictionaries(st.text(min_size=1), st.binary(max_size=200), max_size=5)


class StateStoreContract:
    """A subclass has a fixture `open_store: Opener`; each test starts with nothing saved."""

    def test_an_unknown_key_has_nothing(self, open_store: Opener) -> None:
        store = open_store()
        assert store.load("risk") is None
        store.close()

    def test_what_is_saved_is_loaded_after_a_restart(self, open_store: Opener) -> None:
        store = open_store()
        store.save({"risk": b"one", "execution": b""})
        store.close()
        store = open_store()
        assert (store.load("risk"), store.load("execution")) == (b"one", b"")
        store.close()

    def test_a_save_replaces_what_it_names_and_nothing_else(self, open_store: Opener) -> None:
        store = open_store()
        store.save({"risk": b"one", "execution": b"one"})
        store.save({"risk": b"two"})
        store.save({})
        assert (store.load("risk"), store.load("execution")) == (b"two", b"one")
        store.close()

    def test_bytes_of_any_value_and_of_a_large_snapshot_come_back(self, open_store: Opener) -> None:
        data = bytes(range(256)) * 8192
        store = open_store()
        store.save({"risk": data})
        assert store.load("risk") == data
        store.close()

    def test_what_was_loaded_does_not_change_with_what_is_saved(self, open_store: Opener) -> None:
        store = open_store()
        buffer = bytearray(b"one")
        store.save({"risk": bytes(buffer)})
        loaded = store.load("risk")
        store.save({"risk": b"two"})
        assert loaded == b"one"
        store.close()

    # One store for all examples is meant, and so is one test for several stores.
    @settings(
        max_examples=20,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.differing_executors,
        ],
    )
    @given(saves=st.lists(_ENTRIES, max_size=5))
    def test_the_last_save_of_each_key_holds(
        self, open_store: Opener, saves: list[dict[str, bytes]]
    ) -> None:
        expected: dict[str, bytes] = {}
        store = open_store()
        for entries in saves:
            store.save(entries)
            expected.update(entries)
        store.close()
        store = open_store()
        assert {key: store.load(key) for key in expected} == expected
        store.close()

    def test_what_is_logged_is_read_in_order_after_a_restart(self, open_store: Opener) -> None:
        store = open_store()
        store.append({1: b"one", 2: b"two"})
        store.append({})
        store.append({7: b"seven"})
        store.close()
        store = open_store()
        assert list(store.logged()) == [(1, b"one"), (2, b"two"), (7, b"seven")]
        assert list(store.logged(2)) == [(7, b"seven")]
        store.close()

    def test_a_log_of_thousands_is_read_whole(self, open_store: Opener) -> None:
        entries = {number: str(number).encode() for number in range(1, 3_501)}
        store = open_store()
        store.append(entries)
        assert dict(store.logged()) == entries
        store.close()

    def test_a_save_forgets_what_it_covers_of_the_log_and_nothing_else(
        self, open_store: Opener
    ) -> None:
        store = open_store()
        store.append({1: b"one", 2: b"two", 3: b"three"})
        store.save({"risk": b"one"})
        assert len(list(store.logged())) == 3
        store.save({"risk": b"two"}, covers=2)
        store.close()
        store = open_store()
        assert (store.load("risk"), list(store.logged())) == (b"two", [(3, b"three")])
        store.close()

    def test_a_number_that_is_in_the_log_is_refused_and_nothing_with_it(
        self, open_store: Opener
    ) -> None:
        store = open_store()
        store.append({1: b"one", 2: b"two"})
        with pytest.raises(InvariantError, match="log"):
            store.append({3: b"three", 2: b"another"})
        assert list(store.logged()) == [(1, b"one"), (2, b"two")]
        store.append({3: b"three"})
        store.close()

    def test_a_closed_store_refuses_and_closing_twice_is_no_error(self, open_store: Opener) -> None:
        store = open_store()
        store.close()
        store.close()
        with pytest.raises(GoalkickError, match="closed"):
            store.load("risk")
        with pytest.raises(GoalkickError, match="closed"):
            store.save({"risk": b"one"})
        with pytest.raises(GoalkickError, match="closed"):
            store.append({1: b"one"})
        with pytest.raises(GoalkickError, match="closed"):
            list(store.logged())
