"""The queue's rules, held against any order of arrivals and ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from trebuchet.emulator.world.admission import MOST_DELAYS, Admission, Room
from trebuchet.emulator.world.gpus import GpuAsk, GpuPool
from trebuchet.emulator.world.sandbox import Ask

MACHINE = ("H100", "H100", "H100", "H100", "A100-80GB")
ROOM = Room(cpus=4, memory_mib=4096)
FITTING = {"H100": {0, 1, 2, 3}, "A100": {4}, "ANY": {0, 1, 2, 3, 4}}


@dataclass
class Queue:
    """An admission, and what a bystander knows of it."""

    admission: Admission = field(default_factory=lambda: Admission(GpuPool(MACHINE), ROOM))
    running: dict[str, tuple[Ask, tuple[int, ...]]] = field(default_factory=dict)
    waiting: dict[str, Ask] = field(default_factory=dict)
    made: int = 0

    def arrive(self, **wants: object) -> Ask:
        self.made += 1
        ask = Ask(id=f"{self.made:04}", app_id="ap-1", created_at=float(self.made), **wants)
        taken = self.admission.ask(ask)
        if taken is None:
            self.admission.wait(ask)
            self.waiting[ask.id] = ask
        else:
            self.running[ask.id] = ask, taken
        return ask

    def end(self, sandbox_id: str) -> list[str]:
        """End one; the ids of those that start by that, in order."""
        ask, taken = self.running.pop(sandbox_id)
        self.admission.leave(ask, taken)
        started = []
        for waiting_id, gpus in self.admission.admit():
            self.running[waiting_id] = self.waiting.pop(waiting_id), gpus
            started.append(waiting_id)
        return started

    def end_oldest(self) -> list[str]:
        return self.end(min(self.running))


def gpu(text: str) -> GpuAsk:
    kind, _, count = text.partition(":")
    return GpuAsk(type=kind, count=int(count or 1))


asks = st.fixed_dictionaries(
    {
        "gpu": st.sampled_from(
            [GpuAsk()] * 3 + [gpu(text) for text in ("H100", "H100:2", "H100:4", "A100", "ANY:2", "ANY:5")]
        ),
        "wants_cpus": st.sampled_from([0.0, 0.125, 0.1, 1.0, 2.0, 4.0, 64.0]),
        "wants_memory_mib": st.sampled_from([0, 128, 1024, 4096, 100_000]),
        "priority": st.sampled_from([0, 0, 0, 5, -5]),
    }
)
steps = st.lists(st.one_of(asks, st.integers(0, 50)), max_size=60)


def play(queue: Queue, step: dict[str, object] | int) -> None:
    if isinstance(step, dict):
        queue.arrive(**step)
    elif queue.running:
        queue.end(sorted(queue.running)[step % len(queue.running)])


@given(steps)
def test_nothing_is_lent_twice_or_beyond_what_there_is(played: list[dict[str, object] | int]) -> None:
    queue = Queue()
    for step in played:
        play(queue, step)
        lent = Counter(index for _, gpus in queue.running.values() for index in gpus)
        assert all(count == 1 for count in lent.values())
        for ask, gpus in queue.running.values():
            assert len(gpus) == ask.gpu.count
            assert set(gpus) <= FITTING.get(ask.gpu.type, set())
        running = [ask for ask, _ in queue.running.values()]
        assert sum(min(ask.wants_cpus, ROOM.cpus) for ask in running) <= ROOM.cpus + 1e-6
        assert sum(min(ask.wants_memory_mib, ROOM.memory_mib) for ask in running) <= ROOM.memory_mib


@given(steps)
def test_whoever_waits_is_told_its_place_and_what_it_lacks(played: list[dict[str, object] | int]) -> None:
    queue = Queue()
    for step in played:
        play(queue, step)
        reasons = queue.admission.reasons()
        assert reasons.keys() == queue.waiting.keys()
        in_order = sorted(queue.waiting.values(), key=lambda ask: (-ask.priority, ask.id))
        assert list(reasons) == [ask.id for ask in in_order]


@given(steps)
def test_once_nothing_new_comes_all_are_served(played: list[dict[str, object] | int]) -> None:
    queue = Queue()
    for step in played:
        play(queue, step)
    while queue.running:
        queue.end_oldest()
    assert not queue.waiting


@given(asks, st.lists(asks, min_size=1, max_size=30), st.lists(st.integers(0, 50), max_size=3))
@settings(max_examples=60)
def test_a_crowd_that_never_ends_cannot_keep_one_waiting(
    wanted: dict[str, object], crowd: list[dict[str, object]], before: list[int]
) -> None:
    queue = Queue()
    for number, step in enumerate(crowd):
        queue.arrive(**step)
        if number in before:
            queue.end_oldest()
    one = queue.arrive(**wanted)
    for turn in range(40 * (MOST_DELAYS + len(crowd))):
        if one.id in queue.running:
            return
        # As soon as one ends another comes, no more urgent than the one that waits.
        queue.end_oldest()
        step = crowd[turn % len(crowd)]
        queue.arrive(**{**step, "priority": min(one.priority, step["priority"])})
    raise AssertionError("it was never served")


@given(
    st.lists(st.sampled_from([-5, 0, 5]), min_size=1, max_size=20),
    st.sampled_from([{"wants_cpus": 4.0}, {"gpu": gpu("H100:4")}, {"wants_memory_mib": 4096}]),
)
def test_equals_start_in_the_order_of_their_priorities_and_their_coming(
    priorities: list[int], wants: dict[str, object]
) -> None:
    queue = Queue()
    holder = queue.arrive(**wants)
    waiting = [queue.arrive(priority=priority, **wants) for priority in priorities]
    started = []
    running = holder.id
    for _ in waiting:
        (running,) = queue.end(running)
        started.append(running)
    assert started == [ask.id for ask in sorted(waiting, key=lambda ask: (-ask.priority, ask.id))]


def test_a_gap_that_delays_nobody_is_filled_as_often_as_you_like() -> None:
    queue = Queue()
    queue.arrive(gpu=gpu("H100"))
    large = queue.arrive(gpu=gpu("H100:4"), wants_cpus=1.0)
    for _ in range(3 * MOST_DELAYS):
        small = queue.arrive(wants_cpus=3.0)
        assert small.id in queue.running
        queue.end(small.id)
    assert queue.arrive(gpu=gpu("A100")).id in queue.running
    assert large.id in queue.waiting


def test_what_comes_free_is_kept_for_one_that_was_delayed_often_enough() -> None:
    queue = Queue()
    first = queue.arrive(gpu=gpu("H100:3"))
    large = queue.arrive(gpu=gpu("H100:4"))
    for _ in range(MOST_DELAYS):
        queue.end(queue.arrive(gpu=gpu("H100")).id)
    late = queue.arrive(gpu=gpu("H100"))
    assert queue.admission.reasons() == {
        large.id: "3 of 4 GPUs, 1st in the queue",
        late.id: "its turn, 2nd in the queue",
    }
    assert queue.end(first.id) == [large.id]


def test_one_that_takes_any_gpu_leaves_those_that_others_wait_for() -> None:
    queue = Queue()
    queue.arrive(gpu=gpu("H100"))
    queue.arrive(gpu=gpu("H100:4"))
    anything = queue.arrive(gpu=gpu("ANY"))
    assert queue.running[anything.id][1] == (4,)
