"""A Slurm of one node, in a folder of its own, for tests: started and stopped by this script.

    python tests/slurm/single_node.py start FOLDER     prints the variables to set, for `eval "$(…)"`
    python tests/slurm/single_node.py stop FOLDER      ends its daemons and removes the folder

It needs root and Debian's ``slurm-wlm`` and ``munge`` (``munged``, ``slurmctld``, ``slurmd`` and the commands), but
neither systemd nor cgroups nor a configuration of the machine: keys, sockets, ports and states are its own, so that
several can run beside each other. It keeps no accounts, so ``sacct`` answers nothing, as on many small clusters.

Two CPUs in three partitions: ``main``, the default; ``low``, whose jobs give way to those of ``high`` and are put back
into the queue. A job that is put back begins again after five seconds, in place of two minutes. Slurm looks every
second at what a job takes, and kills one that takes more memory than it asked for; a job that asks for none has more
than any takes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")
CPUS = 2
MAX_ARRAY_SIZE = 4
"""Small, so that a study of a dozen runs needs several arrays."""

LIMIT = 60.0
"""Seconds after which a daemon that should have started, or ended, counts as broken."""

_DAEMONS = ("slurmd", "slurmctld", "munged")
"""In the order in which they are ended."""

_PREFIX = "actbench-slurm-"

_CONFIG = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MaxArraySize={max_array_size}
MinJobAge=300
KillWait=30
InactiveLimit=0
JobRequeue=1
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1,batch_sched_delay=0,defer
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
DefMemPerCPU=100000
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=1000000 State=UNKNOWN
PartitionName=main Nodes={node} Default=YES MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
PartitionName=low Nodes={node} MaxTime=INFINITE State=UP PriorityTier=1 PreemptMode=REQUEUE
PartitionName=high Nodes={node} MaxTime=INFINITE State=UP PriorityTier=3 PreemptMode=OFF
"""


def missing() -> str:
    """Say why no Slurm can be started here; nothing where it can."""
    absent = [name for name in PROGRAMS if which(name) is None]
    if absent:
        return f"a Slurm of one node needs slurm-wlm and munge: no {', '.join(absent)}"
    return "" if os.name == "posix" and os.geteuid() == 0 else "the daemons of Slurm need root"


