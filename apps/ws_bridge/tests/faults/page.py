"""docs/reliability.md out of the records; ``faults.cli --record`` writes both.

The page says nothing that no run has shown; a test compares it with the records.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from faults.kafka import Kind
from faults.outcome import Record, format_figure, load_records

HEAD: Final = """\
# Reliability: what was broken on purpose, and what came of it

Each row is a play against a real Apache Kafka and the real WebSocket simulator, both processes of
the play's own, with a seeded script. At the end a consumer reads `ticks`, `ticks.dlq` and
`feed.events`, and its numbers are held against what the journal and the simulator say: **lost**
(numbered packets that are in neither topic), **duplicated** (after the filter that every consumer
can use), **reordered** (per instrument), and **silences without a gap event** (a change of the feed
session, or twenty seconds without a tick, that no gap covers from the last frame to the next one).

Where several bridges share the instruments (16), what was on its way while a shard changed hands
may be missing within the gap event, and nowhere else.

`make faults` plays everything but the soak, `make soak` the soak; the short forms are tests
(`apps/ws_bridge/tests/test_faults.py`). `ARGS="--all --kafka hardened"` plays them on a Kafka with
TLS, users, rights and small limits. With `RECORD=docs/reliability.jsonl` the verbs write their
figures [there](reliability.jsonl) and this page from them; a test holds the two together. The runs
below shared two cores with other work: their seconds tell an order of magnitude, no more.

