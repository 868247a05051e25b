#!/usr/bin/env python3
"""A first sync at the API's own pace: dato-mirror beside a script with DatoCMS's official client.

1,000 small files, 60 calls per 3 s, jobs of 0.3 to 0.9 s. Two calls an asset at 20 calls a second are 10 assets a second:
that is the whole pace. Usage: pace.py [COUNT]
"""

import shutil
import subprocess
import sys

import stand

PACE = 10.0


def row(name, count, done, log):
    api = [entry for entry in log if entry["label"] != "bucket"]
    answered = sum(entry["bytes_out"] for entry in log)
    sent = sum(entry["bytes_in"] for entry in log)
    pace = count / done.wall
    return [
        name,
        f"{len(api) / count:.3f}",
        f"{pace:.2f}",
        f"{100 * pace / PACE:.1f} %",
        sum(entry["status"] == 429 for entry in api),
        stand.mb(answered),
        stand.mb(sent),
        f"{done.cpu:.2f}",
        stand.mb(done.peak),
        f"{done.wall:.1f}",
    ]


def official_client(place):
    """Installs what the lock file pins, outside the repository."""
    shutil.copytree(stand.HERE / "client", place, dirs_exist_ok=True)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, cwd=place, check=True)
    return place


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    stand.machine()
    rows = []
    with stand.workshop() as work:
        tree, client = work / "tree", work / "client"
        stand.grow(tree, count)
        with stand.Sandbox() as sandbox:
            done = stand.sync(tree, sandbox.url, work / "index.sqlite", API_RATE_SHARE="1")
            assert done.report()["created"] == count, done.output
            rows.append(row("dato-mirror", count, done, sandbox.log()))
        if shutil.which("npm"):
            official_client(client)
            for at_once in (4, 16):
                with stand.Sandbox() as sandbox:
                    command = ["node", "upload.mjs", str(tree), str(at_once)]
                    done = stand.measure(command, {"SANDBOX_URL": sandbox.url}, cwd=client)
                    rows.append(row(f"official client, {at_once} at a time", count, done, sandbox.log()))
    header = ["what", "calls/asset", "assets/s", "of the pace", "429s", "MB read", "MB sent", "CPU s", "peak MB", "s"]
    stand.table(header, rows)


if __name__ == "__main__":
    main()
