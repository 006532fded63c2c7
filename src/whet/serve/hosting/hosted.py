"""One bundle, open: its variants, what they take, and the engine that answers with them."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from whet.bundle.golden import load_goldens
from whet.bundle.manifest import Cascade, Manifest
from whet.bundle.read import Bundle, read_bundle
from whet.core.spec import Arrays
from whet.data.transform import ImageTransform, TextTransform
from whet.errors import OptionError, RequestError
from whet.measure.cgroup import allowed_cores, cores_for
from whet.serve.dataplane import Rawly
from whet.serve.engine import Engine
from whet.serve.hosting.family import family_of, times_of
from whet.serve.hosting.independence import rows_stand_alone
from whet.serve.loaded import Loaded, load_from, transform_of
from whet.serve.scheduler.rules import Choice
from whet.serve.scheduler.scheduler import Policy, Scheduler
from whet.serve.scheduler.times import Times
from whet.serve.workers.pool import Pool, WorkerSession, cores_of_each
from whet.serve.workers.worker import Spec

__all__ = ["Hosted", "Hosting", "host", "need_name"]

_SILENT_S = 10.0  # an engine that works at something for so long counts as hung


@dataclass(frozen=True)
class Hosting:
    """How a model is to be served.

    Attributes:
        variants: to use, from the most accurate to the fastest; none for a choice by what is known.
        deadline_s: of requests that name none.
        most_rows: of a batch.
        workers: batches that run at once.
        isolated: each worker is a process of its own: one that dies or hangs is replaced, and takes
            nothing else with it. Else they are threads, which answer a little faster.
        trust_code: allow variants whose files run native code.
        policy: of the scheduler.
    """

    variants: tuple[str, ...] = ()
    deadline_s: float = math.inf
    most_rows: int = 32
    workers: int = 1
    isolated: bool = False
    trust_code: bool = False
    policy: Policy = field(default_factory=Policy)


@final
class Hosted:
    """A model that is ready to be asked.

    Attributes:
        name: under which it is asked.
        version: of it.
        manifest: of its bundle.
        engine: that answers.
        rawly: how it takes raw samples; ``None`` where it takes arrays only.
        batches: the most rows that requests share a batch of; 1 where they share none.
        pool: of its worker processes; ``None`` where there are none.
    """

    def __init__(
        self,
        name: str,
        version: str,
        manifest: Manifest,
        engine: Engine,
        rawly: Rawly | None,
        *,
        batches: int,
        opened: ExitStack,
        pool: Pool | None = None,
    ) -> None:
        self.name = name
        self.version = version
        self.manifest = manifest
        self.engine = engine
        self.rawly = rawly
        self.batches = batches
        self.pool = pool
        self._opened = opened
        self._holders = 0
        self._free = asyncio.Event()
        self._free.set()

    @property
    def answers(self) -> bool:
        """Whether an engine answered lately, or has nothing to answer."""
        if self.pool is not None and self.pool.heard_s > _SILENT_S:
            return False
        return self.engine.longest_s < _SILENT_S

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep the model until a request is through, wherever it is by then."""
        self._holders += 1
        self._free.clear()
        try:
            yield
        finally:
            self._holders -= 1
            if not self._holders:
                self._free.set()

    async def close(self, within_s: float) -> bool:
        """Answer what is there, then free the engines; false where that took too long.

        Who closes it has seen to it that nobody finds it any more.
        """
        end_s = asyncio.get_running_loop().time() + within_s
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end_s):
                await self._free.wait()
        done = await self.engine.close(max(0.0, end_s - asyncio.get_running_loop().time()))
        if done:  # what hangs keeps its session: freeing it under a running engine would crash
            await asyncio.to_thread(self._opened.close)  # processes take a moment to end
        return done


