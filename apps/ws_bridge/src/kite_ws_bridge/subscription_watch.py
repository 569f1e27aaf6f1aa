"""Reads the subscription files again when they change; a broken version keeps the old plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import structlog

from kite_broker_zerodha.subscriptions import (
    EMPTY_PLAN,
    SHARD_TOKENS_MAX,
    SHARDS_MAX,
    Instrument,
    Plan,
    PlanError,
    Subscription,
    SubscriptionFileError,
    diff,
    load_subscriptions,
    make_plan,
)
from kite_live_feed.shards import shard_plan
from kite_runtime.clock import today

log = structlog.get_logger()

Stamp = tuple[tuple[int, ...], ...]


def _expired(found: Sequence[Instrument], day: date) -> str | None:
    gone = [each for each in found if each.expiry is not None and each.expiry < day]
    if not gone:
        return None
    first = min(gone, key=lambda each: (each.expiry, each.name))
    return (
        f"{len(gone):,} of {len(found):,} subscriptions have expired, such as "
        f"{':'.join(first.name)} on {first.expiry}: Kite gives their tokens to other contracts; "
        "`instruments export` makes the files of today"
    )


class SubscriptionWatch:
    """``changed`` gives a new plan when the files hold one. ``problem`` is why the newest version
    is not used, None when it is. ``day`` is the one in India."""

    def __init__(
        self,
        tokens_file: Path,
        universe_files: Sequence[Path],
        shards: int | None = None,
        day: Callable[[], date] = today,
    ) -> None:
        """``shards`` shares the instruments out among several bridges."""
        self._shards = shards
        self._day = day
        self.problem: str | None = None
        self.warning: str | None = None
        """About contracts of the version in use that have expired."""
        self._used: Sequence[Instrument] = ()
        self._checked: date | None = None
        """The day of the warning."""
        self._tokens_file = tokens_file
        self._universe_files = tuple(universe_files)
        self._stamp = self._look()
        self._homes: dict[int, int] = {}
        """Token → the shard that carried it last."""

    def load(self) -> Plan:
        """The plan of the files as they are. Raises SubscriptionFileError and PlanError."""
        return self._plan(EMPTY_PLAN)

    def changed(self, plan: Plan) -> Plan | None:
        """The plan of the files if it differs from ``plan``; tokens keep their connections. On a
        new day, whether contracts have expired is logged even if no file has changed."""
        stamp = self._look()
        if stamp == self._stamp:
            if self._day() != self._checked:
                self._check_expiry()
                if self.warning is not None:
                    log.warning("subscriptions have expired", reason=self.warning)
            return None
        self._stamp = stamp
        try:
            new = self._plan(plan)
        except Exception as error:
            foreseen = isinstance(error, SubscriptionFileError | PlanError)
            # A defect of ours does not end the watching: the next version may be readable.
            self.problem = str(error) if foreseen else f"a defect of ws_bridge: {error!r}"[:500]
            log.error("the changed subscription is not used", reason=self.problem)
            return None
        self.problem = None
        if self.warning is not None:
            log.warning("the changed subscription is used", reason=self.warning)
        return new if diff(plan, new) else None

    def _plan(self, previous: Plan) -> Plan:
        requested = self._requested()
        if self._shards is not None:
            return shard_plan(requested, self._shards)
        plan = make_plan(requested, previous, self._homes)
        for number, shard in enumerate(plan.shards):
            self._homes.update(dict.fromkeys(shard, number))
        return plan

    def _requested(self) -> list[Subscription]:
        """What the files ask for, if that many connections can carry it."""
        found = load_subscriptions(self._tokens_file, self._universe_files)
        connections = SHARDS_MAX if self._shards is None else self._shards
        most = connections * SHARD_TOKENS_MAX
        if len(found) > most:
            raise SubscriptionFileError(
                (self._tokens_file, *self._universe_files)[-1],
                None,
                f"{len(found)} instruments are {len(found) - most} more than Kite takes "
                f"({connections} connections with {SHARD_TOKENS_MAX} each)",
                "remove some, name a universe file in WS_BRIDGE_UNIVERSE, or share them out among "
                "several bridges (WS_BRIDGE_SHARDS)",
            )
        self._used = found
        self._check_expiry()
        return [each.subscription for each in found]

    def _check_expiry(self) -> None:
        self._checked = self._day()
        self.warning = _expired(self._used, self._checked)

    def _look(self) -> Stamp:
        """What distinguishes a file from its next version; empty where there is none.

        A file that was renamed over another may have the size and time of the other (``cp -p``,
        ``rsync -t``), but never its inode and time of status change.
        """
        found: list[tuple[int, ...]] = []
        for path in (self._tokens_file, *self._universe_files):
            try:
                status = path.stat()
                found.append(
                    (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
                )
            except OSError:
                found.append(())
        return tuple(found)
