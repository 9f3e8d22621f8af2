"""The program of a warm Ansible: `python warm.py`. Standard library and Ansible only.

It imports what the command `ansible` needs, once, and then forks for every request: a line of JSON on stdin,
`{"argv": [...], "output": PATH, "result": PATH}`, answered by `{"rc": N}` when that run has ended. Most of what a
module takes by the command line is the start of Python. When stdin closes it ends, and all that it started with it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

assert sys.platform != "win32"


def main() -> int:
    from ansible.cli.adhoc import AdHocCLI
    from ansible.executor import task_queue_manager  # noqa: F401 (imported late by the command itself)

    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(AdHocCLI, request)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"rc": os.waitstatus_to_exitcode(status)}), file=answers, flush=True)
    os.killpg(0, signal.SIGKILL)  # this process leads its own group
    return 0


def _run(program: Any, request: dict[str, Any]) -> None:
    """In the child; never returns."""
    code = 250
    try:
        nothing = os.open(os.devnull, os.O_RDONLY)
        written = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(nothing, 0)
        os.dup2(written, 1)
        os.dup2(written, 2)
        sys.argv = request["argv"]
        os.environ["HARNESS_ANSIBLE_RESULT"] = request["result"]  # see plugins/callback/harness_result.py
        program.cli_executor(request["argv"])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
