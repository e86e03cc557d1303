"""Watch whether the head of a Ray cluster answers, and Ray on this machine: Ray says so too late, and to nobody.

Without its head, Ray does this (2.60, measured):

    at once     calls that the head has to answer (start an actor, list the machines) do not return
    always      messages and objects between this process and its actors arrive, so what is in training can be saved
    after 60 s  Ray's C++ code ends this process, and those of all machines, with exit code 1: without a word, and
                without Python's ``finally``

Without its process on this machine (the raylet, which ends with the head where both are of one machine), Ray does the
same, and ends this process at once when an object is fetched.

So a thread looks for both with plain TCP connections, which need nothing of Ray, and the engine ends in order long
before Ray would. While one of them does not answer, the engine asks Ray for nothing that needs it.
"""

from __future__ import annotations

import logging
import os
import threading
import time

from actbench.errors import ClusterLostError
from actbench.execution.engines._ray_cluster import knock

_log = logging.getLogger("actbench.execution.engines.ray")

SETTING, USUAL = "RAY_gcs_rpc_server_reconnect_timeout_s", 60
"""How many seconds Ray waits for the head: longer where a head that is lost is started again at the same address."""

PATIENCE = 0.5
"""The part of that time after which the head counts as lost here: the longest hiccup of a network, or the new start of
the head, that leaves time to end in order."""

SAVING = 0.7
"""The part of it until which training is saved; the rest is for ending the slots, and Ray takes 6 s to disconnect."""

LAST_WORD = 0.9
"""The part of it after which the reason is said though the engine has not ended: a call into Ray does not return."""

BETWEEN = 1.0
"""Seconds between two looks."""

ANSWER = 5.0
"""Seconds in which the head takes a connection; a machine that has been switched off refuses none."""


class Head:
    """The head of a cluster and Ray's process on this machine, watched until ``close``.

    Args:
        address: Where the head is.
        raylet: Where Ray's process on this machine is.
        name: What the user calls the cluster.

    Attributes:
        is_lost: Whether it was silent for too long; that it comes back then changes nothing.
    """

    def __init__(self, address: str, raylet: str, name: str) -> None:
        self._address, self._raylet, self._name = address, raylet, name
        self._limit = float(os.environ.get(SETTING) or USUAL)
        self._silent = 0.0
        self._has_answered = self._has_head = True
        self.is_lost = False
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether it is too late to save anything: Ray ends this process soon."""
        return self._silent > SAVING * self._limit

    def answers(self) -> bool:
        """Ask it now, before a call that would not return without it; while it is silent, the thread asks alone."""
        self._has_answered = self._has_answered and self._look()
        return self._has_answered

    def can_fetch(self) -> bool:
        """Whether an object can be fetched from the store of this machine without an end of this process."""
        return _takes_connections(self._raylet)

    def loss(self) -> ClusterLostError:
        """Return the error that says what is lost."""
        cluster = f"the Ray cluster {self._name}"
        lost = f"Ray on this machine, which belongs to {cluster}," if self._has_head else f"the head of {cluster}"
        return ClusterLostError(
            f"{lost} has not answered for {self._silent:.0f} s, and without it no worker can go on; what is finished "
            "is kept, and the same command goes on, once a cluster runs or with --engine pool"
        )

    def close(self) -> None:
        """Watch no more."""
        self._closed.set()

    def _look(self) -> bool:
        self._has_head = _takes_connections(self._address)
        return self._has_head and _takes_connections(self._raylet)

    def _watch(self) -> None:
        last, has_spoken = time.monotonic(), False
        while not self._closed.wait(BETWEEN):
            self._has_answered = self._look()
            # Not read off a clock alone: if more has passed than a look takes, this process itself stood still.
            now = time.monotonic()
            passed, last = min(now - last, BETWEEN + ANSWER), now
            self._silent = 0.0 if self._has_answered and not self.is_lost else self._silent + passed
            self.is_lost = self._silent > PATIENCE * self._limit
            if self._silent > LAST_WORD * self._limit and not has_spoken:
                has_spoken = True
                _log.error("%s", self.loss())


def _takes_connections(address: str) -> bool:
    try:
        knock(address, ANSWER)
    except OSError:
        return False
    return True
