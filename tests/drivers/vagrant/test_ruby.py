"""Ruby literals: Ruby itself reads them, and what it reads is what was written."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.drivers.vagrant import ruby

NASTY = [
    'a"b',
    "it's",
    "#{exit 3}",
    "#$0 #@x #{`touch /tmp/x`}",
    "\\",
    "\\#{1}",
    "line\nbreak\r\ttab\x00\x1b\x7f",
    "=begin\n=end\n__END__\n",
    "ümläut 日本 😀",
    '\\"; system("true"); "',
    "<%= 1 %>",
]


@pytest.mark.vagrant
def test_ruby_reads_back_every_value() -> None:
    program = shutil.which("ruby")
    if program is None:
        pytest.skip("there is no ruby here")
    values: list[Any] = [*NASTY, 0, -5, 1.5, True, False, None, [1, ["a"]], {"a": {"b c": NASTY}}, []]
    source = f'require "json"; puts JSON.generate({ruby.literal(values)})'
    done = subprocess.run([program, "-W2", "-"], input=source, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == values


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(ruby.NAME, fullmatch=True), inner),
)


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    line = f"some.setting = {ruby.literal(value)}"
    assert "\n" not in line
    if "\\u{" not in line:  # written by us, and too much for what people write
        assert ruby.parse(line).arguments == (value,)


@given(st.text())
def test_a_line_is_understood_or_refused(text: str) -> None:
    try:
        statement = ruby.parse(text)
    except ValueError:
        return
    assert ruby.parse(statement.written("c").removeprefix("c.")) == statement


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("vm.network 'forwarded_port', guest: 80, host: 8080", 'c.vm.network("forwarded_port", guest: 80, host: 8080)'),
        ("vm.network('private_network', :ip => '10.0.0.2')", 'c.vm.network("private_network", ip: "10.0.0.2")'),
        ("customize ['--uartmode1', 'file', File::NULL]", 'c.customize(["--uartmode1", "file", "/dev/null"])'),
        ("customize ['modifyvm', :id, '--cap', '50']", 'c.customize(["modifyvm", :id, "--cap", "50"])'),
        ("cpuset = '1-4,^3,6'", 'c.cpuset = "1-4,^3,6"'),
        ('vm.provision :shell, inline: "uname"', 'c.vm.provision(:shell, inline: "uname")'),
        (
            'vm.synced_folder "./", \'/vagrant\', disabled: true, type: "nfs"',
            'c.vm.synced_folder("./", "/vagrant", disabled: true, type: "nfs")',
        ),
        ("storage :file, {size: '20G', cache: nil}", 'c.storage(:file, {"size": "20G", "cache": nil})'),
        ("memory = 1_024", "c.memory = 1024"),
        ("gui = true", "c.gui = true"),
    ],
)
def test_what_people_write_in_molecule(line: str, written: str) -> None:
    assert ruby.parse(line).written("c") == written


@pytest.mark.parametrize(
    "line",
    [
        'vm.provision :shell, inline: "echo #{Dir.pwd}"',
        "vm.hostname = `hostname`",
        "vm.box = ENV['BOX']",
        "vm.instance_eval 'exit'",
        "vm.class.send :system, 'true'",
        "vm.provision(:shell) { |s| s.inline = 'x' }",
        "memory = 1024; system 'true'",
        "vm.box = 'a' + 'b'",
        "vm.network 'a', guest: 80, 'b'",
        "vm.box = 'a' if true",
        "vm.box = [1, 2",
        "= 3",
        "",
    ],
)
def test_what_would_be_run_is_refused(line: str) -> None:
    with pytest.raises(ValueError):
        ruby.parse(line)


def test_no_setting_leads_elsewhere() -> None:
    for path in ("instance_eval", "vm.send", "vm.class", "Vm.box", "vm box", "vm.", "vm;x", "a\nb"):
        with pytest.raises(ValueError):
            ruby.check_path(path)
    for number in (float("inf"), float("nan")):
        with pytest.raises(ValueError):
            ruby.literal(number)
