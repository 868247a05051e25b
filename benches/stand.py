"""What every benchmark here stands on: the release binary, a sandbox of its own, measured commands, trees of files.

Each benchmark starts what it needs on a free port, works in a temporary folder of its own, and stops and removes it all.
Standard library only. `DATO_MIRROR` names another binary, `TMPDIR` another disk.
"""

import contextlib
import json
import os
import platform
import re
import signal
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

HERE = Path(__file__).resolve().parent
BINARY = Path(os.environ.get("DATO_MIRROR", HERE.parent / "target/release/dato-mirror"))
# Files in a folder: libraries of pictures look like this, give or take.
FOLDER = 100


def binary():
    if not BINARY.exists():
        sys.exit(f"{BINARY} is not there: run `cargo build --release` first, or set DATO_MIRROR")
    return str(BINARY)


@contextlib.contextmanager
def workshop():
    """A temporary folder that goes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="dato-mirror-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Sandbox:
    """A local media area: 60 calls per 3 s and jobs of 0.3 to 0.9 s unless told otherwise."""

    def __init__(self, latency="300..900", **settings):
        command = [binary(), "sandbox", "--listen", "127.0.0.1:0", "--job-latency", latency]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.url = re.search(r"http://\S+", self.process.stdout.readline()).group(0)
        if settings:
            self.control("PATCH", "settings", settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()

    @classmethod
    def unlimited(cls):
        """As fast as it can: for making a state, not for measuring the pace."""
        # Untold, a limit is taken for a low one.
        return cls(latency="0", rate_limit=30_000)

    def control(self, method, path, body=None):
        request = urllib.request.Request(f"{self.url}/_sandbox/{path}", method=method)
        data = None
        if body is not None:
            request.add_header("Content-Type", "application/json")
            data = json.dumps(body).encode()
        with urllib.request.urlopen(request, data) as answer:
            return json.load(answer)

    def log(self):
        return self.control("GET", "log")["entries"]

    def clear_log(self):
        self.control("DELETE", "log")

    def calls(self):
        """Calls of the API since the log was cleared; puts to the bucket are none."""
        count = lambda route: self.control("GET", f"log?count=1&route={quote(route)}")["count"]
        return count("* *") - count("PUT bucket")


class Measured:
    """What a command took, told by the system that reaped it.

    The peak includes the moment before `exec`, so nothing under this script's own 25 MB can be told.
    """

    def __init__(self, wall, usage, output, code):
        self.wall = wall
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss * 1024
        self.output = output
        self.code = code

    def report(self):
        """dato-mirror's own report of the one mirror."""
        return json.loads(self.output)["mirrors"][0]


def measure(command, env=None, cwd=None, keep=True, ok=(0,)):
    stdout = subprocess.PIPE if keep else subprocess.DEVNULL
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdout=stdout, stderr=subprocess.PIPE, env={**os.environ, **(env or {})}, cwd=cwd, text=True
    )
    # Small enough for the pipe: progress is silent where there is no terminal.
    output = process.stdout.read() if keep else ""
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in ok:
        sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{errors[-2000:]}")
    return Measured(wall, usage, output, process.returncode)


def mirror_env(url, state, **more):
    keys = {"API_BASE_URL": url, "STATE_PATH": str(state), **more}
    return {"DATOCMS_API_TOKEN": "sandbox", **{f"DATO_MIRROR_{key}": str(value) for key, value in keys.items()}}


def sync(root, url, state, *flags, **more):
    """`dato-mirror --sync-once` on `root`, measured."""
    command = [binary(), "--root", str(root), "--sync-once", "--format", "json", "-q", *flags]
    return measure(command, mirror_env(url, state, **more))


def small_file(number, version=0):
    return f'<svg xmlns="http://www.w3.org/2000/svg"><desc>{number} {version}</desc></svg>\n'


def path_of(root, number):
    folder = number // FOLDER
    return f"{root}/{folder // FOLDER:03}/{folder % FOLDER:02}/file-{number:07}.svg"


def grow(root, count):
    """`count` small files, no two alike, 100 in a folder. Then waits until they count as settled."""
    for number in range(count):
        path = path_of(root, number)
        if number % FOLDER == 0:
            os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(small_file(number))
    time.sleep(4)


def change(root, count, share, version):
    """Gives every n-th file other content."""
    numbers = range(0, count, round(1 / share))
    for number in numbers:
        with open(path_of(root, number), "w") as file:
            file.write(small_file(number, version))
    time.sleep(4)
    return len(numbers)


def median(values):
    return statistics.median(values)


def mb(count):
    return f"{count / 1e6:.1f}"


def table(header, rows):
    """A Markdown table."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    line = lambda row: "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |"
    print("\n".join([line(header), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows)]))
    print(flush=True)


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}\n", flush=True)
