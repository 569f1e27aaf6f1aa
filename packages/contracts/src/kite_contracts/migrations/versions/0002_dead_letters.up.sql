-- Dead letters: each failure once and every decision about it (both append-only), the state and the
-- groups made from them (which can be rebuilt), and the ledger of what was sent back.

CREATE TABLE dlq_failure (
    failure_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic            text COLLATE "C" NOT NULL CHECK (topic <> ''),
    topic_id         uuid NOT NULL,
    partition_id     integer NOT NULL CHECK (partition_id >= 0),
    record_offset    bigint NOT NULL CHECK (record_offset >= 0),
    record_ts_ns     bigint,
    record_key       bytea,
    record_value     bytea,
    header_names     bytea[] NOT NULL,
    header_values    bytea[] NOT NULL,
    dialect          text COLLATE "C" NOT NULL,
    reason           text COLLATE "C" NOT NULL,
    reason_source    text COLLATE "C" NOT NULL,
    message          text NOT NULL,
    error_path       text,
    exception        text,
    component        text,
    origin_topic     text COLLATE "C",
    origin_partition bigint,
    origin_offset    bigint,
    feed_session     bigint,
    feed_seq         bigint,
    contract         text COLLATE "C",
    unit             text COLLATE "C",
    attempt          bigint NOT NULL,
    first_failure_ns bigint,
    fingerprint      text COLLATE "C" NOT NULL CHECK (fingerprint <> ''),
    problems         text[] NOT NULL DEFAULT '{}',
    seen_at          timestamptz NOT NULL,
    stored_at        timestamptz NOT NULL,
    UNIQUE (topic, partition_id, record_offset, topic_id),
    CHECK (cardinality(header_names) = cardinality(header_values))
);

COMMENT ON TABLE dlq_failure IS
    'A record of a dead-letter topic as it lay in Kafka and what it was taken for; append-only, '
    'once for each topic, partition and offset.';
COMMENT ON COLUMN dlq_failure.topic_id IS
    'The id that Kafka gave the topic when it was created: a topic that was deleted and made anew '
    'begins at offset 0 again, and its records are others. All zero where the broker tells none.';
COMMENT ON COLUMN dlq_failure.record_ts_ns IS
    'The record''s timestamp in ns since 1970, as its producer or the broker set it; null without.';
COMMENT ON COLUMN dlq_failure.record_value IS 'The bytes that failed; null for a null value.';
COMMENT ON COLUMN dlq_failure.header_names IS
    'Names of the headers in their order, repeated ones too; UTF-8 as a rule.';
COMMENT ON COLUMN dlq_failure.header_values IS 'The values beside header_names.';
COMMENT ON COLUMN dlq_failure.dialect IS 'Whose headers they are: kite, connect, spring, ….';
COMMENT ON COLUMN dlq_failure.reason IS 'A code of kite_contracts.reasons, such as SEMANTIC_RANGE.';
COMMENT ON COLUMN dlq_failure.reason_source IS
    'header: the record says so; decoded: the bytes were held against the contracts again.';
COMMENT ON COLUMN dlq_failure.error_path IS 'JSON Pointer of the field at fault.';
COMMENT ON COLUMN dlq_failure.exception IS 'The exception that a header names.';
COMMENT ON COLUMN dlq_failure.component IS 'Who gave up: a connector, a consumer group.';
COMMENT ON COLUMN dlq_failure.origin_topic IS 'Where the record was read before it failed.';
COMMENT ON COLUMN dlq_failure.feed_session IS 'Feed session of the packet, with feed_seq.';
COMMENT ON COLUMN dlq_failure.contract IS 'What it was held against, such as tick.v1.';
COMMENT ON COLUMN dlq_failure.unit IS 'What the bytes are: packet, frame-tail, record, journal.';
COMMENT ON COLUMN dlq_failure.attempt IS 'How often it was tried before it came here, from 1.';
COMMENT ON COLUMN dlq_failure.first_failure_ns IS 'When it failed first, in ns since 1970.';
COMMENT ON COLUMN dlq_failure.fingerprint IS 'Equal for failures of one cause.';
COMMENT ON COLUMN dlq_failure.problems IS 'Headers that did not read as they should.';
COMMENT ON COLUMN dlq_failure.seen_at IS
    'record_ts_ns as a time; stored_at where there is none, or one in the future.';