def host(
    path: str | Path, hosting: Hosting, *, name: str | None = None, version: str = "1"
) -> Hosted:
    """Open a bundle to be served: hashes checked, engines warm, goldens replayed.

    Args:
        path: of the bundle.
        hosting: how.
        name: to be asked under; the bundle's own if left out.
        version: to be asked under.

    Raises:
        BundleError: it is refused, or answers otherwise here than where it was made.
        HostError: a runtime isn't installed here.
        OptionError: it has no such variant.
    """
    bundle = read_bundle(path)
    names = family_of(
        bundle.manifest,
        asked=hosting.variants,
        deadline=math.isfinite(hosting.deadline_s),
        trusted=hosting.trust_code,
    )
    with ExitStack() as opened:
        pool = _pool(bundle, names, hosting, opened) if hosting.isolated else None
        variants = [
            opened.enter_context(_variant(bundle, each, place, hosting, pool))
            for place, each in enumerate(names)
        ]
        choices = [_choice(bundle, each, hosting) for each in variants]
        engine = Engine(
            Scheduler(choices, workers=hosting.workers, policy=hosting.policy),
            variants,
            workers=hosting.workers,
            default_timeout_s=hosting.deadline_s,
        )
        return Hosted(
            name if name is not None else bundle.manifest.name,
            version,
            bundle.manifest,
            engine,
            _rawly(variants[0]),
            batches=max(choice.most_rows for choice in choices),
            opened=opened.pop_all(),
            pool=pool,
        )


def _pool(bundle: Bundle, names: tuple[str, ...], hosting: Hosting, opened: ExitStack) -> Pool:
    """Worker processes that have all variants open."""
    spec = Spec(bundle.folder, bundle.digest, names, trust_code=hosting.trust_code)
    cores = cores_for(allowed_cores())
    pool = Pool(spec, cores_of_each(cores, hosting.workers))
    opened.callback(pool.close)
    return pool


def _variant(bundle: Bundle, name: str, place: int, hosting: Hosting, pool: Pool | None) -> Loaded:
    """A variant that is open here, or in worker processes, which have replayed it themselves."""
    if pool is None:
        return load_from(bundle, name, trust_code=hosting.trust_code)
    chosen = bundle.manifest.cascade(name) or bundle.variant(name)
    session = WorkerSession(pool, place, bundle.manifest.signature)
    return Loaded(bundle, chosen, session, transform_of(bundle))


def _choice(bundle: Bundle, loaded: Loaded, hosting: Hosting) -> Choice:
    """A variant for the scheduler: its times, and how many rows may share a batch."""
    variant = loaded.variant
    times = Times({}) if isinstance(variant, Cascade) else times_of(variant)
    return Choice(variant.name, times, _most_rows(bundle, loaded, hosting))


def _most_rows(bundle: Bundle, loaded: Loaded, hosting: Hosting) -> int:
    if loaded.fixed_rows is not None:
        return loaded.fixed_rows
    if bundle.manifest.signature.batch_symbol is None or hosting.most_rows == 1:
        return 1
    source = bundle.manifest.variants[0].name
    goldens = load_goldens(bundle, source)
    if goldens is None or not rows_stand_alone(loaded.session.run, goldens.inputs):
        return 1
    return hosting.most_rows


def _rawly(loaded: Loaded) -> Rawly | None:
    """How raw samples become what the engine takes; pictures as bytes, texts as UTF-8."""
    transform = loaded.transform
    if isinstance(transform, ImageTransform):
        return Rawly(transform.input, loaded.arrays)
    if isinstance(transform, TextTransform):

        def texts(samples: list[bytes]) -> Arrays:
            try:
                return loaded.arrays([sample.decode() for sample in samples])
            except UnicodeDecodeError as error:
                raise RequestError("A text isn't UTF-8.", "Encode texts as UTF-8.") from error

        return Rawly("text", texts)
    return None


def need_name(name: str) -> str:
    """A model's name, if it is one that paths and logs can hold.

    Raises:
        OptionError: it isn't.
    """
    good = 0 < len(name) <= 128 and name[0].isalnum() and name.isascii()
    if not good or not all(c.isalnum() or c in "._-" for c in name):
        raise OptionError(
            f"'{name}' is no name for a model.",
            "Take up to 128 letters, digits, '.', '_' and '-', a letter or digit first.",
        )
    return name
