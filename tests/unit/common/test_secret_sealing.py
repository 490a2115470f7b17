"""Saved state behind a seal: what is refused, what is taken over, and what the log carries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.adapters.log.memory import Broker, MemoryLog
from goalkick.common.adapters.secrets import envelope
from goalkick.common.adapters.secrets.envelope import Envelope
from goalkick.common.adapters.secrets.sealing import (
    Seal,
    SealedLog,
    SealedState,
    is_sealed,
    see_it_is_clear,
)
from goalkick.common.adapters.state.memory import MemoryStateStore
from goalkick.common.core.errors import InvalidDataError, SettingsError, TransientError
from goalkick.common.ports.log import Message, Partition
from tests.contract.state.data_keys import DataKeys

STATE = Partition("state", 0)
OTHER = Partition("reports", 0)


def sealed_log(broker: Broker, keys: DataKeys, mode: str = "always") -> SealedLog:
    seal = Seal("adopt" if mode == "adopt" else "always", Envelope(keys))
    return SealedLog(MemoryLog(broker), seal, {STATE.topic})


async def test_only_saved_state_is_sealed_and_it_comes_back() -> None:
    broker, keys = Broker({"state": 1, "reports": 1}), DataKeys()
    log = sealed_log(broker, keys)
    await log.start()
    await log.send([Message(STATE, "risk-0", b"position"), Message(OTHER, "main", b"report")])
    await log.flush()
    (kept,), (report,) = broker.records[STATE], broker.records[OTHER]
    assert is_sealed(kept.value)
    assert b"position" not in kept.value
    assert report.value == b"report"
    found = await log.tails([STATE, OTHER], 1)
    assert [found[place][-1].value for place in (STATE, OTHER)] == [b"position", b"report"]
    await log.close()


async def test_a_snapshot_in_anothers_place_is_refused() -> None:
    broker, keys = Broker({"state": 2, "reports": 1}), DataKeys()
    log = sealed_log(broker, keys)
    await log.start()
    await log.send([Message(STATE, "risk-0", b"position")])
    (kept,) = broker.records[STATE]
    broker.append(Message(Partition("state", 1), "risk-1", kept.value))
    with pytest.raises(InvalidDataError, match=r"state/1/risk-1: expected sealed bytes of its own"):
        await log.tails([Partition("state", 1)], 1)
    await log.close()


async def test_a_snapshot_of_another_vault_is_refused_with_its_place() -> None:
    broker = Broker({"state": 1, "reports": 1})
    first, second = sealed_log(broker, DataKeys()), sealed_log(broker, DataKeys())
    await first.start()
    await second.start()
    await first.send([Message(STATE, "risk-0", b"position")])
    with pytest.raises(SettingsError, match=r"^state of state/0/risk-0: decrypt transit/state: "):
        await second.tails([STATE], 1)
    await first.close()
    await second.close()


async def test_state_in_the_clear_is_refused_unless_it_is_to_be_adopted() -> None:
    broker, keys = Broker({"state": 1, "reports": 1}), DataKeys()
    broker.append(Message(STATE, "risk-0", b"position"))
    strict, adopting = sealed_log(broker, keys), sealed_log(broker, keys, "adopt")
    await strict.start()
    await adopting.start()
    with pytest.raises(
        SettingsError, match=r"expected sealed state where secrets.seal_state is always"
    ):
        await strict.tails([STATE], 1)
    assert (await adopting.tails([STATE], 1))[STATE][-1].value == b"position"
    await strict.close()
    await adopting.close()


def test_sealed_state_is_refused_where_nothing_opens_it() -> None:
    data = Envelope(DataKeys()).seal(b"position", "risk-0")
    with pytest.raises(SettingsError, match=r"^risk-0: .* secrets.seal_state is never, found it"):
        see_it_is_clear(data, "risk-0")
    see_it_is_clear(b"position", "risk-0")


@given(entries=st.dictionaries(st.text(min_size=1), st.binary(max_size=100), max_size=4))
def test_a_store_holds_nothing_in_the_clear(entries: dict[str, bytes]) -> None:
    kept: dict[str, bytes] = {}
    store = SealedState(MemoryStateStore(kept, {}), Seal("always", Envelope(DataKeys())), "run")
    store.save(entries)
    assert all(map(is_sealed, kept.values()))
    assert {key: store.load(key) for key in entries} == entries
    store.close()


def test_an_entry_of_the_order_log_is_bound_to_its_number() -> None:
    kept: dict[int, bytes] = {}
    store = SealedState(MemoryStateStore({}, kept), Seal("always", Envelope(DataKeys())), "run")
    store.append({1: b"one", 2: b"two"})
    assert list(store.logged()) == [(1, b"one"), (2, b"two")]
    kept[2] = kept[1]
    with pytest.raises(InvalidDataError, match="run/log/2: expected sealed bytes of its own"):
        list(store.logged())
    store.close()


def test_a_data_key_that_is_overdue_goes_on_while_vault_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(envelope, "SEALS_PER_KEY", 3)
    monkeypatch.setattr(envelope, "_TRIES_EVERY", 2)
    monkeypatch.setattr(envelope, "MOST_SEALS", 7)
    keys = DataKeys()
    one = Envelope(keys)
    for _ in range(4):
        one.seal(b"position", "risk-0")
    assert keys.made == 2
    keys.away = True
    for _ in range(6):
        one.seal(b"position", "risk-0")
    with pytest.raises(TransientError, match="expected Vault"):
        one.seal(b"position", "risk-0")
    keys.away = False
    one.seal(b"position", "risk-0")
    assert keys.made == 3