"""

TRIED: Final = (
    (
        "Heartbeats and no tick from the first moment on, without a rate from yesterday",
        "a gap after 30 s, another connection after 60 s",
        "packages/broker_zerodha/tests/test_session_live.py",
        "mute",
    ),
    (
        "A Kite that shares no code with ours accepts a subscription and sends heartbeats alone",
        "a problem in `/readyz` and a gap after 30 s, another connection after 60 s",
        "apps/ws_bridge/tests/test_foreign_kite.py",
        "kite_that_is_mute",
    ),
    (
        "It sends garbage, wrong lengths, 65,535 empty packets, nested texts, many texts, parts; "
        "or frames of 12 MB",
        "dead letters and events; no connection ends, each good tick is in Kafka; 300 MiB",
        "apps/ws_bridge/tests/test_foreign_kite.py",
        "connection_survives",
    ),
    (
        "It breaks RFC 6455 in ten ways, ends in mid frame, resets the connection",
        "each good tick before it is in Kafka, each end is a closed gap",
        "apps/ws_bridge/tests/test_foreign_kite.py",
        "that_is_ended",
    ),
    (
        "It answers 301, 302, 403, 429, 503, SSH, or a wrong `Sec-WebSocket-Accept`",
        "tried again, no redirect followed, no alarm for one 403; one closed gap",
        "apps/ws_bridge/tests/test_foreign_kite.py",
        "open_no_connection",
    ),
    (
        "It sends 600,000 ticks as fast as the socket takes them",
        "all are in Kafka; with 4 MiB of journal and no Kafka, sent = published + counted as lost",
        "apps/ws_bridge/tests/test_foreign_kite.py",
        "flood",
    ),
    (
        "Kite reports an error as a text message",
        "an event, and a counter by cause",
        "packages/live_feed/tests/test_intake.py",
        "an_error_of_kite",
    ),
    (
        "Instruments fall silent while others go on, and while Kafka is away",
        "one STALE event a minute with a list; an outage of Kafka makes none stale",
        "packages/broker_zerodha/tests/test_session_live.py",
        "become_stale",
    ),
    (
        "The schema registry is away at the start, refuses with 401, then answers",
        "ticks are journaled and published once it answers; a refusal at the start ends with 78",
        "apps/ws_bridge/tests/test_registry_away.py",
        "registry",
    ),
    (
        "A key of the registry that may only look up; a reader; a program with few contracts",
        "nothing is registered that the program does not write, and nothing with `never`",
        "packages/kafka_io/tests/test_registry.py",
        "'registered or registers or look_up'",
    ),
    (
        "Order postbacks with `checksum` and tokens, and a flood of them",
        "never in a log; off by default, else in `orders.updates` without secrets",
        "packages/live_feed/tests/test_order_updates.py",
        "postback",
    ),
    (
        "A CONNECT proxy with a password, that refuses, is dead, or speaks SOCKS; an unknown CA",
        "WebSocket and REST obey the same variables; a sentence with the remedy",
        "packages/broker_zerodha/tests/test_network.py",
        "'obey or proxy or authority'",
    ),
    (
        "A Kafka with certificates, SCRAM or OAUTHBEARER, and topics that may not be described",
        "`devstack topics` and the apps take the same settings; a missing right is called one",
        "packages/devstack/tests/test_secured_kafka.py",
        "'certificate or scram or described or token'",
    ),
    (
        "`ticks` is deleted and comes back with one partition of six",
        "no client of ours makes a topic; an event, and not ready",
        "packages/live_feed/tests/test_partition_watch.py",
        "'smaller or makes'",
    ),
    (
        "Two bridges of one name with two journals",
        "a problem in `/readyz` and an error in the log of the older one, until one ends",
        "packages/live_feed/tests/test_namesakes.py",
        "bridge",
    ),
    (
        "The host's clock is off, and Kafka refuses the time of the records",
        "named with both times, no restart of the producer; published when it is right",
        "packages/live_feed/tests/test_clock_refused.py",
        "clock",
    ),
    (
        "200 places of a journal: a segment cut, zeroed, flipped or removed",
        "each is a counted damage with a gap; every other frame is read once",
        "packages/live_feed/tests/test_journal_gone.py",
        "each_change",
    ),
    (
        "The journal is full, and the run ends by SIGKILL or SIGTERM; or its folder is deleted",
        "events have room; what was lost is an event of this run or the next",
        "packages/live_feed/tests/test_journal_full.py",
        "'lost or loss or room or deleted'",
    ),
    (
        "`ticks` takes batches of 256 KiB or 64 KiB at most, after an outage",
        "the backlog catches up; lost = duplicated = reordered = 0",
        "packages/live_feed/tests/test_batch_limit.py",
        "catches_up",
    ),
    (
        "stderr is a full disk, a pipe without a reader, or a pipe that is not read",
        "the program neither stops nor ends; what was dropped is counted",
        "packages/runtime/tests/test_what_is_printed.py",
        "log_that_nobody_takes",
    ),
    (
        "300 connections to the page of `dlq_triage`, silent or with half a request or form",
        "it answers at once, each is closed within 10 s, SIGTERM ends it within 5 s",
        "apps/dlq_triage/tests/test_page_command.py",
        "silent",
    ),
    (
        "100 connections to the metrics port of `run` or `consume`, silent or with half a request",
        "the pages answer at once, and the end is not held up",
        "packages/live_feed/tests/test_http.py",
        "silent",
    ),
    (
        "`consume` behind a lock on the tables of dead letters",
        "`/readyz` is 503 with the reason, `/healthz` 200, SIGTERM ends it, nothing is committed",
        "apps/dlq_triage/tests/test_store_commands.py",
        "lock",
    ),
    (
        "The loop of `consume` stands still",
        "`/healthz` is 503 after 5 s, but not while Kafka or Postgres is away",
        "packages/dead_letters/tests/test_intake_restored.py",
        "frozen",
    ),
    (
        "The loop of the bridge stands still",
        "`/healthz` is 503 after 5 s until it turns again",
        "apps/ws_bridge/tests/test_pulse.py",
        "still",
    ),
    (
        "Postgres is restored from a backup older than the progress of `consume`",
        "the letters between are read again and stored once; what Kafka removed is counted",
        "packages/dead_letters/tests/test_intake_restored.py",
        "'backup or restored or removed'",
    ),
    (
        "`instruments sync --file` of a gzip of 1 MB, 100 members, 1 GB unpacked",
        "refused with a sentence, 64 MiB unpacked at most",
        "packages/broker_zerodha/tests/test_instrument_dump.py",
        "master",
    ),
    (
        "Two dumps into one file, at once and in the moment in which the first ends",
        "the second is refused (75), the first is whole",
        "apps/dlq_triage/tests/test_dump_parts.py",
        "dump",
    ),
    (
        "A subscription file becomes a FIFO, a device, or has a token of 5,020 digits",
        "the bridge goes on with its plan and names what is wrong",
        "apps/ws_bridge/tests/test_subscription_watch.py",
        "'version or defect'",
    ),
    (
        "token.json is a FIFO, a device, a Kubernetes secret, or holds a lone surrogate",
        "used where it is private, else refused with a sentence",
        "packages/broker_zerodha/tests/test_token_file.py",
        "'refused or may_read'",
    ),
    (
        "Kite answers the handshake with a redirect, 429 with Retry-After, or one 403",
        "not followed; obeyed; tried again before it is an alarm",
        "packages/broker_zerodha/tests/test_session_live.py",
        "'redirect or retry_after or token'",
    ),
    (
        "Journal and refused records are made under umask 000",
        "private",
        "packages/live_feed/tests/test_journal_writer.py",
        "umask",
    ),
    (
        "A segment that Kite does not document; an instrument that never traded",
        "a dead letter; no time of a trade in 1970",
        "packages/broker_zerodha/tests/test_decode_frames.py",
        "'document or 1970'",
    ),
    (
        "Kite sends texts nested 480 to 100,000 levels deep and 300,000 texts with escapes",
        "frames go on, `/healthz` stays 200, less than 1 MB of log, no terminal obeys anything",
        "apps/ws_bridge/tests/test_hostile_feed.py",
        "texts",
    ),
    (
        "Kite refuses the handshake (403) with terminal escapes in its answer",
        "`status`, `status --json` and `tail` show them as text",
        "apps/ws_bridge/tests/test_hostile_feed.py",
        "refusal",
    ),
    (
        "Dead letters with escapes in value, key and the headers of every dialect",
        "`dump`, `groups`, `show`, `redrive` and their JSON show them as text on a terminal",
        "apps/dlq_triage/tests/test_hostile_letters.py",
        "terminal",
    ),
    (
        "Dead letters nested 253, 600 and 1,000 levels deep, and 100,000 brackets",
        "each has its line and its row, and none hides the others",
        "apps/dlq_triage/tests/test_hostile_letters.py",
        "nested",
    ),
    (
        "The same on the page",
        "each has its page, its line and its bytes",
        "packages/dead_letters/tests/test_page_app.py",
        "nested",
    ),
)
"""Fault, promise, the file and the name of the tests that stage it."""

TRIED_HEAD: Final = """
## Shown by tests

