-- Instrument history. Truth: instrument_batch and instrument_observation, in which a dump has a row
-- for a symbol only where it says something else than the dump before it (by day, then by
-- batch_id). Projection: instrument_validity. A batch's exchanges bound what it can say.

-- name: tune
-- For this transaction. Compiling these statements takes longer than running them.
SELECT set_config('work_mem', %(work_mem)s, true), set_config('jit', 'off', true)

-- name: make_workplace
-- The dump, what was said before it, how they differ, and the symbols whose ranges are made anew.
CREATE TEMP TABLE instrument_dump (
    exchange text COLLATE "C", tradingsymbol text COLLATE "C", instrument_token bigint,
    exchange_token bigint, name text, expiry date, strike bigint, price_scale smallint,
    tick_size bigint, lot_size integer, instrument_type text COLLATE "C", segment text COLLATE "C"
);
CREATE TEMP TABLE instrument_before (LIKE instrument_dump);
CREATE TEMP TABLE instrument_change (LIKE instrument_dump);
ALTER TABLE instrument_change ADD kind text;
CREATE TEMP TABLE instrument_touched (exchange text COLLATE "C", tradingsymbol text COLLATE "C");

-- name: drop_workplace
DROP TABLE IF EXISTS
    pg_temp.instrument_dump, pg_temp.instrument_before, pg_temp.instrument_change,
    pg_temp.instrument_touched;

-- name: find_batch
-- This very dump, if it was recorded.
SELECT batch_id FROM instrument_batch
WHERE source = %(source)s AND observed_on = %(observed_on)s AND exchanges = %(exchanges)s
  AND content_sha256 = %(content_sha256)s
ORDER BY batch_id DESC
LIMIT 1

-- name: read_before
-- What is listed by the last word on every symbol of these exchanges up to and with this day. All
-- keys descend, so that the primary key read backwards gives this order without a sort.
INSERT INTO instrument_before
SELECT
    exchange, tradingsymbol, instrument_token, exchange_token, name, expiry, strike, price_scale,
    tick_size, lot_size, instrument_type, segment
FROM (
    SELECT DISTINCT ON (o.exchange, o.tradingsymbol) o.*
    FROM instrument_observation o JOIN instrument_batch b ON b.batch_id = o.batch_id
    WHERE b.source = %(source)s AND o.exchange = ANY (%(exchanges)s)
      AND o.observed_on <= %(observed_on)s
    ORDER BY o.exchange DESC, o.tradingsymbol DESC, o.observed_on DESC, o.batch_id DESC
) AS last_word
WHERE listed

-- name: find_changes
INSERT INTO instrument_change
SELECT
    coalesce(d.exchange, b.exchange), coalesce(d.tradingsymbol, b.tradingsymbol),
    d.instrument_token, d.exchange_token, d.name, d.expiry, d.strike, d.price_scale, d.tick_size,
    d.lot_size, d.instrument_type, d.segment,
    CASE
        WHEN b.exchange IS NULL THEN 'added'
        WHEN d.exchange IS NOT NULL THEN 'changed'
        WHEN b.expiry < %(observed_on)s THEN 'expired'
        ELSE 'removed'
    END
FROM instrument_dump d
FULL JOIN instrument_before b
    ON b.exchange = d.exchange AND b.tradingsymbol = d.tradingsymbol
WHERE d.exchange IS NULL OR b.exchange IS NULL
   OR (d.instrument_token, d.exchange_token, d.name, d.expiry, d.strike, d.price_scale,
       d.tick_size, d.lot_size, d.instrument_type, d.segment)
      IS DISTINCT FROM
      (b.instrument_token, b.exchange_token, b.name, b.expiry, b.strike, b.price_scale,
       b.tick_size, b.lot_size, b.instrument_type, b.segment)

-- name: count_changes
SELECT kind, count(*) FROM instrument_change GROUP BY kind

