-- Bars. Truth: bar_batch, bar_observation, bar_revision, bar_decision. Projection: bars_1m, bars_1d.
-- {golden} is one of these two.

-- name: tune
-- For this transaction. Compiling these statements takes longer than running them.
SELECT set_config('work_mem', %(work_mem)s, true), set_config('jit', 'off', true)

-- name: find_instruments
SELECT i.exchange, i.tradingsymbol, i.instrument_id
FROM bar_instrument i
JOIN unnest(%(exchanges)s::text[], %(tradingsymbols)s::text[]) AS w (exchange, tradingsymbol)
    USING (exchange, tradingsymbol)

-- name: add_instruments
-- Under a lock, with those alone that are missing: a conflict would use up numbers.
INSERT INTO bar_instrument (exchange, tradingsymbol)
SELECT w.exchange, w.tradingsymbol
FROM unnest(%(exchanges)s::text[], %(tradingsymbols)s::text[]) AS w (exchange, tradingsymbol)
WHERE NOT EXISTS (
    SELECT FROM bar_instrument i
    WHERE i.exchange = w.exchange AND i.tradingsymbol = w.tradingsymbol
)
GROUP BY 1, 2
ORDER BY 1, 2

-- name: name_instruments
SELECT instrument_id, exchange, tradingsymbol FROM bar_instrument
WHERE instrument_id = ANY (%(ids)s::integer[]) ORDER BY instrument_id

-- name: sources
SELECT source, source_id FROM bar_source

-- name: add_sources
INSERT INTO bar_source (source)
SELECT w.source FROM unnest(%(sources)s::text[]) AS w (source)
WHERE NOT EXISTS (SELECT FROM bar_source s WHERE s.source = w.source)
ORDER BY 1

-- name: add_rules
INSERT INTO bar_rules (rules_sha256, rules, first_used)
SELECT %(sha256)s, %(rules)s, clock_timestamp()
WHERE NOT EXISTS (SELECT FROM bar_rules WHERE rules_sha256 = %(sha256)s)

-- name: make_month
SELECT make_bar_month(%(month)s)

-- name: read_observations
-- All observations of the bars of a span that were recorded until known_at, with the latest purpose.
SELECT o.ts_open, o.batch_id, o.open, o.high, o.low, o.close, o.volume, coalesce(o.oi, -1),
       o.instrument_id, o.tick_size, o.source_id, o.price_scale
FROM bar_observation o
WHERE o.minutes = %(minutes)s AND o.instrument_id = ANY (%(ids)s::integer[])
  AND o.ts_open >= %(since)s AND o.ts_open < %(until)s

-- name: batches_of_month
-- What is not in the observations themselves: the purpose, and when it was recorded.
SELECT batch_id, purpose = 'heal', recorded_at > %(known_at)s
FROM bar_batch
WHERE minutes = %(minutes)s AND month = %(month)s
  AND (purpose = 'heal' OR recorded_at > %(known_at)s)

-- name: read_revisions
-- Those that do not count: they are not accepted, or the last decision rejects them.
SELECT r.batch_id, r.instrument_id, r.source_id, r.first_open, r.last_open, d.accepted
FROM bar_revision r
JOIN bar_batch b USING (batch_id)
LEFT JOIN LATERAL (
    SELECT accepted FROM bar_decision d
    WHERE d.batch_id = r.batch_id AND d.instrument_id = r.instrument_id
      AND d.decided_at <= %(known_at)s
    ORDER BY d.decision_id DESC LIMIT 1
) d ON true
WHERE r.instrument_id = ANY (%(ids)s::integer[]) AND r.minutes = %(minutes)s
  AND r.first_open < %(until)s AND r.last_open >= %(since)s
  AND b.recorded_at <= %(known_at)s AND d.accepted IS NOT TRUE
ORDER BY r.batch_id, r.instrument_id

-- name: is_known
-- Whether these very bars were recorded, and nothing by the source about any of them since.
SELECT EXISTS (
    SELECT FROM bar_batch b
    WHERE b.source_id = %(source_id)s AND b.minutes = %(minutes)s AND b.month = %(month)s
      AND b.content_sha256 = %(content_sha256)s
      AND NOT EXISTS (
          SELECT FROM bar_batch l
          WHERE l.source_id = b.source_id AND l.minutes = b.minutes AND l.month = b.month
            AND l.batch_id > b.batch_id AND l.added + l.revised > 0
            AND l.first_instrument <= b.last_instrument
            AND l.last_instrument >= b.first_instrument
            AND l.first_open <= b.last_open AND l.last_open >= b.first_open
      )
)