def which(name: str) -> str | None:
    """Return the path of a program, also where only root's path has its folder."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class SingleNode:
    """A Slurm that runs in a folder.

    Args:
        folder: Where its files lie. The path is short: that of a socket has at most 107 characters.
    """

    folder: Path
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list, compare=False, repr=False)

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables by which commands find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def call(self, *words: str) -> str:
        """Call one of Slurm's commands and return what it prints."""
        environment = {**os.environ, **self.variables}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def start(self) -> None:
        """Start the daemons and wait until the node is idle; where one does not start, all are stopped again.

        Raises:
            RuntimeError: With the end of the daemon's log.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        host = socket.gethostname().partition(".")[0]
        controller_port, node_port = _free_ports(2)
        text = _CONFIG.format(
            name=f"test{node_port}",
            node=f"node{node_port}",
            host=host,
            folder=self.folder,
            controller_port=controller_port,
            node_port=node_port,
            max_array_size=MAX_ARRAY_SIZE,
            cpus=CPUS,
        )
        (self.folder / "slurm.conf").write_text(text, encoding="utf-8")
        self._daemon(
            "munged",
            *("--foreground", "--force", f"--socket={self.folder}/munge.socket", f"--key-file={key}"),
            *(f"--log-file={self.folder}/munged.log", f"--pid-file={self.folder}/munged.pid"),
            f"--seed-file={self.folder}/munged.seed",
        )
        self._wait("munged", (self.folder / "munge.socket").exists)
        self._daemon("slurmctld", "-D", "-f", f"{self.folder}/slurm.conf", "-c")
        self._wait("slurmctld", lambda: " is UP" in (self._answers("scontrol", "ping") or ""))
        self._daemon("slurmd", "-D", "-f", f"{self.folder}/slurm.conf", "-N", f"node{node_port}")
        self._wait("slurmd", lambda: self._answers("sinfo", "--noheader", "--partition=main", "--format=%T") == "idle")

    def stop(self) -> None:
        """Cancel all jobs, end the daemons and what is left of the jobs, and remove the folder."""
        if self._pid("slurmctld") is not None:
            self.cancel_all()
        for name in _DAEMONS:
            self._end(self._pid(name))
        for pid in self._left():
            self._end(pid)
        for child in self._children:
            child.wait(LIMIT)
        self._children.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.parent.name.startswith(_PREFIX):
            self.folder.parent.rmdir()

    def cancel_all(self) -> None:
        """End all jobs at once, and wait until none is left."""
        for job in self.jobs():
            self._answers("scancel", "--full", "--signal=KILL", job)
            self._answers("scancel", job)
        _until(lambda: not self.jobs(), LIMIT)

    def jobs(self) -> list[str]:
        """Return the ids of the jobs that wait or run."""
        return (self._answers("squeue", "--noheader", "--format=%A") or "").split()

    def _daemon(self, name: str, *words: str) -> None:
        """Start a daemon that stays this process's child, so that nothing is left of it once it was waited for."""
        program = which(name)
        assert program is not None
        with (self.folder / f"{name}.out").open("wb") as out:
            child = subprocess.Popen(
                [program, *words],
                env={**os.environ, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(child)

    def _wait(self, name: str, is_up: Callable[[], bool]) -> None:
        child = self._children[-1]
        if not _until(lambda: child.poll() is not None or is_up(), LIMIT) or child.poll() is not None:
            raise RuntimeError(f"{name} does not come up{self._log(name)}")

    def _answers(self, *words: str) -> str | None:
        """Return what a command prints; None when nothing answers it."""
        try:
            return self.call(*words).strip()
        except (RuntimeError, subprocess.TimeoutExpired):
            return None

    def _log(self, name: str) -> str:
        paths = [self.folder / f"{name}{ending}" for ending in (".out", ".log")]
        return "".join(f"\n{path.read_text(errors='replace')[-2000:]}" for path in paths if path.exists())

    def _pid(self, name: str) -> int | None:
        """Return the id of a daemon that runs, by its file; None when it does not."""
        try:
            pid = int((self.folder / f"{name}.pid").read_text())
        except (OSError, ValueError):
            return None
        return pid if name in command_of(pid) and str(self.folder) in command_of(pid) else None

    def _left(self) -> list[int]:
        """Return the processes that still bear the folder in their command line or variables: daemons and jobs."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            if int(process.name) in (os.getpid(), os.getppid()):
                continue
            try:
                variables = (process / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            is_job = b"SLURM_JOB_ID" in b"\0".join(variables)
            ours = f"SLURM_CONF={self.folder}/slurm.conf".encode() in variables
            if ours and (is_job or "slurm" in command_of(int(process.name)).partition("\0")[0]):
                found.append(int(process.name))
        return found

    @staticmethod
    def _end(pid: int | None) -> None:
        """End a process, and wait for its end; one that nobody has waited for has an empty command line."""
        if pid is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return
            if _until(lambda: not command_of(pid), LIMIT / 4):
                return


def command_of(pid: int) -> str:
    """Return a process's command line; nothing when there is no such process, or it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens at."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def _until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; return whether it did within the time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def new_folder() -> Path:
    """Return the path of a folder that is not there yet, short enough for a socket in it."""
    return Path(tempfile.mkdtemp(prefix=_PREFIX)) / "node"


def main(words: list[str]) -> int:
    """Start or stop one; return the exit code."""
    if len(words) != 2 or words[0] not in ("start", "stop"):
        print("usage: single_node.py start|stop FOLDER", file=sys.stderr)
        return 2
    node = SingleNode(Path(words[1]).absolute())
    if words[0] == "stop":
        node.stop()
        return 0
    if reason := missing():
        print(reason, file=sys.stderr)
        return 2
    try:
        node.start()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    for name, value in node.variables.items():
        print(f"export {name}={value}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
