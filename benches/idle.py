#!/usr/bin/env python3
"""A daemon with nothing to do: its share of a core, its calls, its memory. Usage: idle.py [COUNT] [SECONDS]"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import stand

TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid):
    """Seconds of a core since it began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid, key):
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def is_quiet(sandbox, pid):
    """Whether it did nothing for ten seconds."""
    before = (sandbox.calls(), cpu(pid))
    time.sleep(10)
    return sandbox.calls() == before[0] and cpu(pid) - before[1] < 0.2


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    seconds = int(sys.argv[2]) if len(sys.argv) > 2 else 600
    stand.machine()
    with stand.workshop() as work, stand.Sandbox.unlimited() as sandbox:
        tree, state = work / "tree", work / "index.sqlite"
        stand.grow(tree, count)
        stand.sync(tree, sandbox.url, state, API_RATE_SHARE="1")
        # The limit as usual: what the daemon does now is what it would do against the service.
        sandbox.control("PATCH", "settings", {"rate_limit": 60, "job_min_ms": 300, "job_max_ms": 900})
        command = [stand.binary(), "--root", str(tree), "-q"]
        daemon = subprocess.Popen(command, env={**os.environ, **stand.mirror_env(sandbox.url, state)})
        try:
            time.sleep(5)
            while not is_quiet(sandbox, daemon.pid):
                pass
            start = cpu(daemon.pid)
            peak = memory(daemon.pid, "VmHWM")
            sandbox.clear_log()
            began = time.monotonic()
            time.sleep(seconds)
            took, used = time.monotonic() - began, cpu(daemon.pid) - start
            row = [
                f"{count:,}", f"{took:.0f}", f"{100 * used / took:.3f} %", sandbox.calls(),
                stand.mb(memory(daemon.pid, "VmRSS")), stand.mb(peak), f"{start:.2f}",
            ]
        finally:
            daemon.send_signal(signal.SIGTERM)
            daemon.wait(30)
    stand.table(["files", "s", "of a core", "calls", "RSS MB", "peak of the start MB", "CPU s of the start"], [row])


if __name__ == "__main__":
    main()
