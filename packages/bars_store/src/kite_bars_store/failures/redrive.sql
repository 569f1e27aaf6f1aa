-- The ledger of redrives. A line is written before its record is produced and settled when Kafka
-- has answered; the bytes stay in it as long as they may have to be produced again.

-- name: begin_run
-- A feed session that no earlier run and no connection to the feed has; its low 4 bits are 15, a
-- shard that no feed has.
INSERT INTO dlq_redrive_run (
    feed_session, who, note, selection, transform, transform_sha256, started_at
)
VALUES (
    greatest(
        (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint & ~15::bigint | 15,
        (SELECT max(feed_session) FROM dlq_redrive_run) + 16
    ),
    %(who)s, %(note)s, %(selection)s, %(transform)s, %(transform_sha256)s, clock_timestamp()
)
RETURNING run_id, feed_session

-- name: times_sent
SELECT failure_id, count(*) FROM dlq_redrive
WHERE failure_id = ANY (%(ids)s::bigint[]) GROUP BY failure_id

-- name: make_outgoing
SET LOCAL jit TO off;
CREATE TEMP TABLE IF NOT EXISTS dlq_outgoing (
    redrive_id bytea, failure_id bigint, run_id bigint, position bigint, attempt bigint, kind text,
    target text, record_key bytea, record_value bytea, header_names bytea[], header_values bytea[]
) ON COMMIT DELETE ROWS

-- name: reserve
-- Only what is still open, and has no line with this id.
INSERT INTO dlq_redrive (
    redrive_id, failure_id, run_id, position, attempt, kind, target, status, value_sha256,
    record_key, record_value, header_names, header_values, reserved_at
)
SELECT
    o.redrive_id, o.failure_id, o.run_id, o.position, o.attempt, o.kind, o.target, 'reserved',
    sha256(coalesce(o.record_value, '')), o.record_key, o.record_value, o.header_names,
    o.header_values, clock_timestamp()
FROM dlq_outgoing o JOIN dlq_state s ON s.failure_id = o.failure_id
WHERE s.status = 'open'
  AND NOT EXISTS (
      SELECT FROM dlq_redrive r WHERE r.failure_id = o.failure_id AND r.status = 'reserved'
  )
ORDER BY o.position
ON CONFLICT (redrive_id) DO NOTHING
RETURNING redrive_id

-- name: reserved
-- What may or may not be in Kafka, in the order of production; cut as a page of failures is.
SELECT
    r.redrive_id, r.failure_id, r.run_id, r.position, r.attempt, r.kind, r.target, r.record_key,
    r.record_value, r.header_names, r.header_values
FROM (
    SELECT o.*,
        sum(coalesce(octet_length(o.record_value), 0)) OVER (ORDER BY o.run_id, o.position)
            - coalesce(octet_length(o.record_value), 0) AS bytes_before
    FROM (
        SELECT * FROM dlq_redrive
        WHERE status = 'reserved' AND (run_id, position) > (%(run_id)s, %(position)s)
        ORDER BY run_id, position
        LIMIT %(limit)s
    ) AS o
) AS r
WHERE r.bytes_before < %(bytes_max)s
ORDER BY r.run_id, r.position

-- name: count_reserved
SELECT count(*) FROM dlq_redrive WHERE status = 'reserved'

-- name: settle
-- Lines that are settled already are left alone, so that settling twice has no effect.
WITH settled AS (
    UPDATE dlq_redrive r SET
        status = %(status)s, settled_at = clock_timestamp(), record_key = NULL,
        record_value = NULL, header_names = NULL, header_values = NULL
    WHERE r.redrive_id = ANY (%(redrive_ids)s::bytea[]) AND r.status = 'reserved'
      AND r.kind = %(kind)s
    RETURNING r.redrive_id, r.failure_id, r.target
)
INSERT INTO dlq_chosen (failure_id, fingerprint, before, note, redrive_id)
SELECT
    d.failure_id, s.fingerprint, s.status, coalesce(%(note)s, 'into ' || d.target), d.redrive_id
FROM settled d JOIN dlq_state s ON s.failure_id = d.failure_id

-- name: choose_refused
-- What was refused for the same reason the last time is not repeated.
INSERT INTO dlq_chosen (failure_id, fingerprint, before, note)
SELECT s.failure_id, s.fingerprint, s.status, r.note
FROM unnest(%(ids)s::bigint[], %(notes)s::text[]) AS r (failure_id, note)
JOIN dlq_state s ON s.failure_id = r.failure_id
LEFT JOIN LATERAL (
    SELECT kind, note FROM dlq_event e
    WHERE e.failure_id = r.failure_id ORDER BY e.event_id DESC LIMIT 1
) AS last ON true
WHERE (last.kind, last.note) IS DISTINCT FROM ('refused', r.note)

-- name: lines
SELECT
    r.redrive_id, r.run_id, r.attempt, r.kind, r.target, r.status, r.reserved_at, r.settled_at,
    u.who, u.note, u.transform, u.transform_sha256
FROM dlq_redrive r JOIN dlq_redrive_run u ON u.run_id = r.run_id
WHERE r.failure_id = %(failure_id)s
ORDER BY r.run_id, r.position

-- name: clear_chosen
TRUNCATE dlq_chosen

-- name: take_turn
SELECT pg_try_advisory_lock(%(key)s)

-- name: end_turn
SELECT pg_advisory_unlock(%(key)s)
