-- Dead letters. Truth: dlq_failure, dlq_event; the ledger dlq_redrive. Projections: dlq_state and
-- dlq_group, changed in the transaction that changes the truth. Who appends events holds a lock, so
-- that event_id rises in the order of COMMIT; who changes groups takes their rows by fingerprint.

-- name: make_incoming
-- Compiling these statements takes longer than running them.
SET LOCAL jit TO off;
CREATE TEMP TABLE IF NOT EXISTS dlq_incoming (
    topic text COLLATE "C", topic_id uuid, partition_id integer, record_offset bigint,
    record_ts_ns bigint, record_key bytea, record_value bytea, header_names bytea[],
    header_values bytea[], dialect text, reason text, reason_source text, message text,
    error_path text, exception text, component text, origin_topic text, origin_partition bigint,
    origin_offset bigint, feed_session bigint, feed_seq bigint, contract text, unit text,
    attempt bigint, first_failure_ns bigint, fingerprint text, problems text[]
) ON COMMIT DELETE ROWS

-- name: store_incoming
-- In the order of the key: two writers of the same records then wait instead of deadlocking.
WITH added AS (
    INSERT INTO dlq_failure (
        topic, topic_id, partition_id, record_offset, record_ts_ns, record_key, record_value,
        header_names, header_values, dialect, reason, reason_source, message, error_path,
        exception, component, origin_topic, origin_partition, origin_offset, feed_session, feed_seq, contract,
        unit, attempt, first_failure_ns, fingerprint, problems, stored_at, seen_at
    )
    SELECT
        i.*, now(),
        CASE
            WHEN record_ts_ns BETWEEN 0 AND extract(epoch FROM now()) * 1000000000
            THEN timestamptz 'epoch' + record_ts_ns / 1000 * interval '1 microsecond'
            ELSE now()
        END
    FROM dlq_incoming i
    ORDER BY topic, partition_id, record_offset, topic_id
    ON CONFLICT (topic, partition_id, record_offset, topic_id) DO NOTHING
    RETURNING failure_id, fingerprint, topic, reason, seen_at
), stated AS (
    INSERT INTO dlq_state (failure_id, fingerprint, topic, reason, seen_at, status)
    SELECT failure_id, fingerprint, topic, reason, seen_at, 'open' FROM added
), counted AS (
    INSERT INTO dlq_group AS g (
        fingerprint, sample_id, last_id, first_seen, last_seen, topics, total, open, resolved,
        ignored, redriven, quarantined
    )
    SELECT
        fingerprint, min(failure_id), max(failure_id), min(seen_at), max(seen_at),
        array_agg(DISTINCT topic ORDER BY topic), count(*), count(*), 0, 0, 0, 0
    FROM added
    GROUP BY fingerprint
    ORDER BY fingerprint
    ON CONFLICT (fingerprint) DO UPDATE SET
        sample_id = least(g.sample_id, excluded.sample_id),
        last_id = greatest(g.last_id, excluded.last_id),
        first_seen = least(g.first_seen, excluded.first_seen),
        last_seen = greatest(g.last_seen, excluded.last_seen),
        topics = CASE
            WHEN g.topics @> excluded.topics THEN g.topics
            ELSE (SELECT array_agg(DISTINCT t ORDER BY t)
                  FROM unnest(g.topics || excluded.topics) AS t)
        END,
        total = g.total + excluded.total,
        open = g.open + excluded.open
)
SELECT count(*) FROM added

-- name: groups
SELECT
    g.fingerprint, f.reason, f.message, f.error_path, f.origin_topic, f.contract, g.topics,
    g.first_seen, g.last_seen, g.sample_id, g.last_id, g.total, g.open, g.resolved, g.ignored,
    g.redriven, g.quarantined,
    ARRAY(
        SELECT DISTINCT assignee FROM dlq_state s
        WHERE s.fingerprint = g.fingerprint AND s.assignee <> '' ORDER BY assignee
    )
