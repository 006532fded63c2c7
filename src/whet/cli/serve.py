"""``whet serve``: bundles as a service."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from whet.cli import options
from whet.cli.console import Console
from whet.cli.exits import Exit
from whet.cli.ports import GetApi, Verbs
from whet.cli.service_ports import ServeOptions
from whet.cli.settings import Setting, Value, add_settings, from_environment, from_file, settled
from whet.core.contract import parse_ms
from whet.errors import OptionError

__all__ = ["SETTINGS", "add", "run"]

_PREFIX = "WHET_SERVE_"
SETTINGS = (
    Setting("host", str, "127.0.0.1", "address to listen at (default: this machine only)"),
    Setting("port", int, 8000, "0 for any that is free (default 8000)"),
    Setting("uds", str, None, "a Unix socket in place of host and port", "PATH"),
    Setting("grpc-port", int, None, "speak gRPC too, at this port; 0 for any that is free", "PORT"),
    Setting(
        "admin-port",
        int,
        None,
        "have models loaded and unloaded, and metrics shown, at this port of this machine only, in"
        " place of --port",
        "PORT",
    ),
    Setting("tls-cert", str, None, "certificate, with those that signed it, as PEM", "FILE"),
    Setting("tls-key", str, None, "its private key, as PEM", "FILE"),
    Setting(
        "deadline",
        str,
        None,
        "of requests that name none; variants that keep the quality floor are then used as the load"
        " asks (default: none, and the bundle's default variant answers)",
        "TIME",
    ),
    Setting("variants", str, None, "to use, from the most accurate to the fastest", "A,B"),
    Setting("max-batch", int, 32, "rows of a batch that requests share (default 32)", "N"),
    Setting("workers", int, 1, "batches that run at once (default 1)", "N"),
    Setting(
        "isolated",
        bool,
        False,
        "each worker is a process of its own, which is replaced when it dies or hangs",
    ),
    Setting("keys", str, None, "a file with the keys that clients may bring, one a line", "FILE"),
    Setting("server-name", str, "whet", "in the server's metadata (default whet)", "NAME"),
    Setting(
        "model-control",
        bool,
        False,
        "let clients have models loaded again from their folders, and unloaded",
    ),
    Setting("watch", bool, False, "load a bundle again when a new one lies in its place"),
    Setting(
        "shared-memory",
        bool,
        False,
        "let clients of the same user on this machine leave tensors in shared memory",
    ),
    Setting("drain", str, "25s", "to answer what is there when told to stop (default 25s)", "TIME"),
    Setting("access-log", bool, False, "write a line for each request"),
    Setting(
        "log-format",
        str,
        "text",
        "lines for people, or a JSON object each (default text)",
        choices=("text", "json"),
    ),
    Setting(
        "trust-code",
        bool,
        False,
        "open variants whose files run native code; only if you made them",
    ),
)


def add(verbs: Verbs) -> None:
    """Add this verb to the command line."""
    parser = verbs.add_parser(
        "serve",
        help="run bundles as a service",
        description="Answer over the Open Inference Protocol (REST with JSON or binary tensors, and"
        " gRPC) until SIGTERM or Ctrl-C. Each bundle is checked and its recorded answers replayed"
        " before it is ready. Requests that can't be answered by their deadline are refused at once.",
        epilog=f"Each setting may also stand in the --config file (port = 8000) or in the environment"
        f" ({_PREFIX}PORT=8000); a flag wins over the environment, that over the file.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "bundles", nargs="*", metavar="BUNDLE", help="a folder, or NAME=FOLDER to name the model"
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="a TOML file with settings, and the bundles by name in a table [bundles]",
    )
    add_settings(parser, SETTINGS)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, console: Console, api: GetApi) -> int:
    """Carry it out."""
    given = dict(vars(args))
    config = from_file(args.config) if args.config is not None else {}
    named = config.pop("bundles", None)
    if named is not None and args.bundles:
        raise OptionError(
            f"Bundles are named here and in {args.config}.", "Name them in one of the two."
        )
    bundles = _bundles(args.bundles) if args.bundles else _of_config(named, args.config)
    layers = [
        (str(args.config), config),
        ("The environment", from_environment(os.environ, _PREFIX)),
    ]
    settings = settled(SETTINGS, given, layers)
    clean = api().serve(
        bundles,
        **_arguments(settings),
        on_ready=lambda where: console.say(f"Ready at {where}"),
    )
    if not clean:
        console.say("Some requests were not answered before the time to stop was over.")
    return Exit.KEPT if clean else Exit.INTERNAL


def _arguments(settings: Mapping[str, Value]) -> ServeOptions:
    """What `whet.serve` takes: as its parameters are named, in their units."""
    found: dict[str, Any] = dict(settings)  # each of its setting's kind, or None
    deadline, keys = found.pop("deadline"), found.pop("keys")
    found |= {
        "most_rows": found.pop("max_batch"),
        "deadline_ms": parse_ms(deadline) if deadline is not None else None,
        "variants": options.names_of("--variants", found["variants"]),
        "keys": options.keys_in("--keys", keys) if keys is not None else None,
        "drain_s": options.parse_seconds("--drain", found.pop("drain")),
    }
    return cast("ServeOptions", found)


def _of_config(named: object, file: str | None) -> dict[str, str]:
    """Bundles by name, from the file's table; their paths are as of the file."""
    if named is None or file is None:
        raise OptionError("There is no bundle to serve.", "Name a folder: whet serve FOLDER.")
    if not isinstance(named, dict) or not all(isinstance(v, str) for v in named.values()):
        raise OptionError(f"[bundles] in {file} isn't names with folders.", 'Write cats = "cats".')
    return {name: str(Path(file).parent / folder) for name, folder in named.items()}


def _bundles(given: list[str]) -> list[str] | dict[str, str]:
    """Folders, by name where each has one."""
    named = [item.partition("=") for item in given]
    if not any(sign for _, sign, _ in named):
        return given
    if not all(sign for _, sign, _ in named):
        raise OptionError("Some bundles are named and some aren't.", "Write NAME=FOLDER for each.")
    if len({name for name, _, _ in named}) < len(named):
        raise OptionError("Two bundles have one name.", "Write another NAME=FOLDER.")
    return {name: folder for name, _, folder in named}
