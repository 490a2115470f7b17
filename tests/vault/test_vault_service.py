"""A service lives with Vault: started with its role, silent about secrets, alive for a lease."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from goalkick.common.adapters.secrets.sealing import is_sealed
from goalkick.common.events.order import (
    KeyRotated,
    OrderAccepted,
    OrderCancelled,
    OrderIntended,
    OrderRejected,
)
from goalkick.venue.server import VenueServer
from tests.conformance.conftest import KEY, SECRET, quiet_settings
from tests.kafka.broker import Broker
from tests.vault.process import PATH, Execution, encrypted, prepare
from tests.vault.server import VaultServer

pytestmark = [pytest.mark.slow, pytest.mark.kafka]

CASH = "123456.789"

LIFE_S = 5
"""For which a login is given."""

Begun = Callable[..., Any]


def age_at_renewal_s(vault: VaultServer, accessor: str) -> int:
    """How old a token was when it was last renewed; 0 if it never was."""
    token = vault.admin.auth.token.lookup_accessor(accessor)["data"]
    return int(token.get("last_renewal_time", token["creation_time"])) - int(token["creation_time"])


@pytest.fixture
def begun(vault: VaultServer, broker: Broker, tmp_path: Path) -> Begun:
    """Makes a service whose keys are in Vault, with topics of its own, not started yet."""

    @asynccontextmanager
    async def begin(**more: Any) -> AsyncIterator[Execution]:
        vault.put(PATH, key=KEY, secret=SECRET)
        section = prepare(vault, "execution", token_ttl="5s", token_max_ttl="1h")
        async with VenueServer(quiet_settings()) as box:
            one = Execution(broker.bootstrap, tmp_path, box, section, **more)
            await one.platform.make_topics()
            try:
                yield one
            finally:
                await asyncio.to_thread(one.close)

    return begin


async def test_a_service_waits_for_vault_trades_seals_its_state_and_leaks_nothing(
    vault: VaultServer, begun: Begun
) -> None:
    async with begun() as one:
        secret_id = (vault.folder / "secret-id-of-execution").read_text()
        before = vault.accessors()
        vault.seal()
        one.start()
        await one.pages()
        waiting = await one.ready(status=503, saying="to be unsealed, found it sealed")
        assert "not connected yet" in waiting
        vault.unseal()
        await one.ready()
        (mine,) = vault.accessors() - before
        order = await one.approve()
        await one.reported(OrderAccepted, order)
        snapshots = await one.snapshots()
        assert snapshots
        assert all(is_sealed(record.value) for record in snapshots)
        first = await one.get("/info")
        # Longer than its token was to live: it is renewed, not made anew.
        await one.until(lambda: age_at_renewal_s(vault, mine) > LIFE_S, "an old token, renewed")
        assert (await one.get("/readyz"))[0] == 200
        assert vault.accessors() - before == {mine}
        _, info = await one.get("/info")
        _, metrics = await one.get("/metrics")
        assert '"secrets":"fresh"' in info
        assert one.core_limit() == "0 0"
        environment = one.environment()
        assert await one.stop() == 0
        assert mine not in vault.accessors()
        one.start()
        await one.pages()
        await one.ready()
        again = await one.approve()
        await one.reported(OrderAccepted, again)
        assert await one.stop() == 0
        assert len(one.placed) == 2
        shown = "\n".join((one.said, info, first[1], metrics, waiting, environment.decode()))
        for secret in (KEY, SECRET, secret_id.strip(), vault.token):
            assert secret not in shown
            assert secret[8:28] not in shown


async def test_a_stop_while_vault_is_waited_for_is_heeded(vault: VaultServer, begun: Begun) -> None:
    async with begun() as one:
        vault.seal()
        try:
            one.start()
            await one.pages()
            await one.ready(status=503, saying="found it sealed")
            assert await one.stop() == 0
        finally:
            vault.unseal()
        assert one.placed == set()


async def test_vault_that_dies_is_outlived_for_a_lease_and_then_no_risk_is_taken(
    vault: VaultServer, begun: Begun
) -> None:
    async with begun() as one:
        one.start()
        await one.pages()
        await one.ready()
        resting = await one.approve()
        await one.reported(OrderAccepted, resting)
        await asyncio.to_thread(vault.kill)
        try:
            within = await one.approve()
            await one.reported(OrderAccepted, within)
            told = await one.ready(status=503, saying="secrets have been over for")
            assert "found nobody there" in told, one.said
            late = await one.approve()
            refused = await one.reported(OrderRejected, late)
            assert "expected fresh secrets before new risk" in refused.reason
            await one.want_cancelled(resting)
            await one.reported(OrderCancelled, resting)
            _, info = await one.get("/info")
            assert "secrets have been over for" in info
            assert "no new risk: secrets are not fresh" in one.said
        finally:
            await asyncio.to_thread(vault.start_again)
        await one.ready()
        assert "secrets are fresh again" in one.said
        back = await one.approve()
        await one.reported(OrderAccepted, back)
        assert len(one.placed) == 3


async def test_a_key_turns_under_a_running_service(vault: VaultServer, begun: Begun) -> None:
    async with begun() as one:
        one.start()
        await one.pages()
        await one.ready()
        made = one.box.context.accounts.generate("main")
        await asyncio.to_thread(vault.put, PATH, key=made.key, secret=made.secret)
        turned = await one.reported(KeyRotated)
        assert one.box.context.accounts.revoke(KEY)
        order = await one.approve()
        await one.reported(OrderAccepted, order)
        told = repr(turned) + one.said
        for secret in (KEY, SECRET, made.key, made.secret):
            assert secret[:16] not in told


async def test_a_value_that_was_encrypted_is_read_and_never_shown(
    vault: VaultServer, begun: Begun
) -> None:
    prepare(vault, "execution")
    value = encrypted(vault, CASH, "goalkick-config-execution")
    async with begun(execution={"initial_cash": value}) as one:
        one.start()
        await one.pages()
        await one.ready()
        _, info = await one.get("/info")
        assert '"execution.initial_cash":{"value":"*' in info
        assert CASH not in info + one.said


async def test_sealed_state_is_refused_by_a_service_that_does_not_seal(
    vault: VaultServer, begun: Begun
) -> None:
    async with begun() as one:
        one.start()
        await one.pages()
        await one.ready()
        order = await one.approve()
        await one.reported(OrderIntended, order)
        assert await one.stop() == 0
        one.change("secrets", seal_state="never")
        one.start()
        assert await one.ended() == 2
        assert "expected state in the clear where secrets.seal_state is never" in one.said


def test_a_service_gets_only_its_own_paths(vault: VaultServer, tmp_path: Path) -> None:
    """Risk asks for a key that can trade; in the section of Kafka, so that this is resolved too."""
    vault.put(PATH, key=KEY, secret=SECRET)
    config = tmp_path / "goalkick.yaml"
    kafka = {
        "security_protocol": "sasl_ssl",
        "username": "risk",
        "password": f"vault:{PATH}#key",
    }
    sections = {
        "runtime": {"kafka": kafka},
        "secrets": {"allow": ["vault"]},
        "vault": {**prepare(vault, "risk"), "patience": "500ms"},
    }
    config.write_text(yaml.safe_dump(sections))
    done = subprocess.run(
        [sys.executable, "-m", "goalkick.risk", "--config", config],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "runtime.kafka.password: " in done.stderr
    assert "expected a right to it, found that Vault at" in done.stderr
    assert KEY not in done.stderr
