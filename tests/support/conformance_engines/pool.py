"""``--engine pool``: worker processes of this machine, started and ended by the command."""

from __future__ import annotations

from conformance_engines import EngineUnderTest, Promises


class Pool(EngineUnderTest):
    name = engine = "pool"
    promises = Promises(has_workers=True, lone_run_of_lost_worker="fails")


described = Pool()