FROM dlq_group g JOIN dlq_failure f ON f.failure_id = g.sample_id
WHERE (%(reason)s::text IS NULL OR f.reason = %(reason)s)
  AND (%(topic)s::text IS NULL OR %(topic)s = ANY (g.topics))
  AND (%(fingerprint)s::text IS NULL OR g.fingerprint = %(fingerprint)s)
  AND (%(since)s::timestamptz IS NULL OR g.last_seen >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR g.first_seen < %(until)s)
  AND CASE %(status)s::text
        WHEN 'open' THEN g.open > 0
        WHEN 'resolved' THEN g.resolved > 0
        WHEN 'ignored' THEN g.ignored > 0
        WHEN 'redriven' THEN g.redriven > 0
        WHEN 'quarantined' THEN g.quarantined > 0
        ELSE true
      END
  AND (%(text)s::text IS NULL OR strpos(lower(f.message), lower(%(text)s)) > 0)
  AND (%(after_open)s::bigint IS NULL OR g.open < %(after_open)s OR (
        g.open = %(after_open)s AND (g.last_seen < %(after_seen)s OR (
            g.last_seen = %(after_seen)s AND g.fingerprint > %(after_fingerprint)s))))
ORDER BY g.open DESC, g.last_seen DESC, g.fingerprint
LIMIT %(limit)s

-- name: selected
-- The condition of a Selection on dlq_state s, which {selected} stands for.
    (%(ids)s::bigint[] IS NULL OR s.failure_id = ANY (%(ids)s::bigint[]))
AND (%(fingerprint)s::text IS NULL OR s.fingerprint = %(fingerprint)s)
AND (%(reasons)s::text[] IS NULL OR s.reason = ANY (%(reasons)s::text[]))
AND (%(topic)s::text IS NULL OR s.topic = %(topic)s)
AND (%(status)s::text IS NULL OR s.status = %(status)s)
AND (%(since)s::timestamptz IS NULL OR s.seen_at >= %(since)s)
AND (%(until)s::timestamptz IS NULL OR s.seen_at < %(until)s)
AND (%(up_to)s::bigint IS NULL OR s.failure_id <= %(up_to)s)

-- name: count_selected
SELECT count(*) FROM dlq_state s WHERE {selected}

-- name: last_id
SELECT coalesce(max(failure_id), 0) FROM dlq_state

-- name: failures
-- A page in the order of failure_id, cut where its values exceed bytes_max; never less than one.
SELECT
    f.topic, f.topic_id, f.partition_id, f.record_offset, f.record_ts_ns, f.record_key,
    f.record_value, f.header_names, f.header_values, f.dialect, f.reason, f.reason_source,
    f.message, f.error_path, f.exception, f.component, f.origin_topic, f.origin_partition,
    f.origin_offset, f.feed_session, f.feed_seq, f.contract, f.unit, f.attempt,
    f.first_failure_ns, f.fingerprint, f.problems,
    f.failure_id, f.seen_at, f.stored_at, p.status, p.assignee
FROM (
    SELECT
        o.failure_id, o.status, o.assignee,
        sum(coalesce(octet_length(v.record_value), 0)) OVER (ORDER BY o.failure_id)
            - coalesce(octet_length(v.record_value), 0) AS bytes_before
    FROM (
        SELECT s.failure_id, s.status, s.assignee FROM dlq_state s
        WHERE s.failure_id > %(after)s AND {selected}
        ORDER BY s.failure_id
        LIMIT %(limit)s
    ) AS o JOIN dlq_failure v ON v.failure_id = o.failure_id
) AS p JOIN dlq_failure f ON f.failure_id = p.failure_id
WHERE p.bytes_before < %(bytes_max)s
ORDER BY f.failure_id

-- name: summaries
-- The page is cut from the states alone: joined first, all failures before it would be read too.
SELECT
    f.failure_id, f.topic, f.partition_id, f.record_offset, f.reason, f.message, f.error_path,
    f.origin_topic, f.attempt, f.fingerprint, octet_length(f.record_value), f.seen_at, o.status,
    o.assignee
FROM (
    SELECT s.failure_id, s.status, s.assignee FROM dlq_state s
    WHERE s.failure_id > %(after)s AND {selected}
    ORDER BY s.failure_id
    LIMIT %(limit)s
) AS o JOIN dlq_failure f ON f.failure_id = o.failure_id
ORDER BY f.failure_id

-- name: latest
SELECT
    f.failure_id, f.topic, f.partition_id, f.record_offset, f.reason, f.message, f.error_path,
    f.origin_topic, f.attempt, f.fingerprint, octet_length(f.record_value), f.seen_at, o.status,
    o.assignee