Faults with no stream to hold against another one. Each row is a test, and the promise is kept.

| Fault | Promise | Command |
|---|---|---|
"""

TAIL: Final = """
## What is not shown here

- One broker process acknowledges from the page cache: killed, it loses nothing; a machine that
  loses its power would. Against that Kafka needs three replicas and `min.insync.replicas=2`.
- A power failure of the bridge's host may take what was not synced yet
  (`WS_BRIDGE_JOURNAL_SYNC`, one second by default).
- What Kite sends while no connection is up is received by nobody. It is told as a gap, with tokens
  and bounds, for the history to fill.
- Kite itself: the simulator follows its documents and the official client, which runs against it
  unchanged.
"""


HARDENED_HEAD: Final = """
## On a hardened Kafka

The same plays, with `--kafka hardened`: the bridge and the reader come over SASL_SSL with
SCRAM-SHA-512, each with no right but [those it needs](operating.md#the-rights-it-needs-in-kafka),
and the broker takes batches of 256 KiB at most. All figures: [records](reliability.jsonl).

| # | Fault | Kept | lost | dup. | reord. | uncovered silences | s |
|---|---|---|---|---|---|---|---:|
"""


def page(records: list[Record]) -> str:
    """The whole page."""
    plain = [each for each in records if each.kafka == Kind.PLAIN]
    hardened = [each for each in records if each.kafka == Kind.HARDENED]
    return _plays(plain) + _on_hardened(hardened) + _tried() + TAIL


def _plays(records: list[Record]) -> str:
    rows = ["| # | Fault | Promise | Kept | lost | dup. | reord. | uncovered silences |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for each in records:
        figures = [_figure(each, name) for name in _COLUMNS]
        link = f"[{each.title}](#{each.name})"
        kept = "yes" if each.passed else "**no**"
        rows.append(
            f"| {each.number} | {link} | {each.invariant} | {kept} | " + " | ".join(figures) + " |"
        )
    details = "\n".join(map(_detail, records))
    return HEAD + "\n".join(rows) + "\n\n## Figures\n\n" + details


def _on_hardened(records: list[Record]) -> str:
    rows = []
    for each in records:
        kept = "yes" if each.passed else f"**no**: {'; '.join(each.problems)}"
        figures = " | ".join(_figure(each, name) for name in _COLUMNS)
        link = f"[{each.title}](#{each.name})"
        rows.append(f"| {each.number} | {link} | {kept} | {figures} | {each.seconds:,.0f} |\n")
    return HARDENED_HEAD + "".join(rows)


_COLUMNS: Final = ("lost", "duplicated", "reordered", "silences without a gap event")


def _figure(record: Record, name: str) -> str:
    return format_figure(record.figures[name]) if name in record.figures else ""


def _detail(record: Record) -> str:
    lines = [f"### {record.name}", "", f"{record.title}. Promise: {record.invariant}.", ""]
    lines += ["| Figure | Value |", "|---|---:|"]
    lines += [f"| {name} | {format_figure(value)} |" for name, value in record.figures.items()]
    lines += ["", f"`{record.command}` ({record.seconds:,.0f} s)", ""]
    lines += [f"**Broken:** {problem}\n" for problem in record.problems]
    return "\n".join(lines)


def _tried() -> str:
    rows = [
        f"| {fault} | {promise} | `./pants test {file} -- -k {name}` |\n"
        for fault, promise, file, name in TRIED
    ]
    return TRIED_HEAD + "".join(rows)


def write_page(records: Path) -> None:
    """Write the page beside the records. Raises ValueError for a row whose test is not there."""
    missing = missing_tests(records.resolve().parents[1])
    if missing:
        raise ValueError(f"docs/reliability.md names tests that are not there: {missing}")
    records.with_suffix(".md").write_text(page(load_records(records)), "utf-8")


def missing_tests(root: Path) -> list[str]:
    """The tests of ``TRIED`` that the checkout at ``root`` does not have."""
    return [f"{file} -k {name}" for _, _, file, name in TRIED if not _is_there(root / file, name)]


def _is_there(path: Path, name: str) -> bool:
    """Whether each alternative of ``name`` is in the name of a test, or in a case of one."""
    text = path.read_text("utf-8") if path.is_file() else ""
    return all(
        re.search(rf'(def test_|")[^"\n(]*{re.escape(word)}', text)
        for word in name.strip("'").split(" or ")
    )
