"""What a stream of events says in words: lines that stay, and a block that is redrawn.

Pure: time comes with the events or as an argument, nothing is written here.
`whet.cli.progress` puts it on the terminal.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from whet.cli.console import Paint, clip, plain, width_of
from whet.core.contract import Contract
from whet.core.evidence import Quality, Status, Trial
from whet.core.lesson import Lesson
from whet.core.note import Note
from whet.core.points import shown_point
from whet.report import format as fmt
from whet.search.events import (
    Event,
    Finished,
    Learning,
    Phase,
    Remark,
    RungStarted,
    Started,
    TrialDone,
    TrialStarted,
)
from whet.search.words.lessons import Sparsely, lesson_words

__all__ = ["Story", "figures", "loss_words"]

SIGNS = "≈ too noisy to call; ★ the best so far"
_NAME = 34
_BAR = 24


@dataclass
class Story:
    """What is known so far.

    Attributes:
        now: what is being done.
        best: the best candidate so far.
        live: whether a block is shown, so that what changes all the time needs no lines.
    """

    title: str
    now: str = "starting"
    rung: str = ""
    best: Trial | None = None
    contract: Contract | None = None
    budget_s: float | None = None
    elapsed_s: float = 0.0
    tried: int = 0
    failed: int = 0
    live: bool = True
    _signs_told: bool = False
    _trying: str = ""
    _lessons: Sparsely = field(default_factory=Sparsely)

    def hear(self, event: Event, paint: Paint) -> list[str]:
        """Take an event in; gives the lines that should stay on the screen."""
        self.elapsed_s, self.budget_s = event.elapsed_s, event.budget_s
        match event:
            case Started():
                return self._started(event, paint)
            case Phase(title=title):
                self.now = title
                return [paint(_sentence(title), "dim")]
            case RungStarted(rung=rung, title=title):
                self.rung = f"rung {rung}"
                self.now = title
                return [paint(f"Rung {rung}: {plain(title)}", "bold")]
            case TrialStarted(name=name, number=number):
                self.now = self._trying = f"trying {name} (candidate {number})"
                return []
            case Learning(lesson=lesson):
                return self._learning(lesson, paint)
            case TrialDone(trial=trial, best=best):
                return self._done(trial, best, paint)
            case Remark(note=note):
                return [_remark(note, paint)]
            case Finished():
                self.now = "done"
                return []

    def _started(self, event: Started, paint: Paint) -> list[str]:
        self.contract = event.contract
        s, m = event.samples, event.machine
        labels = "labelled" if s.labelled else "without labels"
        parts = f"{s.repair:,} repair, {s.select:,} select, {s.certify:,} certify"
        lines = [
            f"{paint('contract', 'dim')}  {plain(event.contract.brief())}",
            f"{paint('samples', 'dim')}   {s.total:,} {labels}: {parts}",
            f"{paint('machine', 'dim')}   {plain(m.cpu)}, {fmt.plural(m.cores, 'core')}",
        ]
        return lines + [_remark(note, paint) for note in s.notes]

    def _learning(self, lesson: Lesson, paint: Paint) -> list[str]:
        """In the block one line that changes; without a block a line now and then."""
        words = f"it learns, {lesson_words(lesson)}"
        self.now = f"{self._trying}; {words}"
        shown = not self.live and self._lessons.worth(lesson, self.elapsed_s)
        return [paint(f"  {words}", "dim")] if shown else []

    def _done(self, trial: Trial, best: Trial | None, paint: Paint) -> list[str]:
        self.tried += 1
        better = best is not None and (self.best is None or best.id != self.best.id)
        self.best = best if best is not None else self.best
        name = f"{clip(plain(trial.name), _NAME):<{_NAME}}"
        if trial.status is not Status.OK:
            self.failed += 1
            reason = trial.notes[-1].reason if trial.notes else ""
            why = f"{trial.status.value}: {plain(reason)}" if reason else trial.status.value
            return [f"  {paint('✕', 'red')} {name} {paint(why, 'dim')}"]
        mark = (
            paint("★", "green")
            if better and best is not None and best.id == trial.id
            else paint("·", "dim")
        )
        lines = [f"  {mark} {name} {figures(trial, self.contract)}"]
        if trial.speedup is not None and trial.speedup.noisy and not self._signs_told:
            self._signs_told = True
            lines.append(paint(f"    {SIGNS}", "dim"))
        return lines

    def block(self, elapsed_s: float, columns: int, paint: Paint) -> list[str]:
        """The block for this moment: what is tried, the best so far, the time left."""
        best = "none yet"
        if self.best is not None:
            best = f"{self.best.name}  {figures(self.best, self.contract, tight=True)}"
        where = f"{self.rung}, " if self.rung else ""
        counted = fmt.plural(self.tried, "candidate")
        if self.failed:
            counted += f", {self.failed} failed"
        rows = [
            ("now", f"{where}{self.now}", ()),
            ("best", best, ("green",) if self.best is not None else ()),
            ("time", f"{self._time(elapsed_s)} · {counted}", ()),
        ]
        width = max(20, columns) - 1
        lines = [paint("─" * min(width, 72), "dim")]
        for name, words, styles in rows:
            text = clip(plain(words), width - 6)
            lines.append(f"{paint(f'{name:<5}', 'dim')} {paint(text, *styles)}")
        return lines

    def _time(self, elapsed_s: float) -> str:
        gone = fmt.duration(elapsed_s)
        if self.budget_s is None or self.budget_s <= 0:
            return f"{gone} gone, no limit"
        left = self.budget_s - elapsed_s
        share = min(1.0, elapsed_s / self.budget_s)
        bar = "█" * round(share * _BAR) + "░" * (_BAR - round(share * _BAR))
        rest = f"{fmt.duration(left)} left" if left > 0 else "finishing"
        return f"{bar} {rest} of {fmt.duration(self.budget_s)}"


def figures(trial: Trial, contract: Contract | None, *, tight: bool = False) -> str:
    """Latency, speed-up and loss of a candidate, in columns."""
    q = contract.percentile if contract is not None else 99.0
    latency = trial.latency
    point = shown_point(latency.percentiles, q) if latency is not None else None
    time = f"{fmt.percentile(point.q)} {fmt.ms(point.value_ms)}" if point is not None else ""
    speed = fmt.ratio(trial.speedup.value) if trial.speedup is not None else ""
    if trial.speedup is not None and trial.speedup.noisy:
        speed = f"≈{speed}"  # too noisy to call
    quality = trial.certify or trial.select
    if quality is not None and quality.same:
        quality = None  # an untouched engine that gives the original's answers
    parts = [time, speed, loss_words(quality) if quality is not None else ""]
    if tight:
        return "  ".join(part for part in parts if part)
    widths = (13, 9, 0)
    return " ".join(
        part + " " * max(0, w - width_of(part)) for part, w in zip(parts, widths, strict=True)
    ).rstrip()


def loss_words(quality: Quality) -> str:
    """``"0.31 pt lost (at most 0.70 pt)"``."""
    bound = fmt.lost(quality.metric, quality.bound)
    return f"{fmt.lost(quality.metric, quality.drop)} lost (at most {bound})"


def _remark(note: Note, paint: Paint) -> str:
    return paint(f"  ! {plain(note.where)}: {plain(note.reason)}", "yellow")


def _sentence(title: str) -> str:
    shown = plain(title)
    return f"{shown[:1].upper()}{shown[1:]}"
