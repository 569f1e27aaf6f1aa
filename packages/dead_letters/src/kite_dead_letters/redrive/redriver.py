"""The whole redrive: choose, decide, reserve, produce, settle. Callable without a command line."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from kite_bars_store.failures import Entry, FailureStore, Outcome, RedriveLedger, Run, Selection
from kite_dead_letters.redrive.corrections import Unfit
from kite_dead_letters.redrive.outbox import Outbox
from kite_dead_letters.redrive.plan import Action, Planner, Step
from kite_dead_letters.redrive.transforms import Transform

PAGE_ROWS: Final = 2_000
"""Failures that are reserved and settled together: each page costs a few transactions."""


@dataclass
class Report:
    """What a redrive did, or would do: failures by action.

    ``resent`` are records that an earlier run had left in doubt. ``in_doubt`` are those that this
    one leaves.
    """

    actions: Counter[Action] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    resent: int = 0
    in_doubt: int = 0
    stopped: bool = False

    def add(self, step: Step) -> None:
        """Count one step."""
        self.actions[step.action] += 1
        if step.action is Action.REFUSE:
            self.refusals[step.why] += 1


@dataclass
class Redriver:
    """``preview`` shows what would be done; ``execute`` does it, at least once and with one effect.

    ``now_ns`` is the clock that ages are measured by.
    """

    store: FailureStore
    ledger: RedriveLedger
    planner: Planner
    now_ns: Callable[[], int] = time.time_ns

    def preview(self, chosen: Selection) -> Iterator[Step]:
        """A step for each failure chosen, by id; reads only."""
        for steps in self._pages(self._frozen(chosen)):
            yield from steps

    def execute(
        self,
        chosen: Selection,
        outbox: Outbox,
        who: str,
        *,
        note: str = "",
        transform: Transform | None = None,
        on_step: Callable[[Step], None] = lambda step: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Report:
        """Send back what is fit, quarantine what was tried too often, note why the rest is refused.

        ``on_step`` is called with each step when it is done. First it sends what an earlier run
        left in doubt. Raises TryAgainLater and the errors of store and Kafka; called again it goes
        on where it was. One redrive at a time: raises
        DatabaseBusy when another is at work.
        """
        report = Report()
        with self.ledger.alone():
            report.resent = self.resend(outbox, who, stopped)
            if stopped():
                report.stopped, report.in_doubt = True, self.ledger.count_reserved()
                return report
            run = self.ledger.begin(
                who,
                _described(chosen),
                note=note,
                transform=transform.name if transform else None,
                transform_sha256=transform.sha256 if transform else None,
            )
            position = 0
            for steps in self._pages(self._frozen(chosen)):
                position = self._page(steps, run, position, outbox, who, report, on_step)
                if stopped():
                    report.stopped = True
                    break
            report.in_doubt = self.ledger.count_reserved()
        return report

    def resend(self, outbox: Outbox, who: str, stopped: Callable[[], bool] = lambda: False) -> int:
        """Produce and settle every line in doubt, in the order of before; returns how many.

        Each goes where it was reserved for, however late: elsewhere it could be there twice.
        """
        count = 0
        after: Entry | None = None
        while not stopped() and (entries := self.ledger.reserved(after)):
            count += self.ledger.settle(outbox.send(entries), who)
            after = entries[-1]
        return count

    def _page(
        self,
        steps: list[Step],
        run: Run,
        position: int,
        outbox: Outbox,
        who: str,
        report: Report,
        on_step: Callable[[Step], None],
    ) -> int:
        entries: list[Entry] = []
        refusals: dict[int, str] = {}
        outcomes: dict[int, Step] = {}
        for step in steps:
            each = step
            if step.target is not None:
                try:
                    entries.append(self.planner.entry(step, run, position + 1))
                    position += 1
                except Unfit as exc:
                    each = _refused(step, str(exc))
            if each.action is Action.REFUSE:
                refusals[each.failure.failure_id] = each.why
            outcomes[each.failure.failure_id] = each
        if refusals:
            self.ledger.refuse(refusals, who)
        outcome = self._send(entries, outbox, who, outcomes)
        for entry in entries:
            if entry.redrive_id in outcome.refused:
                step = outcomes[entry.failure_id]
                outcomes[entry.failure_id] = _refused(step, outcome.refused[entry.redrive_id])
        for each in outcomes.values():
            report.add(each)
            on_step(each)
        return position

    def _send(
        self, entries: list[Entry], outbox: Outbox, who: str, outcomes: dict[int, Step]
    ) -> Outcome:
        if not entries:
            return Outcome()
        outbox.check([entry.target for entry in entries])
        taken = self.ledger.reserve(entries)
        for entry in entries:
            if entry.redrive_id not in taken:
                step = outcomes[entry.failure_id]
                why = "it was settled in the meantime"
                outcomes[entry.failure_id] = replace(step, action=Action.SKIP, why=why)
        outcome = outbox.send([entry for entry in entries if entry.redrive_id in taken])
        self.ledger.settle(outcome, who)
        return outcome

    def _pages(self, chosen: Selection) -> Iterator[list[Step]]:
        after = 0
        while page := self.store.page(chosen, after=after, limit=PAGE_ROWS):
            after = page[-1].failure_id
            sent = self.ledger.times_sent(each.failure_id for each in page)
            now_ns = self.now_ns()
            yield [self.planner.step(each, sent.get(each.failure_id, 0), now_ns) for each in page]

    def _frozen(self, chosen: Selection) -> Selection:
        """Never past what is stored now: what a redrive sends may come back as a new failure."""
        last = self.store.last_id()
        return replace(chosen, up_to=last if chosen.up_to is None else min(last, chosen.up_to))


def _refused(step: Step, why: str) -> Step:
    return replace(step, action=Action.REFUSE, why=why, target=None)


def _described(chosen: Selection) -> Mapping[str, Any]:
    return {name: value for name, value in chosen.params().items() if value is not None}