-- name: next_batch
SELECT nextval(pg_get_serial_sequence('bar_batch', 'batch_id'))

-- name: append_batch
-- Under the lock that makes recorded_at rise in the order of COMMIT.
INSERT INTO bar_batch (
    batch_id, source_id, minutes, month, purpose, first_instrument, last_instrument, first_open,
    last_open, started_at, content_sha256, file_sha256, file_name, rules_sha256, rows_good, rows_refused, added, revised,
    unchanged, parameters, recorded_at
)
OVERRIDING SYSTEM VALUE
VALUES (
    %(batch_id)s, %(source_id)s, %(minutes)s, %(month)s, %(purpose)s,
    %(first_instrument)s, %(last_instrument)s, %(first_open)s, %(last_open)s, now(), %(content_sha256)s, %(file_sha256)s, %(file_name)s, %(rules_sha256)s,
    %(rows_good)s, %(rows_refused)s, %(added)s, %(revised)s, %(unchanged)s, %(parameters)s,
    greatest(
        clock_timestamp(), (SELECT max(recorded_at) FROM bar_batch) + interval '1 microsecond'
    )
)

-- name: append_revision
INSERT INTO bar_revision (
    batch_id, instrument_id, source_id, minutes, first_open, last_open, bars, ratio
)
VALUES (
    %(batch_id)s, %(instrument_id)s, %(source_id)s, %(minutes)s, %(first_open)s, %(last_open)s,
    %(bars)s, %(ratio)s
)

-- name: read_golden
SELECT ts_open, batch_id, coalesce(other_batch_id, 0), open, high, low, close, volume,
       coalesce(oi, -1), instrument_id, flags, price_scale, verdict, differs, from_other,
       session_minute
FROM {golden}
WHERE instrument_id = ANY (%(ids)s::integer[]) AND ts_open >= %(since)s AND ts_open < %(until)s

-- name: make_staging
CREATE TEMP TABLE bar_staging (LIKE {golden}) ON COMMIT DROP

-- name: upsert_golden
-- In the order of the key, and only what differs: an unguarded update would rewrite every row.
INSERT INTO {golden} AS g (
    ts_open, batch_id, other_batch_id, open, high, low, close, volume, oi, instrument_id, flags,
    price_scale, verdict, differs, from_other, session_minute
)
SELECT ts_open, batch_id, other_batch_id, open, high, low, close, volume, oi, instrument_id, flags,
       price_scale, verdict, differs, from_other, session_minute
FROM bar_staging
ORDER BY instrument_id, ts_open
ON CONFLICT (instrument_id, ts_open) DO UPDATE SET
    (batch_id, other_batch_id, open, high, low, close, volume, oi, flags, price_scale, verdict,
     differs, from_other, session_minute)
    = (excluded.batch_id, excluded.other_batch_id, excluded.open, excluded.high, excluded.low,
       excluded.close, excluded.volume, excluded.oi, excluded.flags, excluded.price_scale,
       excluded.verdict, excluded.differs, excluded.from_other, excluded.session_minute)
WHERE (g.batch_id, g.other_batch_id, g.open, g.high, g.low, g.close, g.volume, g.oi, g.flags,
       g.price_scale, g.verdict, g.differs, g.from_other, g.session_minute)
    IS DISTINCT FROM
    (excluded.batch_id, excluded.other_batch_id, excluded.open, excluded.high, excluded.low,
     excluded.close, excluded.volume, excluded.oi, excluded.flags, excluded.price_scale,
     excluded.verdict, excluded.differs, excluded.from_other, excluded.session_minute)

-- name: delete_golden
DELETE FROM {golden} g
USING unnest(%(ids)s::integer[], %(times)s::timestamptz[]) AS w (instrument_id, ts_open)
WHERE g.instrument_id = w.instrument_id AND g.ts_open = w.ts_open

-- name: delete_strangers
-- Golden bars of instruments that have no observation in the month.
DELETE FROM {golden}
WHERE ts_open >= %(since)s AND ts_open < %(until)s AND instrument_id <> ALL (%(ids)s::integer[])

-- name: clear_golden
DELETE FROM {golden} WHERE ts_open >= %(since)s AND ts_open < %(until)s

-- name: projection
SELECT rules_sha256 FROM bar_projection WHERE minutes = %(minutes)s AND month = %(month)s

-- name: has_batches
SELECT EXISTS (SELECT FROM bar_batch WHERE minutes = %(minutes)s AND month = %(month)s)

