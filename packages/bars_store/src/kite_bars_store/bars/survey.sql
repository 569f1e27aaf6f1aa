-- Questions about many golden bars at once. {golden} is bars_1m or bars_1d.

-- name: tune
SELECT set_config('work_mem', '64MB', true), set_config('jit', 'off', true)

-- name: names
SELECT exchange, tradingsymbol FROM bar_instrument ORDER BY 1, 2

-- name: with_bars
-- Those of the names (null: all) that have one of {bars} in the span; one look-up each.
SELECT i.instrument_id, i.exchange, i.tradingsymbol
FROM bar_instrument i
WHERE (%(exchanges)s::text[] IS NULL OR (i.exchange, i.tradingsymbol) IN (
        SELECT * FROM unnest(%(exchanges)s::text[], %(tradingsymbols)s::text[])
    ))
  AND EXISTS (
      SELECT FROM {bars} b
      WHERE b.instrument_id = i.instrument_id AND b.ts_open >= %(since)s AND b.ts_open < %(until)s
  )
ORDER BY 2, 3

-- name: observations
-- A read as of a time shows what was known.
(SELECT * FROM bar_observation WHERE minutes = %(minutes)s)

-- name: judged
SELECT ts_open, instrument_id, verdict, flags, (volume > 0)::int::smallint
FROM {golden}
WHERE instrument_id = ANY (%(ids)s::integer[]) AND ts_open >= %(since)s AND ts_open < %(until)s

-- name: conflict_pairs
-- Golden bars whose two observations differ by more than the rules allow, with the largest price
-- difference in basis points of the golden price, and that of the volumes in those of the larger.
SELECT
    g.instrument_id, g.ts_open, g.verdict, g.differs, s.source, t.source,
    w.open, w.high, w.low, w.close, w.volume, w.oi, w.price_scale,
    o.open, o.high, o.low, o.close, o.volume, o.oi, o.price_scale,
    greatest(w.tick_size * a.factor, o.tick_size * b.factor) / 10::numeric ^ 9,
    greatest(
        abs(w.open * a.factor - o.open * b.factor), abs(w.high * a.factor - o.high * b.factor),
        abs(w.low * a.factor - o.low * b.factor), abs(w.close * a.factor - o.close * b.factor)
    ) * 10000 / greatest(abs(w.close * a.factor), 1) AS price_bps,
    abs(w.volume - o.volume)::numeric * 10000 / greatest(w.volume, o.volume, 1) AS volume_bps
FROM {golden} g
JOIN bar_observation w
    ON w.instrument_id = g.instrument_id AND w.minutes = %(minutes)s AND w.ts_open = g.ts_open
    AND w.batch_id = g.batch_id
JOIN bar_observation o
    ON o.instrument_id = g.instrument_id AND o.minutes = %(minutes)s AND o.ts_open = g.ts_open
    AND o.batch_id = g.other_batch_id
JOIN bar_source s ON s.source_id = w.source_id
JOIN bar_source t ON t.source_id = o.source_id,
LATERAL (SELECT 10::numeric ^ (9 - w.price_scale) AS factor) a,
LATERAL (SELECT 10::numeric ^ (9 - o.price_scale) AS factor) b
WHERE g.instrument_id = ANY (%(ids)s::integer[])
  AND g.ts_open >= %(since)s AND g.ts_open < %(until)s
  AND w.ts_open >= %(since)s AND w.ts_open < %(until)s
  AND o.ts_open >= %(since)s AND o.ts_open < %(until)s
  AND g.verdict IN (8, 9, 10, 11)

-- name: conflict_sizes
-- How many conflicts by the class of both differences: 0 is none, 1 up to the first edge, and so on.
SELECT
    CASE WHEN price_bps = 0 THEN 0 ELSE 1 + width_bucket(price_bps, %(price_edges)s::numeric[]) END,
    CASE WHEN volume_bps = 0 THEN 0 ELSE 1 + width_bucket(volume_bps, %(volume_edges)s::numeric[]) END,
    count(*)
FROM ({conflict_pairs}) p
GROUP BY 1, 2
ORDER BY 1, 2

-- name: largest_conflicts
SELECT * FROM ({conflict_pairs}) p
ORDER BY price_bps DESC, volume_bps DESC, ts_open, instrument_id
LIMIT %(limit)s
