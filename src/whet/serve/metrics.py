"""What a server shows of itself and its models, as metrics: names, words, and where each figure is from."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import final

import psutil

from whet import __version__
from whet.monitor.metrics import Family, Kind, Labels, Sample
from whet.monitor.sketch import Sketch
from whet.serve.hosting.counts import Counts
from whet.serve.hosting.repository import Entry, Repository

__all__ = ["Metrics"]

_ROWS = (0, 12)  # powers of two that are bounds of numbers of rows


@final
class Metrics:
    """The metrics of a server, as of now.

    Args:
        repository: its models.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._process = psutil.Process(os.getpid())

    def families(self) -> list[Family]:
        """All of them."""
        ready = self._repository.ready
        return [
            _one("whet_info", Kind.GAUGE, "The server's version.", 1, (("version", __version__),)),
            _one("whet_ready", Kind.GAUGE, "Whether requests are to be sent here.", int(ready)),
            *self._of_models(),
            *self._of_workers(),
            *self._of_process(),
        ]

    def _of_models(self) -> list[Family]:
        entries = list(self._repository)

        def distribution(
            name: str,
            words: str,
            sketch: Callable[[Counts], Sketch],
            powers: tuple[int, int] = (-14, 5),
        ) -> Family:
            samples = tuple(Sample(sketch(e.counts), _labels(e)) for e in entries)
            return Family(name, Kind.HISTOGRAM, words, samples, powers)

        return [
            Family(
                "whet_requests_total",
                Kind.COUNTER,
                "Requests, by how they ended.",
                tuple(
                    Sample(n, (*_labels(e), ("outcome", outcome.value)))
                    for e in entries
                    for outcome, n in sorted(e.counts.outcomes.items())
                ),
            ),
            Family(
                "whet_rows_total",
                Kind.COUNTER,
                "Rows that were answered, by the variant that did.",
                tuple(
                    Sample(n, (*_labels(e), ("variant", variant)))
                    for e in entries
                    for variant, n in sorted(e.counts.shares.items())
                ),
            ),
            distribution(
                "whet_request_duration_seconds",
                "From the arrival of a request that was answered until its answer was there.",
                lambda counts: counts.success,
            ),
            distribution(
                "whet_queue_duration_seconds",
                "From the arrival of a request until its batch began, but for decoding.",
                lambda counts: counts.queue,
            ),
            distribution(
                "whet_decode_duration_seconds",
                "For the decoding of pictures or texts.",
                lambda counts: counts.before,
            ),
            distribution(
                "whet_run_duration_seconds",
                "Of the engine, for the batch that a request was part of.",
                lambda counts: counts.ran,
            ),
            distribution(
                "whet_batch_rows",
                "Rows of the batch that a request was part of.",
                lambda counts: counts.together,
                _ROWS,
            ),
            Family(
                "whet_waiting_rows",
                Kind.GAUGE,
                "Rows that wait for an engine now.",
                tuple(Sample(e.hosted.engine.waiting_rows, _labels(e)) for e in entries),
            ),
        ]

    def _of_workers(self) -> list[Family]:
        """Of models whose engines are in processes of their own."""
        pools = [(_labels(e), e.hosted.pool) for e in self._repository if e.hosted.pool]
        if not pools:
            return []
        return [
            Family(
                "whet_workers",
                Kind.GAUGE,
                "Worker processes that live.",
                tuple(Sample(len(pool.pids), labels) for labels, pool in pools),
            ),
            Family(
                "whet_workers_lost_total",
                Kind.COUNTER,
                "Worker processes that died or hung, and were replaced.",
                tuple(Sample(pool.lost, labels) for labels, pool in pools),
            ),
        ]

    def _of_process(self) -> list[Family]:
        with self._process.oneshot():
            times, memory = self._process.cpu_times(), self._process.memory_info()
            files, born_s = self._process.num_fds(), self._process.create_time()
        return [
            _one(
                "process_cpu_seconds_total",
                Kind.COUNTER,
                "Time on processors, of the user and of the system.",
                times.user + times.system,
            ),
            _one("process_resident_memory_bytes", Kind.GAUGE, "Memory in use.", memory.rss),
            _one("process_open_fds", Kind.GAUGE, "Open files and sockets.", files),
            _one("process_start_time_seconds", Kind.GAUGE, "When it began, since 1970.", born_s),
        ]


def _labels(entry: Entry) -> Labels:
    return (("model", entry.hosted.name), ("version", entry.hosted.version))


def _one(name: str, kind: Kind, words: str, value: float, labels: Labels = ()) -> Family:
    return Family(name, kind, words, (Sample(value, labels),))
