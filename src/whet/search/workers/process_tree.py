"""Everything that a worker started: how much memory it holds, and how to end it all.

A worker leads its own session, so its members are found by their session id,
even those whose parent has died. A process that left the session is found as
a descendant, as long as its parent lives; those are looked for less often,
because it takes reading every process's status.
"""

from __future__ import annotations

import os
import signal
import time

import psutil

__all__ = ["ProcessTree"]

_STROLL_S = 1.0
_PATIENCE_S = 5.0


class ProcessTree:
    """The processes of one worker.

    Args:
        leader: process id of the worker, which leads its session and group.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._strays: dict[int, psutil.Process] = {}
        self._looked_at = 0.0

    def resident_bytes(self) -> int:
        """Sum of the resident memory of all members."""
        if time.monotonic() - self._looked_at > _STROLL_S:
            self._find_strays()
        return sum(_resident(pid) for pid in {*self._session(), *self._strays})

    def kill(self) -> None:
        """Kill all members and wait until none is left but zombies.

        The worker itself is reaped by whoever started it.
        """
        self._find_strays()
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            self._signal_group()
            alive = [p for p in self._members() if _alive(p)]
            if not alive or time.monotonic() > give_up:
                return  # what the kernel can't end now (a hung disk) it ends when that returns
            for process in alive:
                try:
                    process.kill()  # psutil checks that the id wasn't given to another process
                except psutil.Error:
                    continue  # it ended by itself, or it isn't ours to kill
            psutil.wait_procs([p for p in alive if p.pid != self._leader], timeout=0.05)

    def _signal_group(self) -> None:
        # The id can't belong to anybody else: the guardian, in the same session, keeps it taken.
        try:
            os.killpg(self._leader, signal.SIGKILL)
        except ProcessLookupError:
            return  # the group is empty
        except PermissionError:
            return  # its members changed their user; they are tried one by one

    def _members(self) -> list[psutil.Process]:
        found = dict(self._strays)
        for pid in self._session():
            try:
                found[pid] = psutil.Process(pid)
            except psutil.Error:
                continue  # it ended in between
        return list(found.values())

    def _session(self) -> list[int]:
        members = []
        for pid in psutil.pids():
            try:
                if os.getsid(pid) == self._leader:
                    members.append(pid)
            except OSError:
                continue  # it ended in between
        return members

    def _find_strays(self) -> None:
        self._looked_at = time.monotonic()
        for root in (self._leader, *self._strays):
            try:
                children = psutil.Process(root).children(recursive=True)
            except psutil.Error:
                continue
            self._strays.update({child.pid: child for child in children})


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0  # it ended in between


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