-- name: append_batch
-- recorded_at rises with batch_id even when the clock is set back.
INSERT INTO instrument_batch (
    source, exchanges, observed_on, content_sha256, file_name, rows_read, rows_good, rows_refused,
    added, changed, removed, expired, unchanged, parameters, recorded_at
)
VALUES (
    %(source)s, %(exchanges)s, %(observed_on)s, %(content_sha256)s, %(file_name)s, %(rows_read)s,
    %(rows_good)s, %(rows_refused)s, %(added)s, %(changed)s, %(removed)s, %(expired)s,
    %(unchanged)s, %(parameters)s,
    greatest(
        clock_timestamp(),
        (SELECT max(recorded_at) FROM instrument_batch) + interval '1 microsecond'
    )
)
RETURNING batch_id

-- name: append_observations
-- In the order of the key, which fills its index from left to right.
INSERT INTO instrument_observation (
    batch_id, stated_by, observed_on, listed, exchange, tradingsymbol, instrument_token,
    exchange_token, name, expiry, strike, price_scale, tick_size, lot_size, instrument_type, segment
)
SELECT
    %(batch_id)s, %(batch_id)s, %(observed_on)s, instrument_token IS NOT NULL, exchange,
    tradingsymbol, instrument_token, exchange_token, name, expiry, strike, price_scale, tick_size,
    lot_size, instrument_type, segment
FROM instrument_change
ORDER BY exchange, tradingsymbol

-- name: restate
-- The dump that now follows this one was recorded before it, and has no row for a symbol of which it
-- said what was said before this one. It gets that row now, or it would seem to agree with this one.
WITH following AS (
    SELECT DISTINCT ON (e.exchange) e.exchange, b.batch_id, b.observed_on
    FROM instrument_batch b, unnest(b.exchanges) AS e (exchange)
    WHERE b.source = %(source)s AND b.observed_on > %(observed_on)s
      AND e.exchange = ANY (%(exchanges)s)
    ORDER BY e.exchange, b.observed_on, b.batch_id
)
INSERT INTO instrument_observation (
    batch_id, stated_by, observed_on, listed, exchange, tradingsymbol, instrument_token,
    exchange_token, name, expiry, strike, price_scale, tick_size, lot_size, instrument_type, segment
)
SELECT
    f.batch_id, %(batch_id)s, f.observed_on, b.exchange IS NOT NULL, c.exchange,
    c.tradingsymbol, b.instrument_token, b.exchange_token, b.name, b.expiry, b.strike,
    b.price_scale, b.tick_size, b.lot_size, b.instrument_type, b.segment
FROM instrument_change c
JOIN following f ON f.exchange = c.exchange
LEFT JOIN instrument_before b
    ON b.exchange = c.exchange AND b.tradingsymbol = c.tradingsymbol
WHERE NOT EXISTS (
    SELECT FROM instrument_observation o
    WHERE o.exchange = c.exchange AND o.tradingsymbol = c.tradingsymbol
      AND o.observed_on = f.observed_on AND o.batch_id = f.batch_id
)

-- name: touch_changed
INSERT INTO instrument_touched SELECT exchange, tradingsymbol FROM instrument_change

-- name: touch_all
INSERT INTO instrument_touched
SELECT DISTINCT exchange, tradingsymbol FROM instrument_observation

-- name: measure_touched
-- The planner chooses between a few look-ups and a join of everything.
ANALYZE instrument_touched

-- name: clear_touched
DELETE FROM instrument_validity v
USING instrument_touched t
WHERE v.source = %(source)s AND v.exchange = t.exchange AND v.tradingsymbol = t.tradingsymbol

-- name: clear_all
DELETE FROM instrument_validity WHERE source = %(source)s

-- name: ranges
-- The rule of the projection, its only statement: of the words on a symbol, the last of each day
-- counts; a range begins where the word changes and ends where it changes again, at the latest after
-- the expiry. {keys} is a relation of symbols. Dumps recorded after known_at are left out; words that
-- they made others restate change nothing without them.
SELECT
    source, exchange, tradingsymbol, observed_on AS valid_from,
    least(changed_on, expiry + 1) AS valid_to, batch_id, instrument_token, exchange_token, name,
    expiry, strike, price_scale, tick_size, lot_size, instrument_type, segment
