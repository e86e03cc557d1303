"""The program that keeps a Ray cluster of several machines, all of them this one: ``python ray_nodes.py FOLDER``.

It prints the address, adds a machine for each line of its input, and ends the cluster when the input ends.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import warnings
from pathlib import Path

CPUS = 2
"""Processors of each machine that computes; the head, to which commands connect, has none."""


def main() -> None:
    answer = os.fdopen(os.dup(1), "w", buffering=1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    warnings.simplefilter("ignore")
    os.environ["RAY_TMPDIR"] = sys.argv[1]  # where Ray notes the address of the cluster that was started last
    Path(sys.argv[1], "ray").mkdir()
    from ray.cluster_utils import Cluster

    with socket.socket() as found:  # Ray's own choice is always the same one
        found.bind(("", 0))
        port = found.getsockname()[1]
    head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": sys.argv[1], "gcs_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(num_cpus=CPUS)
    answer.write(f"{cluster.address}\n")
    for _ in sys.stdin:
        cluster.add_node(num_cpus=CPUS)
        answer.write("added\n")
    cluster.shutdown()
    shutil.rmtree(sys.argv[1], ignore_errors=True)


if __name__ == "__main__":
    main()
