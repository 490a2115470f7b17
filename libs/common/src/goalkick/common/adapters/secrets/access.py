"""THE table of who may do what in Vault; policies and roles are made from it.

Only execution reads trading keys. Whoever may write a secret may not read it.
"""

from dataclasses import dataclass

from goalkick.common.topics import AROUND, SERVICES, STATE_OF

OPERATOR = "operator"
"""A person's policy: puts keys in, rotates, encrypts; reads nothing back."""

TRADING = "venues/trading"
"""Below it, by venue and account: keys that can trade. `venues/trading/binance/main`."""

MARKET = "venues/market"
"""Below it: keys that can only read market data, for venues that want one."""


@dataclass(frozen=True)
class Access:
    """What a service may do, all of it.

    Attributes:
        reads: paths of KV, with all that is below them.
        writes: paths of KV that it may write and list, and not read.
        decrypts: transit keys by which it may decrypt.
        seals: transit keys by which it may make data keys, and decrypt them.
        manages: transit keys by which it may encrypt and rewrap, not decrypt; it may rotate them.
        about: why, for people.
    """

    about: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    decrypts: tuple[str, ...] = ()
    seals: tuple[str, ...] = ()
    manages: tuple[str, ...] = ()


def state_key(service: str) -> str:
    """The transit key of a service's snapshots."""
    return f"goalkick-state-{service}"


def access_table(config_key: str) -> dict[str, Access]:
    """Service (or `operator`) -> what it may do.

    Args:
        config_key: `vault.transit_key`: the key of encrypted configuration that all may decrypt;
            `<key>-<service>` is that of one service alone.
    """
    services = (*SERVICES, *AROUND)
    table = {name: _service(name, config_key) for name in services}
    config = (config_key, *(f"{config_key}-{name}" for name in services))
    table[OPERATOR] = Access(
        about="A person who puts secrets in, rotates keys and encrypts configuration",
        writes=("services", TRADING, MARKET),
        manages=config,
    )
    return table


def _service(name: str, config_key: str) -> Access:
    reads = [f"services/{name}"]
    about = "Its own login to Kafka and its certificates"
    if name == "execution":
        reads.append(TRADING)
        about += "; the keys that can trade, which nobody else may read"
    if name == "ingest":
        reads.append(MARKET)
        about += "; keys that can only read market data"
    return Access(
        about=about,
        reads=tuple(reads),
        decrypts=(config_key, f"{config_key}-{name}"),
        seals=(state_key(name),) if name in STATE_OF else (),
    )


def transit_keys(table: dict[str, Access]) -> list[str]:
    """Every transit key that the table names."""
    named = {
        key
        for access in table.values()
        for keys in (access.decrypts, access.seals, access.manages)
        for key in keys
    }
    return sorted(named)


def policy_name(who: str) -> str:
    """The name of the policy, and of the role, in Vault."""
    return f"goalkick-{who}"
