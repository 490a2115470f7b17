"""Orders that algos work: a cluster, a restart and a replay decide what one process decides."""

import pytest

from goalkick.common.events.order import OrderIntended, OrderWorked
from goalkick.risk.settings import RiskSettings
from tests.embedded.recordings import Recorded
from tests.replay.cluster import Form, Member, decided, embedded, new_broker, services, settled
from tests.replay.test_cluster_decides_like_one_process import market

RISK = RiskSettings.model_validate(
    {
        "sizing": "fixed_fraction",
        "stop_loss": "0.05",
        "orders": {
            "slowly in": {"strategy": "cross", "algo": "twap", "over": "9m"}
            | {"params": {"slices": 4, "finish": "market"}},
            "protected": {"strategy": "reversion", "algo": "bracket", "over": "5m"}
            | {"stop": "0.01", "take_profit": "0.01"},
            "slowly out": {"orders": "exits", "algo": "pov", "params": {"rate": "0.05"}},
        },
    }
)


def test_a_process_decides_the_same_each_time() -> None:
    steps = market("AB", 200)
    decisions = embedded(steps, RISK)
    assert decisions == embedded(steps, RISK)
    algos = {event.algo for event in decisions if isinstance(event, OrderWorked)}
    assert algos == {"twap", "bracket", "pov"}
    children = [event for event in decisions if isinstance(event, OrderIntended) and event.parent]
    assert len({event.client_order_id for event in children}) == len(children) > 50


@pytest.mark.parametrize("form", ["each", "fused"])
@pytest.mark.parametrize("names", ["A", "ABCD"])
async def test_a_cluster_decides_what_one_process_decides(names: str, form: Form) -> None:
    steps = market(names, 150)
    expected = embedded(steps, RISK)
    broker = new_broker()
    members = [Member(broker, service, service.name) for service in services(RISK, form=form)]
    members.append(Member(broker, Recorded(steps), "ingest"))
    await settled(broker, steps[-1][0].time_ns)
    for member in members:
        await member.end()
    assert sorted(decided(broker), key=lambda e: e.id) == sorted(expected, key=lambda e: e.id)
