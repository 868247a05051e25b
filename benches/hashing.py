#!/usr/bin/env python3
"""Reading everything once: dato-mirror's first look beside `openssl md5` on as many processes as there are cores.

Many files of a few megabytes, in the page cache. Usage: hashing.py [GB] [MB_PER_FILE]; /dev/shm through TMPDIR takes the
disk out of it.
"""

import os
import subprocess
import sys
import time

import stand

ROUNDS = 3


def openssl(files, processes):
    """Seconds of a core and of the clock for all files, shared out evenly."""
    began = time.monotonic()
    shares = [files[number::processes] for number in range(processes)]
    running = [subprocess.Popen(["openssl", "md5", *share], stdout=subprocess.DEVNULL) for share in shares]
    cpu = 0.0
    for process in running:
        _, _, usage = os.wait4(process.pid, 0)
        process.returncode = 0
        cpu += usage.ru_utime + usage.ru_stime
    return time.monotonic() - began, cpu


def main():
    total = float(sys.argv[1]) * 1e9 if len(sys.argv) > 1 else 4e9
    each = int(sys.argv[2]) * 1_000_000 if len(sys.argv) > 2 else 8_000_000
    stand.machine()
    cores = len(os.sched_getaffinity(0))
    with stand.workshop() as work, stand.Sandbox.unlimited() as sandbox:
        tree = work / "tree"
        tree.mkdir()
        block = os.urandom(each)
        files = [str(tree / f"{number:05}.bin") for number in range(round(total / each))]
        for number, path in enumerate(files):
            with open(path, "wb") as file:
                file.write(number.to_bytes(8, "big"))
                file.write(block[8:])
        time.sleep(4)
        rows = []
        for number in range(ROUNDS):
            wall, cpu = openssl(files, cores)
            ours = stand.sync(tree, sandbox.url, work / f"{number}.sqlite", "--dry-run")
            assert len(ours.report()["plan"]) == len(files)
            rows.append((total / wall / 1e6, total / cpu / 1e6, total / ours.wall / 1e6, total / ours.cpu / 1e6, wall / ours.wall, cpu / ours.cpu, ours.peak))
    header = ["round", f"openssl x{cores} MB/s", "per core-second", "dato-mirror MB/s", "per core-second", "ratio by clock", "ratio by CPU", "peak MB"]
    middle = [stand.median(row[column] for row in rows) for column in range(7)]
    shown = lambda name, row: [name, *(f"{value:.0f}" for value in row[:4]), *(f"{value:.2f}" for value in row[4:6]), stand.mb(row[6])]
    stand.table(header, [*(shown(number + 1, row) for number, row in enumerate(rows)), shown("median", middle)])


if __name__ == "__main__":
    main()
