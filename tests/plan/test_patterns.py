from __future__ import annotations

import pytest

from harness.plan.fields import Wrong
from harness.plan.patterns import Hosts

HOSTS = Hosts(["web1", "web2", "web3", "db1", "::1"], {"web": ["web1", "web2", "web3"], "prod": ["web1", "db1"]})


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("all", ["web1", "web2", "web3", "db1", "::1"]),
        ("*", ["web1", "web2", "web3", "db1", "::1"]),
        ("db1", ["db1"]),
        ("web", ["web1", "web2", "web3"]),
        ("db1:web2", ["web2", "db1"]),
        ("db1,web2", ["web2", "db1"]),
        ("web:&prod", ["web1"]),
        ("web:!prod", ["web2", "web3"]),
        ("!prod:web", ["web2", "web3"]),
        ("!web", ["db1", "::1"]),
        ("web*:!web3", ["web1", "web2"]),
        ("w?b[12]", ["web1", "web2"]),
        ("pro*", ["web1", "db1"]),
        ("~(web|db)1", ["web1", "db1"]),
        ("web[0]", ["web1"]),
        ("web[-1]", ["web3"]),
        ("web[1:2]", ["web2", "web3"]),
        ("web[1:]", ["web2", "web3"]),
        ("web:&db1", []),
        ("::1,db1", ["db1", "::1"]),
    ],
)
def test_a_pattern(pattern: str, found: list[str]) -> None:
    assert HOSTS.matching(pattern) == found


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("wbe1", "the plan has no host 'wbe1'; did you mean 'web1'?"),
        ("web:&stage", "no host 'stage'"),
        ("mail*", "no host matches 'mail*'"),
        ("~(", "is no regular expression"),
        (":", "is an empty host pattern"),
        ("web[99999999999]", "no host"),
    ],
)
def test_a_pattern_that_is_wrong(pattern: str, words: str) -> None:
    with pytest.raises(Wrong) as caught:
        HOSTS.matching(pattern)
    assert words in caught.value.words


def test_equal_lists_are_one_object() -> None:
    assert HOSTS.listed(["web1", "prod"]) is HOSTS.listed(["web1", "prod"])
    assert HOSTS.listed(["web1", "prod"]) == ["web1", "db1"]
