"""What a snapshot does not hold is told by name, and what comes back by itself is not."""

from __future__ import annotations

from collections import Counter

from harness.lifecycle.snapshots.losses import Seen, left_running, lost

BEFORE = {"node1": Seen({"1": "systemd", "7": "sshd"})}
AFTER = {
    "node1": Seen(
        {"1": "systemd", "7": "sshd", "20": "nginx", "21": "nginx", "22": "redis", "23": "sh"},
        frozenset({"/run/redis", "/dev/shm/x"}),
    )
}
PASSING = {"node1": Seen({**AFTER["node1"].processes, "23": "ls", "24": "sh"})}
NOW = {"node1": Seen({"1": "systemd", "5": "sshd", "6": "nginx", "8": "nginx"}, frozenset({"/run/redis"}))}


def test_what_came_with_prepare_and_stays() -> None:
    assert left_running(BEFORE, AFTER, PASSING) == {"node1": {"nginx": 2, "redis": 1}}


def test_what_started_again_by_itself_is_not_lost() -> None:
    left = left_running(BEFORE, AFTER, PASSING)
    assert lost(left, AFTER, NOW) == {"node1": ["redis", "/dev/shm/x"]}
    assert lost(left, AFTER, AFTER) == {}


def test_a_platform_that_could_not_be_looked_at_is_told_nothing_of() -> None:
    assert left_running(BEFORE, {}, {}) == {"node1": {}}
    assert lost({}, AFTER, NOW) == {}


def test_many_are_counted() -> None:
    entries = frozenset(f"/dev/shm/{number}" for number in range(20))
    then = {"node1": Seen({}, entries)}
    told = lost({"node1": Counter()}, then, {"node1": Seen({})})
    assert told["node1"][-1] == "and 12 more"