FROM (
    SELECT *, lead(observed_on) OVER (
        PARTITION BY exchange, tradingsymbol ORDER BY observed_on
    ) AS changed_on
    FROM (
        SELECT *, lag(word) OVER (
            PARTITION BY exchange, tradingsymbol ORDER BY observed_on
        ) AS word_before
        FROM (
            SELECT DISTINCT ON (o.exchange, o.tradingsymbol, o.observed_on)
                b.source, o.*,
                ROW(o.instrument_token, o.exchange_token, o.name, o.expiry, o.strike,
                    o.price_scale, o.tick_size, o.lot_size, o.instrument_type, o.segment) AS word
            FROM {keys} AS k
            JOIN instrument_observation o
                ON o.exchange = k.exchange AND o.tradingsymbol = k.tradingsymbol
            JOIN instrument_batch b ON b.batch_id = o.batch_id
            WHERE b.source = %(source)s AND b.recorded_at <= %(known_at)s
            ORDER BY o.exchange, o.tradingsymbol, o.observed_on, o.batch_id DESC
        ) AS last_word_of_day
    ) AS word_with_the_one_before
    WHERE word IS DISTINCT FROM word_before
) AS changed_word
WHERE listed AND (expiry IS NULL OR observed_on <= expiry)

-- name: keys_touched
-- The relations that {keys} of ranges stands for.
instrument_touched

-- name: keys_of_exchanges
(SELECT DISTINCT exchange, tradingsymbol FROM instrument_observation
 WHERE %(exchanges)s::text[] IS NULL OR exchange = ANY (%(exchanges)s::text[]))

-- name: keys_of_symbol
(SELECT DISTINCT exchange, tradingsymbol FROM instrument_observation
 WHERE tradingsymbol = %(tradingsymbol)s
   AND exchange = coalesce(%(exchange)s::text, exchange))

-- name: keys_of_token
(SELECT DISTINCT exchange, tradingsymbol FROM instrument_observation
 WHERE instrument_token = %(instrument_token)s)

-- name: refresh_touched
INSERT INTO instrument_validity (
    source, exchange, tradingsymbol, valid_from, valid_to, batch_id, instrument_token,
    exchange_token, name, expiry, strike, price_scale, tick_size, lot_size, instrument_type, segment
)
{ranges}

-- name: instruments_at
-- {validity} is instrument_validity, or ranges in parentheses.
SELECT
    exchange, tradingsymbol, instrument_token, exchange_token, name, expiry, strike, price_scale,
    tick_size, lot_size, instrument_type, segment
FROM {validity} AS v
WHERE source = %(source)s AND valid_from <= %(as_of)s
  AND (valid_to > %(as_of)s OR valid_to IS NULL)
  AND (%(exchanges)s::text[] IS NULL OR exchange = ANY (%(exchanges)s::text[]))
ORDER BY exchange, tradingsymbol

-- name: ranges_of_symbol
SELECT
    exchange, tradingsymbol, instrument_token, exchange_token, name, expiry, strike, price_scale,
    tick_size, lot_size, instrument_type, segment, valid_from, valid_to, batch_id
FROM {validity} AS v
WHERE source = %(source)s AND tradingsymbol = %(tradingsymbol)s
  AND exchange = coalesce(%(exchange)s::text, exchange)
  AND (%(as_of)s::date IS NULL
       OR valid_from <= %(as_of)s AND (valid_to > %(as_of)s OR valid_to IS NULL))
ORDER BY exchange, valid_from

-- name: ranges_of_keys
SELECT
    v.exchange, v.tradingsymbol, instrument_token, exchange_token, name, expiry, strike,
    price_scale, tick_size, lot_size, instrument_type, segment, valid_from, valid_to, batch_id
FROM instrument_validity v
JOIN unnest(%(exchanges)s::text[], %(tradingsymbols)s::text[]) AS k (exchange, tradingsymbol)
    ON k.exchange = v.exchange AND k.tradingsymbol = v.tradingsymbol
WHERE source = %(source)s
ORDER BY v.exchange, v.tradingsymbol, valid_from

-- name: futures_of
SELECT
    exchange, tradingsymbol, instrument_token, exchange_token, name, expiry, strike,
    price_scale, tick_size, lot_size, instrument_type, segment, valid_from, valid_to, batch_id
