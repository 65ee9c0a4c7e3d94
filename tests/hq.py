"""`hq` for tests, over the Python package of HyperQueue, which has its server and workers but not its command line.

hq.py server DIR    a server with two workers of one core, until standard input ends; at the line "lose" one is lost
hq.py submit …      as far as the program uses `hq submit`
"""

import argparse
import logging
import os
import socket
import sys
import time

from hyperqueue import Job
from hyperqueue.client import Client
from hyperqueue.cluster import LocalCluster, WorkerConfig
from hyperqueue.ffi.protocol import ResourceRequest


def connections():
    """Sockets of this process with somebody at the other end: by their inodes, their descriptors."""
    found = {}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            inode = os.readlink(f"/proc/self/fd/{descriptor}")
            if inode.startswith("socket:"):
                with socket.socket(fileno=os.dup(int(descriptor))) as end:
                    end.getpeername()
                    if end.family != socket.AF_UNIX:
                        found[inode] = int(descriptor)
        except OSError:
            pass
    return found


def wait_for(holds):
    """What it says once it is not empty, within a minute."""
    until = time.monotonic() + 60
    while not (found := holds()):
        if time.monotonic() > until:
            sys.exit("hq.py: not in a minute")
        time.sleep(0.01)
    return found


def serve(folder):
    with LocalCluster(folder) as cluster:
        cluster.start_worker(WorkerConfig(cores=1))
        before = connections()
        cluster.start_worker(WorkerConfig(cores=1))
        workers = wait_for(lambda: {inode: end for inode, end in connections().items() if inode not in before})
        print("ready", flush=True)
        for line in sys.stdin:
            # Workers are threads here: what the server sees of a dead one is that its connection ends.
            if line == "lose\n":
                with socket.socket(fileno=os.dup(next(iter(workers.values())))) as end:
                    end.shutdown(socket.SHUT_RDWR)
                wait_for(lambda: not workers.keys() & connections().keys())
                print("lost", flush=True)


def submit(arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--wait", action="store_true", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--cpus", type=int, required=True)
    parser.add_argument("--stdout", choices=["none"], required=True)
    parser.add_argument("--stderr", required=True)
    parser.add_argument("--array", required=True)
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    first, last = map(int, options.array.split("-"))
    job = Job(name=options.name, max_fails=None)
    for _ in range(first, last + 1):
        job.program(
            options.command,
            env=dict(pair.split("=", 1) for pair in options.env),
            stdout=None,
            stderr=options.stderr,
            resources=ResourceRequest(cpus=options.cpus),
        )
    client = Client(os.environ["HQ_SERVER_DIR"])
    return client.wait_for_jobs([client.submit(job)], raise_on_error=False)


if __name__ == "__main__":
    logging.disable()
    if sys.argv[1] == "server":
        serve(sys.argv[2])
    elif not submit(sys.argv[2:]):
        sys.exit("some tasks failed")
