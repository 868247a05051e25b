#!/usr/bin/env python3
"""Two clients, one allowance: dato-mirror mirrors while another client makes ten calls a second, half of the limit.

The other knows nothing of dato-mirror and does not slow down. Usage: beside.py [COUNT]
"""

import http.client
import sys
import threading
import time
from urllib.parse import urlsplit

import stand

# Half of 60 calls per 3 s.
OTHERS = 10.0


class Other:
    """Lists one upload ten times a second, and counts what it is told."""

    def __init__(self, url):
        self.at, self.asked, self.refused, self.slowest = urlsplit(url).netloc, 0, 0, 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        connection = http.client.HTTPConnection(self.at)
        headers = {"Authorization": "Bearer sandbox", "X-Api-Version": "3", "Accept": "application/json"}
        due = time.monotonic()
        while not self.over.wait(max(0, due - time.monotonic())):
            due += 1 / OTHERS
            began = time.monotonic()
            connection.request("GET", "/uploads?page[limit]=1", headers=headers)
            answer = connection.getresponse()
            answer.read()
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.asked += 1
            self.refused += answer.status == 429

    def stop(self):
        self.over.set()
        self.thread.join()


# What the scene is called, dato-mirror's share, and how many seconds the other is there before (or, below 0, comes after).
SCENES = [("joins the other", "1", 3), ("is joined by the other", "1", -8), ("joins, share 0.8", "0.8", 3)]


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 300
    stand.machine()
    rows = []
    with stand.workshop() as work:
        tree = work / "tree"
        stand.grow(tree, count)
        for name, share, head_start in SCENES:
            with stand.Sandbox() as sandbox:
                state = work / f"{name}.sqlite"
                box = {}
                job = threading.Thread(target=lambda: box.update(done=stand.sync(tree, sandbox.url, state, API_RATE_SHARE=share)))
                if head_start > 0:
                    other = Other(sandbox.url)
                    time.sleep(head_start)
                    job.start()
                else:
                    job.start()
                    time.sleep(-head_start)
                    other = Other(sandbox.url)
                began = time.monotonic()
                job.join()
                together = time.monotonic() - began
                other.stop()
                done = box["done"]
                api = [entry for entry in sandbox.log() if entry["label"] != "bucket"]
                refused = sum(entry["status"] == 429 for entry in api)
                rows.append([
                    f"dato-mirror {name}",
                    f"{done.report()['created']} of {count}",
                    f"{done.wall:.1f}",
                    f"{(len(api) - other.asked) / count:.2f}",
                    refused - other.refused,
                    f"{other.asked / (together + max(head_start, 0)):.1f}",
                    other.refused,
                ])
                print(*rows[-1], sep=", ", file=sys.stderr, flush=True)
    header = ["scene", "mirrored", "s", "its calls/asset", "its 429s", "other's calls/s", "other's 429s"]
    stand.table(header, rows)


if __name__ == "__main__":
    main()
