#!/usr/bin/env python3
"""How a mirror feels its size: trees of small files; what a first sync, a run with nothing to do and one with 1 % changed cost.

Beside `find -printf` as the floor of a walk, and rclone, which compares the tree with a copy on the same disk (the nearest
thing it does). Usage: scale.py [COUNT …], by default 1000 10000 100000; 1000000 takes about ten minutes.

Up to 100,000 files the state is made by a real first sync to a sandbox without limits. Beyond that the media area gets
100,000 assets that the files share: the index is told so, as if they had been mirrored (see `assume`).
"""

import shutil
import sqlite3
import subprocess
import sys

import stand

ROUNDS = 5
ROUNDS_OF_A_MILLION = 3
ASSETS = 100_000


def quiet(command):
    return stand.measure(command, keep=False)


def assume(work, tree, sandbox):
    """A state of `tree` as if all of it had been mirrored: a look reads all, then each row gets an asset.

    Gives the measured first look.
    """
    state = work / "index.sqlite"
    for _ in range(ASSETS // 10_000):
        sandbox.control("POST", "edit", {"op": "foreign_many", "count": 10_000})
    # The first look is stopped at its first upload: by then the tree is in the index.
    sandbox.control("POST", "faults", {"route": "POST /upload-requests", "times": None, "kind": {"name": "status", "status": 401, "code": "INVALID_AUTHORIZATION_HEADER"}})
    first = stand.measure(
        [stand.binary(), "--root", str(tree), "--sync-once", "-q"], stand.mirror_env(sandbox.url, state), keep=False, ok=(0, 1, 3)
    )
    sandbox.control("DELETE", "faults")
    index = sqlite3.connect(state)
    index.executescript(
        """
        CREATE TEMP TABLE some AS SELECT id FROM asset ORDER BY id;
        UPDATE file SET asset = (SELECT id FROM some WHERE rowid = 1 + file.id % (SELECT count(*) FROM some)),
            base_md5 = md5, handled = news, problem = NULL, retry_at = NULL, failures = 0;
        DELETE FROM intent;
        """
    )
    index.close()
    return first


def rounds(commands, count):
    """The median of each command's runs, taken in turn so that all meet the same weather."""
    runs = {name: [] for name in commands}
    for _ in range(ROUNDS if count <= ASSETS else ROUNDS_OF_A_MILLION):
        for name, run in commands.items():
            runs[name].append(run())
    middle = lambda all_runs: sorted(all_runs, key=lambda run: run.wall)[len(all_runs) // 2]
    return {name: middle(all_runs) for name, all_runs in runs.items()}


def measure_size(count):
    """Rows of the table for one size."""
    rows = []
    name = f"{count:,}"
    with stand.workshop() as work, stand.Sandbox.unlimited() as sandbox:
        tree, copy, state = work / "tree", work / "copy", work / "index.sqlite"
        stand.grow(tree, count)
        subprocess.run(["cp", "-al", tree, copy], check=True)
        index_mb = lambda: stand.mb(sum(file.stat().st_size for file in work.glob("index.sqlite*")))
        add = lambda what, run, calls, floor=None: rows.append([
            name, what, f"{run.wall:.2f}", f"{run.wall / floor:.2f}" if floor else "", f"{run.cpu:.2f}", calls,
            stand.mb(run.peak), index_mb(),
        ])
        find = lambda: quiet(["find", str(tree), "-printf", "%s %T@ %p\n"])

        look = quiet_run(tree, sandbox, work / "none.sqlite", "--dry-run")
        add("first look (--dry-run)", look, sandbox.calls())
        sandbox.clear_log()
        if count <= ASSETS:
            first = stand.sync(tree, sandbox.url, state, API_RATE_SHARE="1")
            assert first.report()["created"] == count, first.output[:500]
            add("first sync, no limits", first, sandbox.calls())
        else:
            first = assume(work, tree, sandbox)
            add("first scan, then stopped", first, sandbox.calls())
        # The run after a first sync looks over what that sync made; it is no run with nothing to do.
        add("the run after it", stand.sync(tree, sandbox.url, state), "")
        sandbox.clear_log()
        runs = rounds({
            "find": find,
            "nothing": lambda: stand.sync(tree, sandbox.url, state),
            "rclone": lambda: quiet(["rclone", "check", "--size-only", str(tree), str(copy)]),
            "dry": lambda: quiet(["rclone", "sync", "--dry-run", "-q", str(tree), str(copy)]),
        }, count)
        report = runs["nothing"].report()
        assert report["unchanged"] == count, report
        floor = runs["find"].wall
        add("`find -printf`", runs["find"], "", floor)
        add("nothing changed", runs["nothing"], report["api_requests"], floor)
        add("`rclone check --size-only`", runs["rclone"], "", floor)
        add("`rclone sync --dry-run`", runs["dry"], "", floor)
        changed = stand.change(tree, count, 0.01, 1)
        if count <= ASSETS:
            done = stand.sync(tree, sandbox.url, state, API_RATE_SHARE="1")
            assert done.report()["replaced"] == changed, done.output[:500]
            add("1 % changed", done, done.report()["api_requests"])
        else:
            done = stand.sync(tree, sandbox.url, state, "--dry-run")
            add("1 % changed (--dry-run)", done, done.report()["api_requests"])
    return rows


def quiet_run(tree, sandbox, state, *flags):
    command = [stand.binary(), "--root", str(tree), "--sync-once", "-q", "--format", "json", *flags]
    return stand.measure(command, stand.mirror_env(sandbox.url, state), keep=False)


def main():
    counts = [int(text) for text in sys.argv[1:]] or [1_000, 10_000, 100_000]
    stand.machine()
    if not shutil.which("rclone"):
        sys.exit("rclone is not installed (Debian: apt-get install rclone)")
    rows = []
    for count in counts:
        rows += measure_size(count)
        print(f"{count} done", file=sys.stderr, flush=True)
    stand.table(["files", "what", "s", "x find", "CPU s", "calls", "peak MB", "index MB"], rows)


if __name__ == "__main__":
    main()
