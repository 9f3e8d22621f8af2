"""Ansible's side of the broker (harness/ansible/broker.py). It runs in Ansible's own Python: standard library only."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

DOCUMENTATION = """
name: harness
author: harness
short_description: Run tasks over the connections that the harness has open
description:
  - Commands and files go to the harness's own process, which hands them to the platform.
extends_documentation_fragment:
  - connection_pipelining
options:
  platform:
    description: Name of the platform.
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_harness_platform
  remote_user:
    description: User that commands run as; the platform's own when empty.
    default: ''
    vars:
      - name: ansible_user
    keyword:
      - name: remote_user
  broker:
    description: The socket of the harness's process.
    default: ''
    env:
      - name: HARNESS_ANSIBLE_BROKER
  token:
    description: What the broker knows its clients by.
    default: ''
    env:
      - name: HARNESS_ANSIBLE_TOKEN
"""

display = Display()

SHORT = re.compile(r"""^/bin/sh -c '(echo |\( ?umask |rm -f -r /|chmod |chown |setfacl |test )""")
"""Ansible's own handling of its temporary files: over in no time, so it may use the shell that all share."""


class Connection(ConnectionBase):  # type: ignore[misc] # Ansible has no types that mypy may use
    transport = "harness"
    has_pipelining = True
    has_tty = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._socket: socket.socket | None = None

    def _connect(self) -> Connection:
        if self._socket is None:
            broker = self.get_option("broker")
            if not broker:
                raise AnsibleConnectionFailure(
                    "the connection `harness` works only below a running harness (HARNESS_ANSIBLE_BROKER is not set)"
                )
            connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)  # type: ignore[attr-defined,unused-ignore]
            try:
                connecting.connect(broker)
            except OSError as error:
                connecting.close()
                raise AnsibleConnectionFailure(f"the harness's process does not answer: {error}") from error
            self._socket = connecting
            self._connected = True
        return self

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        self._connect()
        display.vvv(f"EXEC {cmd}", host=self._host())
        stdin = in_data or b""
        if sudoable and self._wants_password():
            stdin = self.become.get_option("become_pass").encode() + b"\n" + stdin
        short = not stdin and SHORT.match(cmd) is not None
        rc, out, err = self._ask({"do": "exec", "command": cmd, "short": short}, stdin)
        if sudoable and rc != 0:
            self._refuse_wrong_password(out, err)
        return rc, out, err

    def put_file(self, in_path: str, out_path: str) -> None:
        super().put_file(in_path, out_path)
        self._connect()
        display.vvv(f"PUT {in_path} TO {out_path}", host=self._host())
        self._ask({"do": "put", "source": in_path, "destination": out_path})

    def fetch_file(self, in_path: str, out_path: str) -> None:
        super().fetch_file(in_path, out_path)
        self._connect()
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self._host())
        self._ask({"do": "fetch", "source": in_path, "destination": out_path})

    def reset(self) -> None:
        self.close()
        self._connect()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._connected = False

    def _host(self) -> str:
        return str(self.get_option("platform"))

    def _wants_password(self) -> bool:
        """Whether become will read one from stdin: sudo asks nobody who may do it without, and never root."""
        if not self.become or not self.become.expect_prompt():
            return False
        probe = "sudo -k -n true" if self.become.name == "sudo" else 'test "$(id -u)" = 0'
        return self._ask({"do": "exec", "command": probe})[0] != 0

    def _refuse_wrong_password(self, out: bytes, err: bytes) -> None:
        """In the words of Ansible's own plugins: else it would tell that a module's answer is no JSON."""
        if not self.become or self.become.check_success(out):
            return
        if self.become.check_incorrect_password(err):
            raise AnsibleError(f"Incorrect {self.become.name} password")
        if self.become.check_missing_password(err):
            raise AnsibleError(f"Missing {self.become.name} password")

    def _ask(self, request: dict[str, Any], stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        assert self._socket is not None
        header = {
            **request,
            "token": self.get_option("token"),
            "host": self._host(),
            "user": self.get_option("remote_user"),
            "stdin": len(stdin),
        }
        data = json.dumps(header).encode()
        try:
            self._socket.sendall(len(data).to_bytes(4, "big") + data)
            self._socket.sendall(stdin)
            answer = json.loads(self._exactly(int.from_bytes(self._exactly(4), "big")))
            out, err = self._exactly(answer["out"]), self._exactly(answer["err"])
        except (OSError, EOFError) as error:
            self.close()
            raise AnsibleConnectionFailure(f"the harness's process has gone: {error or 'it hung up'}") from error
        except BaseException:
            self.close()  # a task's own timeout: the broker ends its command, and the answer belongs to nobody
            raise
        if "unreachable" in answer:
            raise AnsibleConnectionFailure(answer["unreachable"])
        if "missing" in answer:
            raise AnsibleFileNotFound(answer["missing"])
        if "failed" in answer:
            raise AnsibleError(answer["failed"])
        return answer["rc"], out, err

    def _exactly(self, count: int) -> bytes:
        assert self._socket is not None
        data = bytearray()
        while len(data) < count:
            piece = self._socket.recv(min(1 << 18, count - len(data)))
            if not piece:
                raise EOFError
            data += piece
        return bytes(data)
