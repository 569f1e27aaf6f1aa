"""The packaged programs on a plain Python: no repository, no virtual environment, an empty home.

    ./pants script .ci/try_programs.py -- DIST PYTHON [DATA]

Each program of DIST is called as on a host of its own, against the real Kafka and Postgres of the
local stack and the simulated Kite, and must end with the exit code and say the words that stand
here. DATA is a folder with real instrument masters, and `bars` beside it one with real
bars; their figures are checked where they are given.

Exit codes: 0 all as expected, 1 something was not, 2 wrong usage.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kite_contracts.topics import load_topics
from kite_devstack import databases, stack, topics
from kite_devstack.kafka import private_kafka
from kite_devstack.layout import layout_of
from kite_devstack.leases import Lease
from kite_devstack.reporter import ConsoleReporter

PATIENCE_S = 300.0
MASTER = """\
instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,\
instrument_type,segment,exchange
408065,1594,INFY,"INFOSYS",0,,0,0.05,1,EQ,NSE,NSE
519937,2031,M&M,"MAHINDRA & MAHINDRA",0,,0,0.05,1,EQ,NSE,NSE
"""


@dataclass
class Host:
    """A folder and an environment that hold nothing but what a test puts there."""

    programs: Path
    python: str
    folder: Path
    settings: Mapping[str, str]
    wrong: list[str] = field(default_factory=list)

    def command(self, program: str, *arguments: str) -> list[str]:
        return [self.python, str(self.programs / f"{program}.pex"), *arguments]

    def environment(self) -> dict[str, str]:
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {"PATH": "/usr/bin:/bin", "HOME": str(home), **self.settings}

    def expect(self, code: int, words: str, program: str, *arguments: str) -> str:
        """Run a program; note what differs from the exit code and the pattern ``words``."""
        called = f"{program} {' '.join(arguments)}"
        done = subprocess.run(
            self.command(program, *arguments),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        said = done.stdout + done.stderr
        good = done.returncode == code and re.search(words, said) and "Traceback" not in said
        print(f"{'ok  ' if good else 'FAIL'} {done.returncode:>3}  {called}", flush=True)
        if not good:
            self.wrong.append(f"{called}: expected {code} and {words!r}, got {done.returncode}")
            print(said[-4000:])
        return said

    @contextmanager
    def simulator(self) -> Iterator[str]:
        """The simulated Kite of ws_bridge.pex; yields the address of its REST API."""
        command = self.command("ws_bridge", "simulate", "--port", "0", "--rest-port", "0")
        with subprocess.Popen(
            command, cwd=self.folder, env=self.environment(), stderr=subprocess.PIPE, text=True
        ) as running:
            assert running.stderr is not None
            try:
                for line in running.stderr:
                    if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                        yield found[0]
                        return
                raise SystemExit("the simulator ended before it named its address")
            finally:
                running.terminate()
                running.wait(PATIENCE_S)


def try_reference_data(host: Host) -> None:
    """Tables, master, export and login, as in the morning."""
    (host.folder / "master.csv").write_text(MASTER)
    host.expect(78, "migrate upgrade", "instruments", "sync", "--file", "master.csv")
    host.expect(0, "0001_instruments", "migrate", "upgrade")
    host.expect(0, r"\A\d{4}\n", "migrate", "current")
    host.expect(0, "added +2", "instruments", "sync", "--file", "master.csv")
    host.expect(0, "nothing new", "instruments", "sync", "--file", "master.csv")
    host.expect(0, "519937", "instruments", "lookup", "M&M")
    host.expect(0, "15:40", "instruments", "calendar", "--segment", "NFO", "--date", "2026-08-03")
    with host.simulator() as rest:
        host.settings = {
            **host.settings,
            "KITE_API_KEY": "dummy",
            "KITE_API_SECRET": "dummy",
            "KITE_API_URL": rest,
        }
        host.expect(0, "added", "instruments", "sync", "--exchange", "NFO")
        host.expect(0, "connect/login", "instruments", "auth", "url")
        host.expect(1, "token", "instruments", "auth", "exchange", "wrong")
        host.expect(1, "token", "instruments", "auth", "status")


def try_dead_letters(host: Host) -> None:
    """Triage gives each dead letter of a smoke the reason that the fault script intended.

    Neither program knows the other: the smoke writes what it intended to a file, and triage dumps
    what it found.
    """
    smoke = ("smoke", "--ticks", "9000", "--instruments", "40", "--letters", "intended.jsonl")
    host.expect(0, "20 intended, 20 found as intended, of 16 reasons", "ws_bridge", *smoke)
    dump = ("--topic", "ticks.dlq", "--dump", "found.jsonl")
    host.expect(3, "20 dead letters", "dlq_triage", *dump)
    files = [host.folder / name for name in ("intended.jsonl", "found.jsonl")]
    if not all(file.exists() for file in files):
        return  # what failed is noted
    intended, found = (
        {
            (line["topic"], line["partition"], line["offset"]): line
            for line in map(json.loads, file.read_text().splitlines())
        }
        for file in files
    )
    if not intended or intended.keys() != found.keys():
        host.wrong.append(f"{len(intended)} dead letters intended, {len(found)} found")
    for place, line in intended.items():
        reason = found.get(place, {}).get("reason")
        if reason != line["intended"]:
            host.wrong.append(f"{place}: {line['intended']} intended, triage says {reason}")
    print(f"     {len(found)} dead letters of {len({x['reason'] for x in found.values()})} reasons")


def try_stored_dead_letters(host: Host) -> None:
    """Rows in Postgres that a person can decide about."""
    host.expect(3, "stored, 0 already there", "dlq_triage", "consume", "--once")
    host.expect(3, "groups; stored", "dlq_triage", "groups")
    host.expect(0, "DECODE_TRUNCATED", "dlq_triage", "reasons")


def try_real_masters(host: Host, data: Path) -> None:
    """What is known of two real masters of August 2026."""
    masters = [
        str(data / name) for name in ("nfo_2026-08_A_trim.csv", "nfo_bfo_2026-08_B_trim.csv")
    ]
    known = "396 added, 0 expired, 0 removed, 74 renamed, 60 moved, 0 reused, 0 changed"
    host.expect(0, known, "instruments", "diff", *masters)


def try_bars(host: Host) -> None:
    """A vendor's file of one hour's beginning becomes golden bars and Parquet, once."""
    lines = [
        f"INFY,20260803,09:{16 + at},1500.00,1500.50,1499.50,1500.25,{at}7,0" for at in range(5)
    ]
    (host.folder / "infy.txt").write_text("".join(f"{line}\n" for line in lines))
    days = ("--from", "20260803", "--to", "20260803", "--interval", "m1")
    call = ("daily", *days, "--symbols", "NSE:INFY", "--no-kite", "--vendor", "infy.txt")
    host.expect(3, "5 inserted", "hist_merge", *call)  # the other minutes lack
    host.expect(3, "are not read again", "hist_merge", *call)
    host.expect(0, "5 bars", "hist_merge", "export")


def try_real_bars(host: Host, data: Path) -> None:
    """What is known of two real files of one stock and day, and of one of a Muhurat."""
    names = ("kite_SBIN_2016-09-30.csv", "vendor_SBIN_2016-09-30.txt")
    known = (
        r"common +375\nOHLC equal +303\nwith volume +279 .*\nwithin a tick +341\n"
        r"volume equal +303\nlargest gap +0\.25 .*\nvolume +kite 14,802,282, vendor 14,798,352\n"
    )
    pair = [str(data / name) for name in names]
    host.expect(3, known, "hist_merge", "reconcile", "--files", *pair)
    muhurat = str(data / "ADANIENT_20201114_muhurat.txt")
    known = r"60 inside the session, 3 outside it[^$]*break 1, post-close 1, pre-open 1"
    host.expect(0, known, "hist_merge", "reconcile", "--files", muhurat)


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3):
        print(__doc__)
        return 2
    programs, python = Path(arguments[0]).resolve(), arguments[1]
    with (
        Lease(layout_of(os.environ).leases),
        tempfile.TemporaryDirectory() as scratch,
        private_kafka(Path(scratch) / "kafka", os.environ) as kafka,
    ):
        postgres = stack.ensure([stack.POSTGRES], os.environ, ConsoleReporter()).postgres
        assert postgres is not None
        client = topics.admin(kafka.bootstrap, {})
        topics.apply(client, topics.plan(load_topics(), {}))
        folder = Path(scratch) / "host"
        folder.mkdir()
        with databases.database(postgres) as dsn:
            settings = {"POSTGRES_DSN": dsn, "KAFKA_BOOTSTRAP": kafka.bootstrap}
            host = Host(programs, python, folder, settings)
            try_reference_data(host)
            try_dead_letters(host)
            try_stored_dead_letters(host)
            try_bars(host)
            if len(arguments) == 3:
                data = Path(arguments[2]).resolve()
                try_real_masters(host, data)
                if (data.parent / "bars").is_dir():
                    try_real_bars(host, data.parent / "bars")
    for problem in host.wrong:
        print(problem)
    return 1 if host.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
