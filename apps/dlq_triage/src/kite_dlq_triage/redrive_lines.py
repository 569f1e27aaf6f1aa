"""What ``redrive`` prints: a line for each failure, its progress, the counts at the end."""

from __future__ import annotations

import time
from typing import Any, Final

import orjson
from rich.markup import escape

from kite_dead_letters.json_lines import to_json
from kite_dead_letters.redrive import Action, Report, Step
from kite_dead_letters.redrive.transforms import (
    MISSING,
)
from kite_runtime.console import clean_json, say, stdout

CHANGES_SHOWN: Final = 8
SAY_EVERY_S: Final = 2.0
_WOULD: Final = {
    Action.REDRIVE: ("sent to", "would go to"),
    Action.REPAIR: ("sent to", "would go to"),
    Action.QUARANTINE: ("quarantined in", "would be quarantined in"),
    Action.REFUSE: ("refused", "would be refused"),
    Action.SKIP: ("passed over", "would be passed over"),
}


class Progress:
    """A line now and then on stderr."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._next_s = time.monotonic() + SAY_EVERY_S

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + SAY_EVERY_S
            say(f"{self._done:,} of {self._total:,}")


def print_step(step: Step, as_json: bool, *, done: bool) -> None:
    """One line of results, and the changes below it."""
    if as_json:
        print(clean_json(orjson.dumps(step_object(step), to_json).decode()))
        return
    record = step.failure.record
    said = _WOULD[step.action][0 if done else 1]
    target = f" {step.target}" if step.target else ""
    attempt = f" as try {step.attempt}" if step.attempt else ""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    line = f"{step.failure.failure_id} ({place}) {said}{target}{attempt}: {step.why}"
    stdout.print(escape(line), soft_wrap=True)
    for change in step.changes[:CHANGES_SHOWN]:
        before, after = _value(change.before), _value(change.after)
        stdout.print(escape(f"    {change.path}: {before} becomes {after}"), soft_wrap=True)
    if len(step.changes) > CHANGES_SHOWN:
        stdout.print(f"    … and {len(step.changes) - CHANGES_SHOWN} more changes")
    if step.stripped and not done:
        names = ", ".join(step.stripped)
        stdout.print(escape(f"    without the headers {names}"), soft_wrap=True)


def step_object(step: Step) -> dict[str, Any]:
    """One step as machines read it."""
    record = step.failure.record
    return {
        "failure_id": step.failure.failure_id,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "action": step.action,
        "target": step.target,
        "attempt": step.attempt or None,
        "why": step.why,
        "stripped": list(step.stripped),
        "changes": [
            {"path": each.path, "before": _plain(each.before), "after": _plain(each.after)}
            for each in step.changes
        ],
    }


def _value(value: Any) -> str:
    return "nothing" if value is MISSING else orjson.dumps(value, to_json).decode()


def _plain(value: Any) -> Any:
    return None if value is MISSING else value


def print_summary(report: Report, as_json: bool, *, done: bool) -> None:
    """The counts: the last JSON object, or lines on stderr."""
    counts = {str(action): report.actions[action] for action in Action}
    if as_json:
        document = {
            **counts,
            "refusals": dict(report.refusals.most_common(20)),
            "resent": report.resent,
            "in_doubt": report.in_doubt,
            "dry_run": not done,
        }
        print(clean_json(orjson.dumps({"summary": document}).decode()))
        return
    said = ", ".join(f"{count:,} {action}" for action, count in counts.items() if count)
    say(f"{'done' if done else 'dry run'}: {said or 'no open failure is meant'}")
    for why, count in report.refusals.most_common(5):
        say(f"  {count:,} refused: {why}")
    if report.resent:
        say(f"  {report.resent:,} that an earlier redrive had left in doubt were sent again")
    if report.in_doubt:
        say(f"  {report.in_doubt:,} are in doubt: run it again, and they are sent first")
    if not done and any(count for action, count in counts.items() if action != Action.SKIP):
        say("nothing was written; --yes does it")
