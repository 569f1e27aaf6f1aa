"""Bars as history: what each source observed, the golden series, and what was known when.

    rules, calendar = load_rules(), SessionCalendar.load()
    store = BarStore(connection, rules, calendar)
    sbin = BarInstrument("NSE", "SBIN", price_scale=2, tick_size=5)
    store.merge([SourceBars("kite", "m1", [sbin], BarColumns.of(rows))])
    store.read_bars(["NSE:SBIN"], since, until, "m15", as_of=then).to_pandas()

Rules and verdicts are explained in docs/bars.md.
"""

from kite_bars_store.bars.columns import INTERVALS, NO_OI, BarColumns, BarInstrument, SourceBars
from kite_bars_store.bars.reading import BAR_SCHEMA, DERIVED_SCHEMA
from kite_bars_store.bars.records import (
    BarStory,
    BatchResult,
    Field,
    Flag,
    Gap,
    GoldenBar,
    GoldenCount,
    MergeResult,
    Observation,
    RefusedRow,
    RestatedStretch,
    Role,
    Verdict,
)
from kite_bars_store.bars.rules import Limits, MergeRules, load_rules, parse_rules
from kite_bars_store.bars.screening import Refusal, RefusedBar, Screened, screen
from kite_bars_store.bars.store import REVISION, BarStore
from kite_bars_store.bars.survey import BarSurvey, Conflict, GapLedger, ObservedBar, Surveyed

__all__ = [
    "BAR_SCHEMA",
    "DERIVED_SCHEMA",
    "INTERVALS",
    "NO_OI",
    "REVISION",
    "BarColumns",
    "BarInstrument",
    "BarStore",
    "BarStory",
    "BarSurvey",
    "BatchResult",
    "Conflict",
    "Field",
    "Flag",
    "Gap",
    "GapLedger",
    "GoldenBar",
    "GoldenCount",
    "Limits",
    "MergeResult",
    "MergeRules",
    "Observation",
    "Refusal",
    "RefusedBar",
    "RefusedRow",
    "RestatedStretch",
    "Role",
    "ObservedBar",
    "Screened",
    "SourceBars",
    "Surveyed",
    "Verdict",
    "load_rules",
    "parse_rules",
    "screen",
]
