"""The budget's core: never too much in any window, cancels first, nothing during a pause."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.core.budget.asks import Ask, Caller, Lease, WindowKey
from goalkick.common.core.budget.core import BudgetCore
from goalkick.common.core.budget.limits import PRIORITIES, Limit, Priority, VenueLimits, scaled
from goalkick.common.core.budget.venues import VENUES
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.time import NS_PER_DAY, NS_PER_MS, NS_PER_SECOND

SECOND = NS_PER_SECOND
VENUE = VenueLimits(
    limits=(
        Limit(name="weight", amount=40, window_ns=6 * SECOND, scope="address", settle_ns=SECOND),
        Limit(
            name="orders", amount=7, window_ns=2 * SECOND, scope="account", settle_ns=SECOND // 2
        ),
    ),
    calls={
        "read": {"weight": 2},
        "large": {"weight": 17},
        "order": {"weight": 1, "orders": 1},
        "cancel": {"weight": 1},
    },
)
START_NS = 1_700_000_000 * SECOND


class Step(NamedTuple):
    """Something happens after some time."""

    what: str
    after_ns: int
    priority: Priority
    call: str
    account: str
    number: int


STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(["ask", "ask", "wait", "wait", "settle", "give back", "restart"]),
        st.sampled_from([0, 0, 1, SECOND // 50, SECOND // 3, SECOND, 2 * SECOND]),
        st.sampled_from(PRIORITIES),
        st.sampled_from(sorted(VENUE.calls)),
        st.sampled_from(["one", "two"]),
        st.integers(0, 20),
    ),
    min_size=15,
    max_size=60,
)


class World:
    """Copies that send what they were granted as late as they can, or at once."""

    def __init__(self) -> None:
        self.now_ns = START_NS
        self.core = BudgetCore({"venue": VENUE}, lease_part=2, trial=100, after_lease=self.now_ns)
        self.ids = 0
        self.open: dict[int, Lease] = {}
        self.arrivals: defaultdict[WindowKey, list[tuple[int, int]]] = defaultdict(list)

    def do(self, step: Step) -> None:
        if step.what == "wait":  # to the very moment at which there is room again
            self.now_ns = self.core.next_ns or self.now_ns
        else:
            self.now_ns += step.after_ns
        self.send_what_is_over()
        if step.what == "ask":
            while self.core.waiting < 6:  # always somebody who takes what there is
                self.ask(step)
        elif step.what in ("settle", "give back") and self.open:
            lease = list(self.open.values())[step.number % len(self.open)]
            unused = min(step.number % 5, lease.count)
            whole = step.what == "settle"
            self.core.settle(lease.id, unused, self.now_ns, whole=whole)
            if whole:
                self.send(lease, lease.count - unused, self.now_ns)
            else:
                self.open[lease.id] = msgspec.structs.replace(lease, count=lease.count - unused)
        elif step.what == "restart":
            data = self.core.snapshot()
            self.core = BudgetCore(
                {"venue": VENUE}, lease_part=2, trial=100, after_lease=self.now_ns
            )
            self.core.restore(data, self.now_ns)
        self.grant(step.number)

    def ask(self, step: Step) -> None:
        self.ids += 1
        most = 1 + step.number // 3
        caller = Caller("venue", account=step.account)
        self.core.ask(
            Ask(
                id=self.ids,
                caller=caller,
                call=step.call,
                priority=step.priority,
                most=most,
                asked_ns=self.now_ns,
            )
        )

    def grant(self, number: int) -> None:
        for lease in self.core.grant(self.now_ns):
            assert lease.ask.least <= lease.count <= lease.ask.most
            assert lease.ends_ns > self.now_ns
            self.open[lease.id] = lease
            if number % 4 == 0:
                self.send(lease, lease.count, self.now_ns)

    def send_what_is_over(self) -> None:
        """A lease that nobody settled: its calls reach the venue at the last moment."""
        for lease in list(self.open.values()):
            settle_ns = min(limit.settle_ns for limit, _ in VENUE.costs(lease.ask.call))
            if lease.ends_ns + settle_ns <= self.now_ns:
                self.send(lease, lease.count, lease.ends_ns + settle_ns)

    def send(self, lease: Lease, calls: int, at_ns: int) -> None:
        self.open.pop(lease.id, None)
        for limit, cost in VENUE.costs(lease.ask.call):
            self.arrivals[lease.ask.caller.key(limit)].append((at_ns, cost * calls))

    def fullest(self, limit: Limit) -> int:
        """The most that any window of the venue would have counted, wherever it lies."""
        return max(
            (
                _fullest(sorted(arrivals), limit.window_ns)
                for key, arrivals in self.arrivals.items()
                if key[1] == limit.name
            ),
            default=0,
        )


def _fullest(arrivals: Sequence[tuple[int, int]], window_ns: int) -> int:
    return max(
        sum(amount for at_ns, amount in arrivals if start_ns <= at_ns < start_ns + window_ns)
        for start_ns, _ in arrivals
    )


@settings(deadline=None)
@given(steps=STEPS)
def test_no_window_takes_more_than_the_limit_wherever_it_begins(steps: list[Step]) -> None:
    world = World()
    for step in steps:
        world.do(step)
    world.now_ns += 60 * SECOND
    world.send_what_is_over()
    for limit in VENUE.limits:
        assert world.fullest(limit) <= limit.amount


@settings(deadline=None)
@given(steps=STEPS)
def test_a_partly_given_back_lease_still_counts_for_the_rest(steps: list[Step]) -> None:
    world = World()
    for step in steps:
        world.do(step._replace(what="ask" if step.what == "restart" else step.what))
    used = world.core.usage(world.now_ns)
    for used_amount, amount in used.values():
        assert 0 <= used_amount <= amount


def _ask(
    core: BudgetCore, number: int, priority: Priority, call: str = "read", **more: int
) -> None:
    core.ask(Ask(id=number, caller=Caller("venue"), call=call, priority=priority, **more))


@given(
    asks=st.lists(
        st.tuples(st.sampled_from(PRIORITIES), st.sampled_from(["read", "large", "cancel"])),
        min_size=1,
        max_size=40,
    )
)
def test_nobody_overtakes_a_higher_priority_or_an_older_ask(
    asks: list[tuple[Priority, str]],
) -> None:
    core = BudgetCore({"venue": VENUE}, trial=100)
    place: dict[int, tuple[int, int]] = {}
    for number, (priority, call) in enumerate(asks):
        place[number] = (PRIORITIES.index(priority), number)
        _ask(core, number, priority, call)
    served: list[int] = []
    now_ns = START_NS
    while core.waiting:
        granted = core.grant(now_ns)
        for lease in granted:
            core.settle(lease.id, 0, now_ns)
        served += [lease.ask.id for lease in granted]
        next_ns = core.next_ns
        assert next_ns is None or next_ns > now_ns
        now_ns = now_ns if next_ns is None else next_ns
    assert served == sorted(place, key=lambda number: place[number])
    assert now_ns - START_NS <= 7 * SECOND * len(asks)


@given(
    floods=st.lists(
        st.tuples(st.integers(0, SECOND), st.sampled_from(["query", "open", "reduce"])),
        min_size=1,
        max_size=60,
    )
)
def test_a_flood_never_delays_a_cancel_for_which_room_is_kept(
    floods: list[tuple[int, Priority]],
) -> None:
    limits = (Limit(name="weight", amount=3000, window_ns=6 * SECOND, scope="address"),)
    calls = {"read": {"weight": 7}, "cancel": {"weight": 1}}
    core = BudgetCore({"venue": VenueLimits(limits=limits, calls=calls)}, trial=10_000)
    now_ns, number, cancelled_ns = START_NS, 0, START_NS
    for after_ns, priority in floods:
        now_ns += after_ns
        for _ in range(30):
            number += 1
            _ask(core, number, priority, most=50)
        due = now_ns - cancelled_ns >= SECOND
        if due:  # one a second: fewer in a window than what is kept
            number, cancelled_ns = number + 1, now_ns
            _ask(core, number, "cancel", "cancel")
        granted = [lease.ask.id for lease in core.grant(now_ns)]
        assert not due or granted[0] == number


@pytest.mark.slow
@settings(deadline=None, max_examples=20)
@given(
    cancels_a_second=st.integers(1, 80),
    others=st.lists(st.sampled_from(["query", "open"]), min_size=1, max_size=4, unique=True),
    answer_ms=st.integers(0, 60),
)
def test_a_flood_fills_no_paced_window_so_any_number_of_cancels_goes_at_once(
    cancels_a_second: int, others: list[Priority], answer_ms: int
) -> None:
    limit = Limit(name="weight", amount=600, window_ns=6 * SECOND, scope="address", paced=True)
    calls = {"read": {"weight": 2}, "cancel": {"weight": 1}}
    core = BudgetCore({"venue": VenueLimits(limits=(limit,), calls=calls)}, trial=1000)
    now_ns, number, cancels, granted = START_NS, 0, 0, 0
    answers: list[tuple[int, int]] = []
    while now_ns < START_NS + 15 * SECOND:
        now_ns += 10 * NS_PER_MS
        while answers and answers[0][0] <= now_ns:
            core.settle(answers.pop(0)[1], 0, now_ns)
        while core.waiting < 10:
            number += 1
            _ask(core, number, others[number % len(others)], most=10)
        wanted = (now_ns - START_NS) * cancels_a_second // SECOND - cancels
        for _ in range(wanted):
            number += 1
            _ask(core, number, "cancel", "cancel")
        leases = core.grant(now_ns)
        cancels += sum(lease.ask.priority == "cancel" for lease in leases)
        granted += sum(lease.count * calls[lease.ask.call]["weight"] for lease in leases)
        answers += [(now_ns + answer_ms * NS_PER_MS, lease.id) for lease in leases]
        assert cancels == (now_ns - START_NS) * cancels_a_second // SECOND
    assert granted >= 0.93 * 600 / 6 * 15


def test_a_venue_that_has_not_answered_yet_gets_three_calls() -> None:
    core = BudgetCore({"venue": VENUE})
    for number in range(10):
        _ask(core, number, "query", "cancel")
    _ask(core, 10, "cancel", "cancel")
    first = core.grant(START_NS)
    assert [lease.ask.id for lease in first] == [10, 0, 1]
    assert core.grant(START_NS + 1) == []
    core.settle(first[1].id, 0, START_NS + 2)
    assert len(core.grant(START_NS + 2)) == 8


def test_after_a_pause_it_is_tried_again_and_older_answers_prove_nothing() -> None:
    core = BudgetCore({"venue": VENUE})
    for number in range(3):
        _ask(core, number, "query", "cancel")
    first = core.grant(START_NS)
    core.settle(first[0].id, 0, START_NS)
    after_ns = core.pause(Caller("venue"), 429, SECOND // 10, START_NS)
    for number in range(10):
        _ask(core, number, "query", "cancel")
    again = core.grant(after_ns)
    core.settle(first[1].id, 0, after_ns)
    core.observe(Caller("venue"), {}, after_ns)
    assert (len(again), core.grant(after_ns)) == (3, [])
    core.observe(Caller("venue"), {"weight": 6}, after_ns)
    assert len(core.grant(after_ns)) == 7


def test_where_nobody_says_what_became_of_a_call_the_end_of_its_lease_will_do() -> None:
    core = BudgetCore({"venue": VENUE})
    for number in range(5):
        _ask(core, number, "query", "cancel")
    core.grant(START_NS)
    next_ns = core.next_ns
    assert next_ns == START_NS + 1_500_000_000
    assert len(core.grant(next_ns)) == 2


@settings(deadline=None)
@given(steps=STEPS, status=st.sampled_from([429, 418]), wait_s=st.integers(1, 30))
def test_nothing_is_granted_until_the_pause_is_over(
    steps: list[Step], status: int, wait_s: int
) -> None:
    world = World()
    half = len(steps) // 2
    for step in steps[:half]:
        world.do(step)
    until_ns = world.core.pause(Caller("venue"), status, wait_s * SECOND, world.now_ns)
    assert until_ns == world.now_ns + wait_s * SECOND
    world.core.pause(Caller("venue"), 429, SECOND // 2, world.now_ns)
    for step in steps[half:]:
        world.now_ns += step.after_ns
        if step.what == "ask":
            world.ask(step)
        elif step.what == "restart":
            data, world.core = world.core.snapshot(), BudgetCore({"venue": VENUE}, trial=100)
            world.core.restore(data, world.now_ns)
        granted = world.core.grant(world.now_ns)
        assert not granted or world.now_ns >= until_ns
        if world.core.waiting and world.now_ns < until_ns:
            assert world.core.next_ns == until_ns


def test_a_pause_is_of_one_address_at_one_venue() -> None:
    core = BudgetCore({"venue": VENUE, "other": VENUE})
    core.pause(Caller("venue", "here"), 429, SECOND, START_NS)
    for number, caller in enumerate((Caller("venue", "there"), Caller("other", "here"))):
        core.ask(Ask(id=number, caller=caller, call="read", priority="query"))
    assert len(core.grant(START_NS)) == 2
    assert core.pause(Caller("venue", "there"), 200, None, START_NS) == 0


@pytest.mark.parametrize(("status", "wait_s"), [(429, 10), (418, 120)])
def test_without_retry_after_the_table_says_how_long(status: int, wait_s: int) -> None:
    core = BudgetCore({"venue": VENUE}, trial=100)
    assert core.pause(Caller("venue"), status, None, START_NS) == START_NS + wait_s * SECOND


@given(used=st.integers(0, 60), ours=st.integers(0, 18))
def test_the_venues_word_only_ever_leaves_less(used: int, ours: int) -> None:
    core = BudgetCore({"venue": VENUE}, trial=100)
    for number in range(ours):
        _ask(core, number, "cancel")
    core.grant(START_NS)
    foreign = core.observe(Caller("venue"), {"weight": used}, START_NS)
    assert foreign == max(0, used - 2 * ours)
    assert core.observe(Caller("venue"), {"weight": used}, START_NS) == 0
    known = core.usage(START_NS).get(("venue", "weight", ""), (0, 40))[0]
    assert known == max(used, 2 * ours)


def test_a_late_word_about_a_window_that_is_over_costs_nothing() -> None:
    core = BudgetCore({"venue": VENUE}, trial=100)
    for number in range(18):
        _ask(core, number, "cancel")
    for lease in core.grant(START_NS):
        core.settle(lease.id, 0, START_NS)
    late_ns = START_NS + 6 * SECOND + SECOND // 10
    assert core.usage(late_ns)["venue", "weight", ""][0] == 0
    assert core.observe(Caller("venue"), {"weight": 36}, late_ns) == 0


def test_without_a_memory_one_window_is_waited_for_and_half_a_day_is_left() -> None:
    core = BudgetCore(VENUES)
    core.assume(1.0, START_NS)
    caller = Caller("binance", account="one")
    core.ask(Ask(id=1, caller=caller, call="order", priority="open"))
    assert core.grant(START_NS + 59 * SECOND) == []
    assert len(core.grant(START_NS + 61 * SECOND)) == 1
    used = core.usage(START_NS + 61 * SECOND)
    assert used["binance", "orders_1d", "one"] == (100_001, 200_000)
    assert used["binance", "weight", ""] == (1, 6000)


def test_what_was_sent_without_asking_counts() -> None:
    core = BudgetCore({"venue": VENUE}, trial=100)
    core.spend(Caller("venue"), "large", 2, START_NS)
    assert core.usage(START_NS)["venue", "weight", ""] == (34, 40)


def test_a_successor_knows_what_was_used_and_ignores_old_leases() -> None:
    core = BudgetCore({"venue": VENUE}, after_lease=START_NS)
    _ask(core, 1, "cancel", "large")
    (lease,) = core.grant(START_NS)
    successor = BudgetCore({"venue": VENUE}, after_lease=START_NS + SECOND)
    successor.restore(core.snapshot(), START_NS + SECOND)
    successor.settle(lease.id, 1, START_NS + SECOND)
    assert successor.usage(START_NS + SECOND)["venue", "weight", ""] == (17, 40)
    _ask(successor, 1, "cancel", "large")
    (other,) = successor.grant(START_NS + SECOND)
    assert other.id > lease.id
    with pytest.raises(InvalidDataError, match="budget/1"):
        successor.restore(b"", START_NS)


def test_a_clock_that_was_set_back_keeps_nothing_for_ever() -> None:
    core = BudgetCore({"venue": VENUE}, trial=100)
    core.spend(Caller("venue"), "large", 2, START_NS)
    successor = BudgetCore({"venue": VENUE}, trial=100)
    successor.restore(core.snapshot(), START_NS - NS_PER_DAY)
    assert successor.usage(START_NS - NS_PER_DAY)["venue", "weight", ""] == (34, 40)
    assert successor.usage(START_NS - NS_PER_DAY + 13 * SECOND) == {}


def test_windows_that_are_empty_take_no_memory() -> None:
    core = BudgetCore({"venue": VENUE}, trial=100)
    for number in range(100):
        caller = Caller("venue", account=str(number))
        core.ask(Ask(id=1, caller=caller, call="order", priority="cancel"))
        core.grant(START_NS + number * 10 * SECOND)
    assert len(core.usage(START_NS + 1000 * SECOND)) <= 2


def test_a_window_of_any_use_takes_little_memory() -> None:
    core = BudgetCore({"venue": VENUE}, trial=100)
    for number in range(20_000):
        core.spend(Caller("venue"), "cancel", 1, START_NS + number * SECOND // 4000)
    assert len(core.snapshot()) < 4096


@pytest.mark.parametrize("name", VENUES)
def test_the_table_names_only_limits_that_there_are(name: str) -> None:
    venue = VENUES[name]
    for call in venue.calls:
        assert venue.costs(call)
    for header in venue.headers.values():
        assert venue.limit(header)
    for limit in venue.limits:
        assert limit.settle_ns <= limit.window_ns // 4


def test_every_call_of_the_table_fits_at_the_lowest_priority() -> None:
    for name, venue in VENUES.items():
        for number, call in enumerate(venue.calls):
            core = BudgetCore(VENUES)
            core.ask(Ask(id=number, caller=Caller(name), call=call, priority="query"))
            assert len(core.grant(START_NS)) == 1


def test_small_limits_are_used_whole_and_large_ones_keep_their_parts() -> None:
    small = Limit(name="s", amount=5, window_ns=1, scope="connection")
    large = Limit(name="l", amount=6000, window_ns=1, scope="address")
    assert (small.ceiling(0.94), large.ceiling(0.94), large.ceiling(1.0)) == (5, 5640, 6000)


def test_a_copys_share_is_at_least_one_call_and_a_connection_stays_whole() -> None:
    own = scaled(VENUES["binance"], 0.05)
    assert {limit.name: limit.amount for limit in own.limits} == {
        "weight": 300,
        "orders_10s": 5,
        "orders_1d": 10_000,
        "connects": 15,
        "messages": 5,
    }


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X-MBX-USED-WEIGHT-1M": "17", "Retry-After": "3"}, ({"weight": 17}, 3 * SECOND)),
        ({"x-mbx-order-count-10s": " 2 "}, ({"orders_10s": 2}, None)),
        ({"x-mbx-used-weight-1m": "-1", "retry-after": "Wed, 21 Oct"}, ({}, None)),
        ({}, ({}, None)),
    ],
)
def test_headers_say_what_is_used_and_how_long_to_wait(
    headers: dict[str, str], said: tuple[dict[str, int], int | None]
) -> None:
    assert VENUES["binance"].read(headers) == said


@pytest.mark.parametrize(("least", "most"), [(0, 1), (2, 1)])
def test_an_ask_without_sense_is_refused(least: int, most: int) -> None:
    with pytest.raises(InvalidDataError, match="1 <= least <= most"):
        _ask(BudgetCore({"venue": VENUE}, trial=100), 1, "query", least=least, most=most)
