"""What a test has started ends with it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GRANDCHILD = (
    "import socket, sys, time; held = socket.create_connection(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
)
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GRANDCHILD!r}, sys.argv[1]])"
TEST = f"import sys; from programs import run_program; run_program(sys.executable, '-c', {CHILD!r}, sys.argv[1])"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no groups of processes that can be killed")
def test_when_a_test_is_killed_so_is_all_that_it_has_started() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)
        command = [sys.executable, "-c", TEST, str(server.getsockname()[1])]
        with subprocess.Popen(command, cwd=HERE) as test:  # noqa: S603 - our own
            grandchild, _ = server.accept()
            test.kill()
        with grandchild:
            grandchild.settimeout(30)
            assert grandchild.recv(1) == b""