COMMENT ON COLUMN dlq_failure.stored_at IS 'When the row was written.';

CREATE TABLE dlq_event (
    event_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    failure_id bigint NOT NULL REFERENCES dlq_failure,
    kind       text COLLATE "C" NOT NULL CHECK (kind IN (
        'resolve', 'ignore', 'reopen', 'assign', 'note', 'redriven', 'quarantined', 'refused'
    )),
    who        text NOT NULL CHECK (who <> ''),
    note       text NOT NULL DEFAULT '',
    assignee   text CHECK ((assignee IS NOT NULL) = (kind = 'assign')),
    redrive_id bytea CHECK (octet_length(redrive_id) = 32),
    decided_at timestamptz NOT NULL
);
CREATE INDEX dlq_event_failure ON dlq_event (failure_id, event_id);

COMMENT ON TABLE dlq_event IS
    'Append-only: what was decided or done about a failure, by whom and when. The last of resolve, '
    'ignore, reopen, redriven and quarantined is its state.';
COMMENT ON COLUMN dlq_event.event_id IS 'Rises in the order of the decisions of one failure.';
COMMENT ON COLUMN dlq_event.kind IS
    'redriven and quarantined: Kafka has acknowledged it; refused: a redrive found it unfit.';
COMMENT ON COLUMN dlq_event.assignee IS 'Whose it is from now on; empty for nobody.';
COMMENT ON COLUMN dlq_event.redrive_id IS 'The line of dlq_redrive that this tells of.';

CREATE TABLE dlq_state (
    failure_id  bigint PRIMARY KEY,
    fingerprint text COLLATE "C" NOT NULL,
    topic       text COLLATE "C" NOT NULL,
    reason      text COLLATE "C" NOT NULL,
    seen_at     timestamptz NOT NULL,
    status      text COLLATE "C" NOT NULL,
    assignee    text NOT NULL DEFAULT '',
    event_id    bigint
) WITH (fillfactor = 80);
CREATE INDEX dlq_state_group ON dlq_state (fingerprint, failure_id);
CREATE INDEX dlq_state_unresolved ON dlq_state (seen_at) WHERE status = 'open';
CREATE INDEX dlq_state_assigned ON dlq_state (fingerprint, assignee) WHERE assignee <> '';

COMMENT ON TABLE dlq_state IS
    'Projection of dlq_failure and dlq_event, which can be rebuilt: how each failure stands.';
COMMENT ON COLUMN dlq_state.status IS 'open, resolved, ignored, redriven or quarantined.';
COMMENT ON COLUMN dlq_state.assignee IS 'Whose it is; empty for nobody.';
COMMENT ON COLUMN dlq_state.event_id IS 'The event that the status comes from; null for none.';

CREATE TABLE dlq_group (
    fingerprint text COLLATE "C" PRIMARY KEY,
    sample_id   bigint NOT NULL,
    last_id     bigint NOT NULL,
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    topics      text[] COLLATE "C" NOT NULL,
    total       bigint NOT NULL CHECK (
        total = open + resolved + ignored + redriven + quarantined AND total > 0
    ),
    open        bigint NOT NULL CHECK (open >= 0),
    resolved    bigint NOT NULL CHECK (resolved >= 0),
    ignored     bigint NOT NULL CHECK (ignored >= 0),
    redriven    bigint NOT NULL CHECK (redriven >= 0),
    quarantined bigint NOT NULL CHECK (quarantined >= 0)
) WITH (fillfactor = 50);

COMMENT ON TABLE dlq_group IS
    'Projection, which can be rebuilt: the failures of one fingerprint, counted by status.';
COMMENT ON COLUMN dlq_group.sample_id IS 'The first failure that was stored; the group is like it.';
COMMENT ON COLUMN dlq_group.last_id IS 'The last failure that was stored.';
COMMENT ON COLUMN dlq_group.first_seen IS 'The earliest seen_at of its failures.';
COMMENT ON COLUMN dlq_group.last_seen IS 'The latest seen_at of its failures.';
COMMENT ON COLUMN dlq_group.topics IS 'The dead-letter topics that they were in, sorted.';

