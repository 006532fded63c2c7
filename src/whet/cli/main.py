"""The entry point: parse, run one verb, turn every end into a sentence and an exit code."""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import NoReturn

from whet import __version__
from whet.cli import apply, bench, demo, inspect, optimize, recipe, report, serve, verify
from whet.cli.console import Console, Unread, plain
from whet.cli.document import error_document, stopped_document
from whet.cli.exits import TABLE, Exit
from whet.cli.ports import GetApi, the_api
from whet.cli.stdout import owned
from whet.cli.streams import reopen_closed
from whet.cli.words import attached, refusal
from whet.errors import ContractError, WhetError

__all__ = ["main", "parser"]

_VERBS = (demo, optimize, inspect, verify, bench, serve, report, recipe, apply)
_REPORTS = "If it happens again, report it with that file."


class _Parser(argparse.ArgumentParser):
    """A wrong command line is wrong input like any other: one sentence, exit code 3."""

    def error(self, message: str) -> NoReturn:
        raise refusal(message, self.prog)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    codes = "\n".join(f"  {code:>3}  {words}" for code, words in TABLE.items())
    top = _Parser(
        prog="whet",
        description="Find the fastest variant of a trained network that keeps a contract on this"
        " machine, prove it, and pack it.",
        epilog=f"exit codes:\n{codes}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"whet {__version__}")
    verbs = top.add_subparsers(title="verbs", dest="verb", metavar="VERB", required=True)
    for verb in _VERBS:
        verb.add(verbs)
    for each in verbs.choices.values():
        each.add_argument(
            "--debug", action="store_true", help="show the traceback of an unexpected error"
        )
    return top


def main(
    arguments: Sequence[str] | None = None,
    *,
    console: Console | None = None,
    api: GetApi = the_api,
) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; those of the process by default.
        console: where to write.
        api: gives the public verbs; called only when one is needed.

    Returns:
        The exit code, see `whet.cli.exits`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if console is None:
        reopen_closed()
    out = console if console is not None else Console()
    # Known before parsing, since a wrong command line is reported in the same form.
    out.json = out.json or "--json" in given
    debug = "--debug" in given
    try:
        try:
            parsed = parser().parse_args(attached(given))
        except SystemExit:  # argparse after --help and --version
            out.say()  # flushed here, where a stdout that takes nothing is an end like any other
            return Exit.KEPT
        parsed.command_line = given
        with owned(out):
            return int(parsed.run(parsed, out, api))
    except WhetError as error:
        return _refused(error, out)
    except KeyboardInterrupt:
        out.tell(out.paint_err("Interrupted.", "yellow"))
        stopped_document(out, "", Exit.INTERRUPTED)
        return Exit.INTERRUPTED
    except Unread:
        return Exit.KEPT
    # The last resort: a sentence, and a file for the rest. Nothing of ours ends the program.
    except (Exception, SystemExit) as error:  # noqa: BLE001
        return _unexpected(error, out, debug=debug)


def _refused(error: WhetError, console: Console) -> int:
    """What was wrong and what to do, and nothing else."""
    paint = console.paint_err
    if isinstance(error, ContractError):
        console.tell(paint("The contract can't be used:", "red"), *_items(error))
    elif error.parts:
        head = plain(error.message.partition("\n")[0])
        console.tell(paint(head, "red"), *(line for part in error.parts for line in _items(part)))
    else:
        console.tell(paint(plain(error.message), "red"))
        if error.remedy:
            console.tell(plain(error.remedy))
    error_document(console, error, error.exit_code)
    return error.exit_code


def _items(error: WhetError) -> list[str]:
    """A line for each thing that is wrong; only the breaks between these are ours."""
    told = error.issues if isinstance(error, ContractError) else error.parts or (error,)
    return [f"  - {plain(str(each))}" for each in told]


def _unexpected(error: BaseException, console: Console, *, debug: bool) -> int:
    """One sentence, and the traceback in a file."""
    if debug:
        console.tell("".join(traceback.format_exception(error)).rstrip())
        where = ""
    else:
        where = _keep_traceback(error)
    said = plain(f"{type(error).__name__}: {error}").strip()[:300]
    console.tell(console.paint_err(f"Something inside failed: {said}", "red"))
    if where:
        console.tell(f"The traceback is in {where}. {_REPORTS}")
    elif not debug:
        console.tell("The traceback could not be written; --debug shows it.")
    error_document(console, error, Exit.INTERNAL)
    return Exit.INTERNAL


def _keep_traceback(error: BaseException) -> str:
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="whet-", suffix=".traceback.txt", delete=False, encoding="utf-8"
        ) as file:
            file.write(f"whet {__version__}, python {sys.version}\n")
            file.write("".join(traceback.format_exception(error)))
            return file.name
    except OSError:
        return ""
