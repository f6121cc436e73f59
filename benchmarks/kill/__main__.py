"""The command: run many rounds, and print their results."""

from __future__ import annotations

import sys
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import kill
from benchmarks.command import parser_for
from benchmarks.kill.constants import TROUBLES
from benchmarks.kill.report import as_table
from benchmarks.kill.rounds import play
from benchmarks.postgres import server

if TYPE_CHECKING:
    from benchmarks.kill.checks import RoundResult
    from benchmarks.kill.constants import Trouble


def main() -> None:
    """Play the rounds asked for; the exit code is 1 if a promise was broken in any."""
    wanted = _arguments()
    results: list[RoundResult] = []
    seeds = range(wanted.first, wanted.first + wanted.rounds)
    with ExitStack() as stack, ThreadPoolExecutor(wanted.at_once) as pool:  # a round mostly waits for time to pass
        database = stack.enter_context(server(wanted.journal)) if wanted.journal else ""
        round_of = partial(play, troubles=wanted.troubles, members=wanted.members, database=database)
        for result in pool.map(round_of, seeds):
            results.append(result)
            sys.stderr.write("." if result.good else f"\n{result}\n")
            sys.stderr.flush()
    sys.stderr.write("\n")
    sys.stdout.write(f"{as_table(results)}\n")
    bad = [result for result in results if not result.good]
    sys.stdout.write(f"{len(bad)} rounds broke a promise\n" if bad else "every promise was kept\n")
    sys.exit(1 if bad else 0)


class _Arguments(Namespace):
    rounds: int
    first: int
    at_once: int
    troubles: list[Trouble]
    members: int
    journal: str


def _arguments() -> _Arguments:
    parser = parser_for(kill)
    parser.add_argument("--rounds", type=int, default=200, help="how many are played (200)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first round's seed (0)")
    parser.add_argument("--at-once", type=int, default=4, metavar="ROUNDS", help="how many are played at once (4)")
    beside = "what a round has beside its kills (all)"
    parser.add_argument("--troubles", nargs="*", choices=TROUBLES, default=list(TROUBLES), help=beside)
    parser.add_argument("--members", type=int, default=0, help="how many share the journal (0: one owns it)")
    where = "where the journal is: postgresql for a server that is started for it, or its URL (a file)"
    parser.add_argument("--journal", default="", metavar="URL", help=where)
    wanted = parser.parse_args(namespace=_Arguments())
    if wanted.journal and not wanted.members:
        parser.error("--journal takes --members, as a database is always shared")
    return wanted


if __name__ == "__main__":
    main()