CREATE TABLE dlq_redrive_run (
    run_id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    feed_session     bigint NOT NULL UNIQUE,
    who              text NOT NULL CHECK (who <> ''),
    note             text NOT NULL DEFAULT '',
    selection        jsonb NOT NULL,
    transform        text,
    transform_sha256 bytea CHECK (octet_length(transform_sha256) = 32),
    started_at       timestamptz NOT NULL,
    CHECK ((transform IS NULL) = (transform_sha256 IS NULL))
);

COMMENT ON TABLE dlq_redrive_run IS 'One call of redrive that was to write, and what it was told.';
COMMENT ON COLUMN dlq_redrive_run.feed_session IS
    'The feed session under which this run publishes ticks: with their own numbers, readers would '
    'take them for repeats of what they have seen.';
COMMENT ON COLUMN dlq_redrive_run.selection IS 'Which failures were asked for.';
COMMENT ON COLUMN dlq_redrive_run.transform IS 'The function, or the changes, applied to each.';
COMMENT ON COLUMN dlq_redrive_run.transform_sha256 IS 'Of the source of the transform.';

CREATE TABLE dlq_redrive (
    redrive_id  bytea PRIMARY KEY CHECK (octet_length(redrive_id) = 32),
    failure_id  bigint NOT NULL REFERENCES dlq_failure,
    run_id      bigint NOT NULL REFERENCES dlq_redrive_run,
    position    bigint NOT NULL,
    attempt     bigint NOT NULL,
    kind        text COLLATE "C" NOT NULL CHECK (kind IN ('redriven', 'quarantined')),
    target      text COLLATE "C" NOT NULL CHECK (target <> ''),
    status      text COLLATE "C" NOT NULL CHECK (status IN ('reserved', 'produced', 'refused')),
    value_sha256 bytea NOT NULL CHECK (octet_length(value_sha256) = 32),
    record_key    bytea,
    record_value  bytea,
    header_names  bytea[],
    header_values bytea[],
    reserved_at timestamptz NOT NULL,
    settled_at  timestamptz,
    UNIQUE (run_id, position),
    CHECK ((status = 'reserved') = (settled_at IS NULL))
);
CREATE INDEX dlq_redrive_failure ON dlq_redrive (failure_id);
CREATE INDEX dlq_redrive_reserved ON dlq_redrive (run_id, position) WHERE status = 'reserved';

COMMENT ON TABLE dlq_redrive IS
    'The ledger of what was sent back: written before it is produced, settled when Kafka has '
    'answered. A line that stays reserved is produced again, byte for byte.';
COMMENT ON COLUMN dlq_redrive.redrive_id IS
    'SHA-256 of topic, topic id, partition, offset and attempt; the header dlq.redrive_id.';
COMMENT ON COLUMN dlq_redrive.position IS 'The order of production within the run, from 1.';
COMMENT ON COLUMN dlq_redrive.attempt IS 'Which try this is; the header dlq.attempt.';
COMMENT ON COLUMN dlq_redrive.status IS
    'reserved: perhaps in Kafka; produced: acknowledged; refused: never in Kafka.';
COMMENT ON COLUMN dlq_redrive.record_value IS
    'Key, value and headers to produce; null once settled, then value_sha256 tells of the value.';

CREATE VIEW dlq_open AS
SELECT
    f.failure_id, f.topic, f.partition_id, f.record_offset, f.reason, f.message, f.error_path,
    f.origin_topic, f.origin_partition, f.origin_offset, f.contract, f.attempt, f.fingerprint,
    f.seen_at, s.assignee
FROM dlq_state s JOIN dlq_failure f ON f.failure_id = s.failure_id
WHERE s.status = 'open';
COMMENT ON VIEW dlq_open IS 'Failures that nobody has settled, for queries by hand.';

CREATE TRIGGER dlq_failure_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON dlq_failure
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER dlq_event_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON dlq_event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
