from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from harness.errors import InvalidInput
from harness.plan.document import MAX_DEPTH, read_document


def refused(path: Path) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        read_document(path)
    return [str(problem) for problem in caught.value.problems]


def written(folder: Path, data: bytes) -> Path:
    path = folder / "a.json"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "a.json: is empty"),
        (b" \n\t", "a.json: is empty"),
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (b"\x00{\x00}", "begins with a NUL byte"),
        (b'{"a": "b\xff"}', "a.json:1: is not UTF-8: byte 0xff at offset 8"),
        (b'{"a": 1', "a.json:1:8: the file ends in the middle"),
        (b'{"a": [1, 2', "the file ends in the middle"),
        (b'{\n  "a": 1,\n}', "a.json:3:1"),
        (b'{\n  "a" 1}', "a.json:2:7: a colon was expected here"),
        (b'{"a": 1} {"b": 2}', "a.json:1:10: the JSON document ended before this"),
        (b"{'a': 1}", "a key in double quotes was expected here"),
        (b'{"a": nul}', "a.json:1:7: a value was expected here"),
        (b'{"a": "x\ny"}', "a control character stands in a string"),
        (b'{"a": "\\q"}', "begins no JSON escape"),
        (b"---\na: 1\n", "a.json:1:1"),
        (b"\x7fELF\x02\x01\x01", "a.json:1:1: a value was expected here"),
        (b'{"a": NaN}', "a.json: a: is not a finite number"),
        (b'{"a": [1, -Infinity]}', "a.json: a[1]: is not a finite number"),
        (b'{"a": 1e999}', "a.json: a: is not a finite number"),
        (b'{"a": 123456789012345678901234567890}', "a.json: a: is a whole number beyond 64 bits"),
        (b'{"a": ' + b"9" * 6000 + b"}", "beyond 64 bits"),
        (b'{"a": {"b": 1, "b": 2}}', "a.json: a: has the key 'b' more than once"),
        (b'{"a": "\\ud800"}', "a.json: a: holds half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
    ],
)
def test_what_is_no_json_document(tmp_path: Path, data: bytes, words: str) -> None:
    problems = refused(written(tmp_path, data))
    assert len(problems) == 1
    assert words in problems[0]


def test_every_odd_value_has_its_place(tmp_path: Path) -> None:
    problems = refused(written(tmp_path, b'{"a": NaN, "a": 1, "c": [1e400, {"d": 1, "d": 2}]}'))
    assert [problem.partition(": ")[2].partition(":")[0] for problem in problems] == ["the document", "c[0]", "c[1]"]


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 100_000])
def test_too_deep(tmp_path: Path, depth: int) -> None:
    (problem,) = refused(written(tmp_path, b'{"a": ' + b"[" * depth + b"]" * depth + b"}"))
    assert f"is nested deeper than {MAX_DEPTH} levels" in problem


def test_as_deep_as_allowed(tmp_path: Path) -> None:
    depth = MAX_DEPTH - 1
    assert read_document(written(tmp_path, b'{"a": ' + b"[" * depth + b"]" * depth + b"}")).value["a"] is not None


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "is a folder" in refused(tmp_path)[0]
    assert "No such file" in refused(tmp_path / "missing.json")[0]
    assert "is a device" in refused(Path("/dev/zero"))[0]
    assert "cannot be read" in refused(Path("a\0b"))[0]
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert "cannot be read" in refused(loop)[0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in the file system")
def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """`harness plan validate <(rustle-plan ...)`."""
    pipe = tmp_path / "pipe"
    if sys.platform != "win32":
        os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b'{"a": 1}'))
    writer.start()
    assert read_document(pipe).value == {"a": 1}
    writer.join()


def test_a_document_keeps_its_values(tmp_path: Path) -> None:
    path = written(tmp_path, '{"ü": [1.5, -9223372036854775808, 18446744073709551615, "\\ud83d\\ude00"]}'.encode())
    document = read_document(path)
    assert document.value == {"ü": [1.5, -(2**63), 2**64 - 1, "😀"]}
    assert len(document.sha256) == 64