-- name: set_projection
INSERT INTO bar_projection (minutes, month, rules_sha256, made_at)
VALUES (%(minutes)s, %(month)s, %(rules_sha256)s, clock_timestamp())
ON CONFLICT (minutes, month) DO UPDATE
SET rules_sha256 = excluded.rules_sha256, made_at = excluded.made_at

-- name: drop_projection
DELETE FROM bar_projection WHERE minutes = %(minutes)s AND month = %(month)s

-- name: mark
SELECT batch_id, recorded_at, (SELECT count(*) FROM bar_batch WHERE revised > 0)
FROM bar_batch ORDER BY batch_id DESC LIMIT 1

-- name: mark_stands
-- The batch is there, as it was; nothing was revised since; all golden bars are by these rules.
SELECT
    EXISTS (SELECT FROM bar_batch WHERE batch_id = %(batch_id)s AND recorded_at = %(recorded_at)s)
    AND (SELECT count(*) FROM bar_batch WHERE revised > 0) = %(revisions)s
    AND NOT EXISTS (
        SELECT FROM (SELECT DISTINCT minutes, month FROM bar_batch) b
        LEFT JOIN bar_projection p USING (minutes, month)
        WHERE p.rules_sha256 IS DISTINCT FROM %(rules_sha256)s
    )

-- name: months
SELECT DISTINCT minutes, month FROM bar_batch ORDER BY 1, 2

-- name: instruments_of_month
SELECT instrument_id, count(*) FROM bar_observation
WHERE minutes = %(minutes)s AND ts_open >= %(since)s AND ts_open < %(until)s
GROUP BY 1 ORDER BY 1

-- name: observations_of_bar
SELECT s.source, o.batch_id, b.recorded_at, b.purpose, o.open, o.high, o.low, o.close, o.volume,
       o.oi, o.price_scale, o.tick_size, b.file_name
FROM bar_observation o
JOIN bar_batch b USING (batch_id)
JOIN bar_source s ON s.source_id = o.source_id
WHERE o.instrument_id = %(instrument_id)s AND o.minutes = %(minutes)s AND o.ts_open = %(ts_open)s
ORDER BY o.batch_id

-- name: revisions
SELECT r.batch_id, i.exchange, i.tradingsymbol, s.source, r.minutes, r.first_open, r.last_open,
       r.bars, r.ratio, b.recorded_at, d.accepted, d.who, d.note
FROM bar_revision r
JOIN bar_batch b USING (batch_id)
JOIN bar_instrument i USING (instrument_id)
JOIN bar_source s ON s.source_id = r.source_id
LEFT JOIN LATERAL (
    SELECT accepted, who, note FROM bar_decision d
    WHERE d.batch_id = r.batch_id AND d.instrument_id = r.instrument_id
    ORDER BY d.decision_id DESC LIMIT 1
) d ON true
WHERE NOT %(undecided)s OR d.accepted IS NULL
ORDER BY r.batch_id, r.instrument_id

-- name: find_revision
SELECT b.minutes, b.month, r.instrument_id
FROM bar_revision r JOIN bar_batch b USING (batch_id) JOIN bar_instrument i USING (instrument_id)
WHERE r.batch_id = %(batch_id)s AND i.exchange = %(exchange)s
  AND i.tradingsymbol = %(tradingsymbol)s

-- name: append_decision
-- The clock is read under the lock of the batches, which keeps times of knowledge in order.
INSERT INTO bar_decision (batch_id, instrument_id, accepted, who, note, decided_at)
VALUES (
    %(batch_id)s, %(instrument_id)s, %(accepted)s, %(who)s, %(note)s,
    greatest(
        clock_timestamp(), (SELECT max(recorded_at) FROM bar_batch) + interval '1 microsecond'
    )
)

-- name: record_gap
INSERT INTO feed_gap (
    gap_id, state, feed, shard, tokens, from_ts, to_ts, cause, happened_at, recorded_at, batch_ids
)
VALUES (
    %(gap_id)s, %(state)s, %(feed)s, %(shard)s, %(tokens)s, %(from_ts)s, %(to_ts)s, %(cause)s,
    %(happened_at)s, clock_timestamp(), %(batch_ids)s
)
ON CONFLICT (gap_id, state) DO NOTHING

-- name: open_gaps
SELECT gap_id, state, feed, shard, tokens, from_ts, to_ts, cause, happened_at
FROM feed_gap_open ORDER BY from_ts, gap_id

-- name: golden_bar
SELECT ts_open, open, high, low, close, volume, oi, price_scale, verdict, flags, differs,
       from_other, batch_id, other_batch_id
FROM {golden}
WHERE instrument_id = %(instrument_id)s AND ts_open = %(ts_open)s
