#!/usr/bin/env python3
"""One large file: dato-mirror's peak memory, and its rate beside `curl -T` to the same bucket in the same run.

Both rates are of the PUT alone, by the bucket's own clock on both sides: first byte asked to answer sent. dato-mirror also
reads the file once before, to know its digest. Usage: large.py [MB] [ROUNDS]
"""

import json
import os
import sys
import time
import urllib.request

import stand


def presigned(url):
    """Asks for a place in the bucket, as any client does."""
    body = {"data": {"type": "upload_request", "attributes": {"filename": "curl.bin"}}}
    request = urllib.request.Request(f"{url}/upload-requests", json.dumps(body).encode(), method="POST")
    for name, value in [("Authorization", "Bearer sandbox"), ("X-Api-Version", "3"), ("Accept", "application/json")]:
        request.add_header(name, value)
    request.add_header("Content-Type", "application/vnd.api+json")
    with urllib.request.urlopen(request) as answer:
        attributes = json.load(answer)["data"]["attributes"]
    return attributes["url"], attributes["request_headers"]


def curl(sandbox, file):
    url, headers = presigned(sandbox.url)
    flags = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["curl", "-sS", "--fail", "-o", "/dev/null", "-w", "%{time_total}", "-H", "Expect:", *flags, "-T", str(file), url]
    return float(stand.measure(command).output)


def mirrored(sandbox, tree, state):
    """(the run, seconds of its PUT): the call after the PUT follows it at once."""
    sandbox.clear_log()
    done = stand.sync(tree, sandbox.url, state)
    log = sandbox.log()
    put = next(index for index, entry in enumerate(log) if entry["label"] == "bucket")
    return done, (log[put + 1]["at_ms"] - log[put]["at_ms"]) / 1000


def main():
    size = int(sys.argv[1]) * 1_000_000 if len(sys.argv) > 1 else 900_000_000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    stand.machine()
    rows = []
    with stand.workshop() as work, stand.Sandbox() as sandbox:
        tree = work / "tree"
        tree.mkdir()
        file = tree / "large.bin"
        for number in range(rounds):
            # Other content each time: the same would be adopted, not sent.
            with open(file, "wb") as out:
                for _ in range(size // 1_000_000):
                    out.write(os.urandom(1_000_000))
            time.sleep(4)
            by_curl = curl(sandbox, file)
            done, put = mirrored(sandbox, tree, work / f"{number}.sqlite")
            again = curl(sandbox, file)
            floor = (by_curl + again) / 2
            rows.append((number + 1, done.peak, size / put / 1e6, size / floor / 1e6, floor / put, done.wall, done.cpu))
            print(*rows[-1], file=sys.stderr, flush=True)
    header = ["round", "peak MB", "PUT MB/s", "curl -T MB/s", "ratio", "whole run s", "CPU s"]
    middle = ["median", *(stand.median(row[column] for row in rows) for column in range(1, 7))]
    shown = lambda row: [row[0], stand.mb(row[1]), *(f"{value:.0f}" for value in row[2:4]), f"{row[4]:.2f}", *(f"{value:.1f}" for value in row[5:])]
    stand.table(header, [shown(row) for row in [*rows, middle]])


if __name__ == "__main__":
    main()
