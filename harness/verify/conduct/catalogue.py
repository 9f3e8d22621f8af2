"""All checks of a run's conduct: their ids, what each asks, and which of them a run makes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from harness.errors import UsageError
from harness.models.problems import unknown

Level = Literal["cheap", "full"]
SECOND_RUN = "second-run"


@dataclass(frozen=True)
class CheckKind:
    """`level`: cheap ones are made in every run."""

    id: str
    asks: str
    level: Level = "cheap"


KINDS: Mapping[str, CheckKind] = {
    kind.id: kind
    for kind in (
        CheckKind("complete", "every task of the host's slice is reported once, no other is, none after a failure"),
        CheckKind("order", "tasks ran in the plan's order"),
        CheckKind("conditions", "`when`, tags, `creates`, `changed_when`, `failed_when` and `until` were honoured"),
        CheckKind("handlers", "each handler that was notified ran once, and no other did"),
        CheckKind("exit-status", "exit status, report and records agree"),
        CheckKind("times", "reported times are possible by the machine's clock and by ours, and keep `timeout`"),
        CheckKind("registered", "later tasks saw what the earlier one is reported to have registered"),
        CheckKind("contents", "files hold what the plan's templates make of the variables"),
        CheckKind("traces", "what is reported as changed has changed, and what is not has not"),
        CheckKind("strangers", "nothing was touched that no task names: files, accounts, processes, sockets"),
        CheckKind("network", "nothing went out where no task needs a network"),
        CheckKind("secrets", "no known secret in the binary, the records, the process list or a file for everybody"),
        CheckKind(SECOND_RUN, "a second run changes nothing"),
        CheckKind("tree", "the same as `strangers` for every file of the machine, and after a second run", "full"),
    )
}

CHEAP = frozenset(kind.id for kind in KINDS.values() if kind.level == "cheap")


def chosen(words: Collection[str]) -> frozenset[str]:
    """The ids of `cheap`, `full`, `none`, single ids, or several of them.

    Raises UsageError for a word that means nothing."""
    found: set[str] = set()
    for word in words:
        if word in ("cheap", "full"):
            found.update(kind.id for kind in KINDS.values() if word == "full" or kind.level == "cheap")
        elif word in KINDS:
            found.add(word)
        elif word != "none":
            known = ["cheap", "full", "none", *KINDS]
            raise UsageError(
                unknown(word, known, what=f"there is no check {word!r}"), hint="docs/checks.md tells what each asks"
            )
    return frozenset(found)


def check_id(host: str, task_id: str, check: str) -> str:
    """`node1::motd::conduct.traces`."""
    return "::".join(part for part in (host, task_id, f"conduct.{check}") if part)


def asks(check: str) -> str:
    return KINDS[check].asks