FROM instrument_validity
WHERE source = %(source)s AND exchange = %(exchange)s AND name = %(name)s
  AND instrument_type = 'FUT'
ORDER BY expiry, valid_from

-- name: with_futures
-- Names on which futures are listed on some day of the span: their stocks are F&O stocks.
SELECT DISTINCT name FROM instrument_validity
WHERE source = %(source)s AND exchange = 'NFO' AND instrument_type = 'FUT' AND name IS NOT NULL
  AND valid_from <= %(until)s AND (valid_to > %(since)s OR valid_to IS NULL)
ORDER BY 1

-- name: ranges_of_token
SELECT
    exchange, tradingsymbol, instrument_token, exchange_token, name, expiry, strike, price_scale,
    tick_size, lot_size, instrument_type, segment, valid_from, valid_to, batch_id
FROM {validity} AS v
WHERE source = %(source)s AND instrument_token = %(instrument_token)s
  AND (%(as_of)s::date IS NULL
       OR valid_from <= %(as_of)s AND (valid_to > %(as_of)s OR valid_to IS NULL))
ORDER BY valid_from, exchange, tradingsymbol

-- name: count_at
-- Null before the first dump that covers the exchange.
SELECT CASE WHEN EXISTS (
    SELECT FROM instrument_batch
    WHERE source = %(source)s AND %(exchange)s = ANY (exchanges) AND observed_on <= %(as_of)s
) THEN (
    SELECT count(*) FROM instrument_validity
    WHERE source = %(source)s AND exchange = %(exchange)s AND valid_from <= %(as_of)s
      AND (valid_to > %(as_of)s OR valid_to IS NULL)
) END

-- name: batches
-- All of a source, or one; oldest day first.
SELECT
    batch_id, source, exchanges, observed_on, recorded_at, content_sha256, file_name, rows_good,
    rows_refused, added, changed, removed, expired, unchanged, parameters
FROM instrument_batch
WHERE source = %(source)s AND batch_id = coalesce(%(batch_id)s, batch_id)
ORDER BY observed_on, batch_id

-- name: unpublished
SELECT
    batch_id, source, exchanges, observed_on, recorded_at, content_sha256, file_name, rows_good,
    rows_refused, added, changed, removed, expired, unchanged, parameters
FROM instrument_batch b
WHERE source = %(source)s
  AND NOT EXISTS (SELECT FROM instrument_publication p WHERE p.batch_id = b.batch_id)
ORDER BY observed_on, batch_id

-- name: keys_gone
-- Symbols on which the batches had a word and which do not hold on the day.
SELECT DISTINCT o.exchange, o.tradingsymbol
FROM instrument_observation o
WHERE o.stated_by = ANY (%(batch_ids)s)
  AND NOT EXISTS (
      SELECT FROM instrument_validity v
      WHERE v.source = %(source)s AND v.exchange = o.exchange
        AND v.tradingsymbol = o.tradingsymbol AND v.valid_from <= %(as_of)s
        AND (v.valid_to > %(as_of)s OR v.valid_to IS NULL)
  )
ORDER BY o.exchange, o.tradingsymbol

-- name: rows_pending
-- Symbols on which the batches had a word, as they hold on the day.
SELECT
    exchange, tradingsymbol, instrument_token, exchange_token, name, expiry, strike, price_scale,
    tick_size, lot_size, instrument_type, segment
FROM instrument_validity
WHERE source = %(source)s AND valid_from <= %(as_of)s
  AND (valid_to > %(as_of)s OR valid_to IS NULL)
  AND (exchange, tradingsymbol) IN (
      SELECT exchange, tradingsymbol FROM instrument_observation
      WHERE stated_by = ANY (%(batch_ids)s)
  )
ORDER BY exchange, tradingsymbol

-- name: mark_published
INSERT INTO instrument_publication (batch_id, topic, records)
SELECT batch_id, %(topic)s, %(records)s FROM unnest(%(batch_ids)s::bigint[]) AS b (batch_id)
ON CONFLICT (batch_id) DO NOTHING
