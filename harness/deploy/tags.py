"""Which tasks a run's tags select: Ansible's rules, in the runner's words (runner/engine/src/tags.rs)."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def reason_to_skip(tags: Collection[str], only: Sequence[str], skip: Sequence[str]) -> str | None:
    """None when a task with these tags runs, otherwise why it does not."""
    if (only or "never" in tags) and not _selected(tags, only, skip):
        never = not only or ("never" in tags and "all" in only)
        return "tagged never" if never else f"not selected by tags {', '.join(only)}"
    kept = "always" in tags and "always" not in skip
    skipped = (
        ("all" in skip and not kept)
        or any(tag in skip for tag in tags)
        or ("tagged" in skip and bool(tags))
        or ("untagged" in skip and not tags)
    )
    return f"skipped by tags {', '.join(skip)}" if skipped else None


def _selected(tags: Collection[str], only: Sequence[str], skip: Sequence[str]) -> bool:
    never = "never" in tags
    return (
        ("always" in tags and "always" not in skip)
        or ("all" in only and not never)
        or any(tag in only for tag in tags)
        or ("tagged" in only and bool(tags) and not never)
        or ("untagged" in only and not tags)
    )
