#!/usr/bin/env python3
"""What copies of one file cost beside as many different files without their uploads.

Usage: copies.py [COUNT …], by default 10000. A first look (`--dry-run`) at different files reads and plans them all and sends
nothing: that is the floor. Target: a first sync of as many copies takes at most 1.5 times as long, and at most 3 calls a 200.
"""

import os
import sys

import stand

ROUNDS = 5


def grow_copies(root, count, version):
    for number in range(count):
        path = stand.path_of(root, number)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(stand.small_file(0, version))
    stand.time.sleep(4)


def measure_size(count):
    runs = {}
    with stand.workshop() as work:
        different, copies = work / "different", work / "copies"
        stand.grow(different, count)
        grow_copies(copies, count, 0)
        for turn in range(ROUNDS):
            with stand.Sandbox.unlimited() as sandbox:
                add = lambda what, run: runs.setdefault(what, []).append((run, sandbox.calls()))
                fresh = lambda name: work / f"{turn}-{name}.sqlite"
                for what, tree, flags in [
                    ("different files, first look", different, ["--dry-run"]),
                    ("copies, first look", copies, ["--dry-run"]),
                    ("copies, first sync", copies, []),
                ]:
                    sandbox.clear_log()
                    run = stand.sync(tree, sandbox.url, fresh(what), *flags)
                    add(what, run)
                assert run.report()["aliased"] == count - 1, run.output[:500]
                sandbox.clear_log()
                grow_copies(copies, count, turn + 1)
                run = stand.sync(copies, sandbox.url, fresh("copies, first sync"))
                assert run.report()["replaced"] == 1, run.output[:500]
                add("copies, all changed alike", run)
    floor = stand.median([run.wall for run, _ in runs["different files, first look"]])
    rows = []
    for what, all_runs in runs.items():
        wall = stand.median([run.wall for run, _ in all_runs])
        cpu = stand.median([run.cpu for run, _ in all_runs])
        calls = max(calls for _, calls in all_runs)
        rows.append([f"{count:,}", what, f"{wall:.2f}", f"{wall / floor:.2f}", f"{cpu:.2f}", calls])
    return rows


def main():
    stand.machine()
    rows = []
    for count in [int(text) for text in sys.argv[1:]] or [10_000]:
        rows += measure_size(count)
    stand.table(["files", "what", "s", "x first look", "CPU s", "calls"], rows)


if __name__ == "__main__":
    main()
