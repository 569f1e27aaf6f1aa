-- Takes back 0004_volume_replaced.up.sql. Golden bars with that verdict go; `rebuild` makes them again.

DELETE FROM bars_1m WHERE verdict = 11;
ALTER TABLE bar_verdict DISABLE TRIGGER bar_verdict_append_only;
DELETE FROM bar_verdict WHERE verdict = 11;
ALTER TABLE bar_verdict ENABLE TRIGGER bar_verdict_append_only;

CREATE OR REPLACE FUNCTION bar_groups(
    length integer,
    since timestamptz DEFAULT '-infinity',
    until timestamptz DEFAULT 'infinity'
) RETURNS TABLE (
    ts_open timestamptz, instrument_id integer, open bigint, high bigint, low bigint,
    close bigint, volume bigint, oi bigint, price_scale smallint, minutes smallint,
    conflicts smallint, flags integer, first_batch_id bigint, last_batch_id bigint
) LANGUAGE sql STABLE AS $$
    SELECT
        g.ts_open, g.instrument_id, g.open / f.factor, g.high / f.factor, g.low / f.factor,
        g.close / f.factor, g.volume, g.oi, g.price_scale, g.minutes, g.conflicts, g.flags,
        g.first_batch_id, g.last_batch_id
    FROM (
        SELECT
            b.ts_open - make_interval(mins => ((b.session_minute % length) + length) % length)
                AS ts_open,
            b.instrument_id,
            (array_agg(b.open * s.factor ORDER BY b.ts_open))[1] AS open,
            max(b.high * s.factor) AS high,
            min(b.low * s.factor) AS low,
            (array_agg(b.close * s.factor ORDER BY b.ts_open DESC))[1] AS close,
            sum(b.volume)::bigint AS volume,
            (array_agg(b.oi ORDER BY b.ts_open DESC) FILTER (WHERE b.oi IS NOT NULL))[1] AS oi,
            max(b.price_scale) AS price_scale,
            count(*)::smallint AS minutes,
            count(*) FILTER (WHERE b.verdict IN (8, 9, 10))::smallint AS conflicts,
            bit_or(b.flags) AS flags,
            min(b.batch_id) AS first_batch_id,
            max(b.batch_id) AS last_batch_id
        FROM bars_1m b, LATERAL (SELECT (10 ^ (9 - b.price_scale))::bigint AS factor) s
        WHERE b.ts_open >= since AND b.ts_open < until
        GROUP BY 1, 2
    ) g, LATERAL (SELECT (10 ^ (9 - g.price_scale))::bigint AS factor) f
$$;