FROM (
    SELECT s.failure_id, s.status, s.assignee FROM dlq_state s
    WHERE (%(before)s::bigint IS NULL OR s.failure_id < %(before)s) AND {selected}
    ORDER BY s.failure_id DESC
    LIMIT %(limit)s
) AS o JOIN dlq_failure f ON f.failure_id = o.failure_id
ORDER BY f.failure_id DESC

-- name: find
-- Of a topic that was recreated, the records of both; the last one first.
SELECT failure_id FROM dlq_failure
WHERE topic = %(topic)s AND partition_id = %(partition)s AND record_offset = %(offset)s
ORDER BY failure_id DESC

-- name: hold_tables
-- What storing takes, given back at the end of the transaction.
LOCK TABLE dlq_failure, dlq_state, dlq_group IN ROW EXCLUSIVE MODE

-- name: next_offsets
-- A subquery a partition walks the index from its end.
SELECT t.topic, t.partition_id, (
    SELECT f.record_offset + 1 FROM dlq_failure f
    WHERE f.topic = t.topic AND f.topic_id = t.topic_id AND f.partition_id = t.partition_id
    ORDER BY f.record_offset DESC LIMIT 1
)
FROM unnest(%(topics)s::text[], %(topic_ids)s::uuid[], %(partitions)s::integer[])
    AS t (topic, topic_id, partition_id)

-- name: neighbours
-- The records stored before and after one, of the same partition of the same topic.
WITH here AS (
    SELECT topic, topic_id, partition_id, record_offset FROM dlq_failure
    WHERE failure_id = %(failure_id)s
), around AS (
    -- LATERAL, so that each side walks the index by offset and stops.
    SELECT near.failure_id FROM here h CROSS JOIN LATERAL (
        (SELECT f.failure_id FROM dlq_failure f
         WHERE f.topic = h.topic AND f.partition_id = h.partition_id
           AND f.topic_id = h.topic_id AND f.record_offset < h.record_offset
         ORDER BY f.record_offset DESC LIMIT %(count)s)
        UNION ALL
        (SELECT f.failure_id FROM dlq_failure f
         WHERE f.topic = h.topic AND f.partition_id = h.partition_id
           AND f.topic_id = h.topic_id AND f.record_offset > h.record_offset
         ORDER BY f.record_offset LIMIT %(count)s)
    ) AS near
)
SELECT
    f.failure_id, f.topic, f.partition_id, f.record_offset, f.reason, f.message, f.error_path,
    f.origin_topic, f.attempt, f.fingerprint, octet_length(f.record_value), f.seen_at, s.status,
    s.assignee
FROM around a
JOIN dlq_failure f ON f.failure_id = a.failure_id
JOIN dlq_state s ON s.failure_id = a.failure_id
ORDER BY f.record_offset

-- name: history
SELECT event_id, failure_id, kind, who, note, assignee, redrive_id, decided_at
FROM dlq_event WHERE failure_id = %(failure_id)s ORDER BY event_id

-- name: count_by_status
SELECT sum(open), sum(resolved), sum(ignored), sum(redriven), sum(quarantined) FROM dlq_group

-- name: count_open_by_reason
SELECT f.reason, sum(g.open) FROM dlq_group g JOIN dlq_failure f ON f.failure_id = g.sample_id
WHERE g.open > 0 GROUP BY f.reason ORDER BY f.reason

-- name: oldest_open
SELECT min(seen_at) FROM dlq_state WHERE status = 'open'

-- name: make_chosen
-- The failures that a decision is about, with what they are before it.
SET LOCAL jit TO off;
CREATE TEMP TABLE IF NOT EXISTS dlq_chosen (
    failure_id bigint, fingerprint text COLLATE "C", before text COLLATE "C", note text,
    redrive_id bytea
) ON COMMIT DELETE ROWS

-- name: choose
INSERT INTO dlq_chosen (failure_id, fingerprint, before, note)
SELECT s.failure_id, s.fingerprint, s.status, %(note)s FROM dlq_state s
WHERE {selected}
  AND (%(becomes)s::text IS NULL OR s.status <> %(becomes)s)
  AND (%(assignee)s::text IS NULL OR s.assignee <> %(assignee)s)

-- name: measure_chosen
ANALYZE dlq_chosen

-- name: lock_groups
SELECT FROM dlq_group
WHERE fingerprint IN (SELECT fingerprint FROM dlq_chosen) ORDER BY fingerprint FOR UPDATE

-- name: append_events
WITH appended AS (
    INSERT INTO dlq_event (failure_id, kind, who, note, assignee, redrive_id, decided_at)
    SELECT failure_id, %(kind)s, %(who)s, note, %(assignee)s, redrive_id, clock_timestamp()
    FROM dlq_chosen
    ORDER BY failure_id
    RETURNING event_id, failure_id
)
UPDATE dlq_state s SET
    status = coalesce(%(becomes)s, s.status),
    assignee = coalesce(%(assignee)s, s.assignee),
    event_id = CASE WHEN %(becomes)s::text IS NULL THEN s.event_id ELSE a.event_id END
FROM appended a
WHERE s.failure_id = a.failure_id

-- name: append_notes
INSERT INTO dlq_event (failure_id, kind, who, note, redrive_id, decided_at)
SELECT failure_id, %(kind)s, %(who)s, note, redrive_id, clock_timestamp()
FROM dlq_chosen
ORDER BY failure_id

-- name: move_groups
-- From the status before to the one after, which is one and the same for all that were chosen.
UPDATE dlq_group g SET
    open        = g.open        - d.open        + CASE %(becomes)s WHEN 'open' THEN d.n ELSE 0 END,
    resolved    = g.resolved    - d.resolved    + CASE %(becomes)s WHEN 'resolved' THEN d.n ELSE 0 END,
    ignored     = g.ignored     - d.ignored     + CASE %(becomes)s WHEN 'ignored' THEN d.n ELSE 0 END,
    redriven    = g.redriven    - d.redriven + CASE %(becomes)s WHEN 'redriven' THEN d.n ELSE 0 END,
    quarantined = g.quarantined - d.quarantined + CASE %(becomes)s WHEN 'quarantined' THEN d.n ELSE 0 END
FROM (
    SELECT
        fingerprint, count(*) AS n,
        count(*) FILTER (WHERE before = 'open') AS open,
        count(*) FILTER (WHERE before = 'resolved') AS resolved,
        count(*) FILTER (WHERE before = 'ignored') AS ignored,
        count(*) FILTER (WHERE before = 'redriven') AS redriven,
        count(*) FILTER (WHERE before = 'quarantined') AS quarantined
    FROM dlq_chosen GROUP BY fingerprint
) AS d
WHERE g.fingerprint = d.fingerprint

-- name: clear_projection
-- Waits for writers, and they for the end of this transaction.
TRUNCATE dlq_state, dlq_group

-- name: rebuild_states
INSERT INTO dlq_state (
    failure_id, fingerprint, topic, reason, seen_at, status, assignee, event_id
)
SELECT
    f.failure_id, f.fingerprint, f.topic, f.reason, f.seen_at,
    CASE coalesce(e.kind, 'reopen')
        WHEN 'resolve' THEN 'resolved'
        WHEN 'ignore' THEN 'ignored'
        WHEN 'reopen' THEN 'open'
        ELSE e.kind
    END,
    coalesce(a.assignee, ''), e.event_id
FROM dlq_failure f
LEFT JOIN (
    SELECT DISTINCT ON (failure_id) failure_id, kind, event_id FROM dlq_event
    WHERE kind IN ('resolve', 'ignore', 'reopen', 'redriven', 'quarantined')
    ORDER BY failure_id, event_id DESC
) AS e ON e.failure_id = f.failure_id
LEFT JOIN (
    SELECT DISTINCT ON (failure_id) failure_id, assignee FROM dlq_event
    WHERE kind = 'assign'
    ORDER BY failure_id, event_id DESC
) AS a ON a.failure_id = f.failure_id
ORDER BY f.failure_id

-- name: rebuild_groups
INSERT INTO dlq_group (
    fingerprint, sample_id, last_id, first_seen, last_seen, topics, total, open, resolved, ignored,
    redriven, quarantined
)
SELECT
    fingerprint, min(failure_id), max(failure_id), min(seen_at), max(seen_at),
    array_agg(DISTINCT topic ORDER BY topic), count(*),
    count(*) FILTER (WHERE status = 'open'),
    count(*) FILTER (WHERE status = 'resolved'),
    count(*) FILTER (WHERE status = 'ignored'),
    count(*) FILTER (WHERE status = 'redriven'),
    count(*) FILTER (WHERE status = 'quarantined')
FROM dlq_state
GROUP BY fingerprint
