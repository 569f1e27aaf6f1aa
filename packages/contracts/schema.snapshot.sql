CREATE FUNCTION public.refuse_rewrite() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

COMMENT ON FUNCTION public.refuse_rewrite() IS 'Trigger of tables that hold the truth: what was observed stays as it was written.';

CREATE TABLE public.dlq_event (
    event_id bigint NOT NULL,
    failure_id bigint NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    who text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    assignee text,
    redrive_id bytea,
    decided_at timestamp with time zone NOT NULL,
    CONSTRAINT dlq_event_check CHECK (((assignee IS NOT NULL) = (kind = 'assign'::text))),
    CONSTRAINT dlq_event_kind_check CHECK ((kind = ANY (ARRAY['resolve'::text, 'ignore'::text, 'reopen'::text, 'assign'::text, 'note'::text, 'redriven'::text, 'quarantined'::text, 'refused'::text]))),
    CONSTRAINT dlq_event_redrive_id_check CHECK ((octet_length(redrive_id) = 32)),
    CONSTRAINT dlq_event_who_check CHECK ((who <> ''::text))
);

COMMENT ON TABLE public.dlq_event IS 'Append-only: what was decided or done about a failure, by whom and when. The last of resolve, ignore, reopen, redriven and quarantined is its state.';

COMMENT ON COLUMN public.dlq_event.event_id IS 'Rises in the order of the decisions of one failure.';

COMMENT ON COLUMN public.dlq_event.kind IS 'redriven and quarantined: Kafka has acknowledged it; refused: a redrive found it unfit.';

COMMENT ON COLUMN public.dlq_event.assignee IS 'Whose it is from now on; empty for nobody.';

COMMENT ON COLUMN public.dlq_event.redrive_id IS 'The line of dlq_redrive that this tells of.';

ALTER TABLE public.dlq_event ALTER COLUMN event_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dlq_event_event_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.dlq_failure (
    failure_id bigint NOT NULL,
    topic text NOT NULL COLLATE pg_catalog."C",
    topic_id uuid NOT NULL,
    partition_id integer NOT NULL,
    record_offset bigint NOT NULL,
    record_ts_ns bigint,
    record_key bytea,
    record_value bytea,
    header_names bytea[] NOT NULL,
    header_values bytea[] NOT NULL,
    dialect text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    reason_source text NOT NULL COLLATE pg_catalog."C",
    message text NOT NULL,
    error_path text,
    exception text,
    component text,
    origin_topic text COLLATE pg_catalog."C",
    origin_partition bigint,
    origin_offset bigint,
    feed_session bigint,
    feed_seq bigint,
    contract text COLLATE pg_catalog."C",
    unit text COLLATE pg_catalog."C",
    attempt bigint NOT NULL,
    first_failure_ns bigint,
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    problems text[] DEFAULT '{}'::text[] NOT NULL,
    seen_at timestamp with time zone NOT NULL,
    stored_at timestamp with time zone NOT NULL,
    CONSTRAINT dlq_failure_check CHECK ((cardinality(header_names) = cardinality(header_values))),
    CONSTRAINT dlq_failure_fingerprint_check CHECK ((fingerprint <> ''::text)),
    CONSTRAINT dlq_failure_partition_id_check CHECK ((partition_id >= 0)),
    CONSTRAINT dlq_failure_record_offset_check CHECK ((record_offset >= 0)),
    CONSTRAINT dlq_failure_topic_check CHECK ((topic <> ''::text))
);

COMMENT ON TABLE public.dlq_failure IS 'A record of a dead-letter topic as it lay in Kafka and what it was taken for; append-only, once for each topic, partition and offset.';

COMMENT ON COLUMN public.dlq_failure.topic_id IS 'The id that Kafka gave the topic when it was created: a topic that was deleted and made anew begins at offset 0 again, and its records are others. All zero where the broker tells none.';

COMMENT ON COLUMN public.dlq_failure.record_ts_ns IS 'The record''s timestamp in ns since 1970, as its producer or the broker set it; null without.';

COMMENT ON COLUMN public.dlq_failure.record_value IS 'The bytes that failed; null for a null value.';

COMMENT ON COLUMN public.dlq_failure.header_names IS 'Names of the headers in their order, repeated ones too; UTF-8 as a rule.';

COMMENT ON COLUMN public.dlq_failure.header_values IS 'The values beside header_names.';

COMMENT ON COLUMN public.dlq_failure.dialect IS 'Whose headers they are: kite, connect, spring, ….';

COMMENT ON COLUMN public.dlq_failure.reason IS 'A code of contracts.reasons, such as SEMANTIC_RANGE.';

COMMENT ON COLUMN public.dlq_failure.reason_source IS 'header: the record says so; decoded: the bytes were held against the contracts again.';

COMMENT ON COLUMN public.dlq_failure.error_path IS 'JSON Pointer of the field at fault.';

COMMENT ON COLUMN public.dlq_failure.exception IS 'The exception that a header names.';

COMMENT ON COLUMN public.dlq_failure.component IS 'Who gave up: a connector, a consumer group.';

COMMENT ON COLUMN public.dlq_failure.origin_topic IS 'Where the record was read before it failed.';

COMMENT ON COLUMN public.dlq_failure.feed_session IS 'Feed session of the packet, with feed_seq.';

COMMENT ON COLUMN public.dlq_failure.contract IS 'What it was held against, such as tick.v1.';

COMMENT ON COLUMN public.dlq_failure.unit IS 'What the bytes are: packet, frame-tail, record, journal.';

COMMENT ON COLUMN public.dlq_failure.attempt IS 'How often it was tried before it came here, from 1.';

COMMENT ON COLUMN public.dlq_failure.first_failure_ns IS 'When it failed first, in ns since 1970.';

COMMENT ON COLUMN public.dlq_failure.fingerprint IS 'Equal for failures of one cause.';

COMMENT ON COLUMN public.dlq_failure.problems IS 'Headers that did not read as they should.';

COMMENT ON COLUMN public.dlq_failure.seen_at IS 'record_ts_ns as a time; stored_at where there is none, or one in the future.';

COMMENT ON COLUMN public.dlq_failure.stored_at IS 'When the row was written.';

ALTER TABLE public.dlq_failure ALTER COLUMN failure_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dlq_failure_failure_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.dlq_group (
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    sample_id bigint NOT NULL,
    last_id bigint NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    topics text[] NOT NULL COLLATE pg_catalog."C",
    total bigint NOT NULL,
    open bigint NOT NULL,
    resolved bigint NOT NULL,
    ignored bigint NOT NULL,
    redriven bigint NOT NULL,
    quarantined bigint NOT NULL,
    CONSTRAINT dlq_group_check CHECK (((total = ((((open + resolved) + ignored) + redriven) + quarantined)) AND (total > 0))),
    CONSTRAINT dlq_group_ignored_check CHECK ((ignored >= 0)),
    CONSTRAINT dlq_group_open_check CHECK ((open >= 0)),
    CONSTRAINT dlq_group_quarantined_check CHECK ((quarantined >= 0)),
    CONSTRAINT dlq_group_redriven_check CHECK ((redriven >= 0)),
    CONSTRAINT dlq_group_resolved_check CHECK ((resolved >= 0))
)
WITH (fillfactor='50');

COMMENT ON TABLE public.dlq_group IS 'Projection, which can be rebuilt: the failures of one fingerprint, counted by status.';

COMMENT ON COLUMN public.dlq_group.sample_id IS 'The first failure that was stored; the group is like it.';

COMMENT ON COLUMN public.dlq_group.last_id IS 'The last failure that was stored.';

COMMENT ON COLUMN public.dlq_group.first_seen IS 'The earliest seen_at of its failures.';

COMMENT ON COLUMN public.dlq_group.last_seen IS 'The latest seen_at of its failures.';

COMMENT ON COLUMN public.dlq_group.topics IS 'The dead-letter topics that they were in, sorted.';

CREATE TABLE public.dlq_state (
    failure_id bigint NOT NULL,
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    topic text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    seen_at timestamp with time zone NOT NULL,
    status text NOT NULL COLLATE pg_catalog."C",
    assignee text DEFAULT ''::text NOT NULL,
    event_id bigint
)
WITH (fillfactor='80');

COMMENT ON TABLE public.dlq_state IS 'Projection of dlq_failure and dlq_event, which can be rebuilt: how each failure stands.';

COMMENT ON COLUMN public.dlq_state.status IS 'open, resolved, ignored, redriven or quarantined.';

COMMENT ON COLUMN public.dlq_state.assignee IS 'Whose it is; empty for nobody.';

COMMENT ON COLUMN public.dlq_state.event_id IS 'The event that the status comes from; null for none.';

CREATE VIEW public.dlq_open AS
 SELECT f.failure_id,
    f.topic,
    f.partition_id,
    f.record_offset,
    f.reason,
    f.message,
    f.error_path,
    f.origin_topic,
    f.origin_partition,
    f.origin_offset,
    f.contract,
    f.attempt,
    f.fingerprint,
    f.seen_at,
    s.assignee
   FROM (public.dlq_state s
     JOIN public.dlq_failure f ON ((f.failure_id = s.failure_id)))
  WHERE (s.status = 'open'::text);

COMMENT ON VIEW public.dlq_open IS 'Failures that nobody has settled, for queries by hand.';

CREATE TABLE public.dlq_redrive (
    redrive_id bytea NOT NULL,
    failure_id bigint NOT NULL,
    run_id bigint NOT NULL,
    "position" bigint NOT NULL,
    attempt bigint NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    target text NOT NULL COLLATE pg_catalog."C",
    status text NOT NULL COLLATE pg_catalog."C",
    value_sha256 bytea NOT NULL,
    record_key bytea,
    record_value bytea,
    header_names bytea[],
    header_values bytea[],
    reserved_at timestamp with time zone NOT NULL,
    settled_at timestamp with time zone,
    CONSTRAINT dlq_redrive_check CHECK (((status = 'reserved'::text) = (settled_at IS NULL))),
    CONSTRAINT dlq_redrive_kind_check CHECK ((kind = ANY (ARRAY['redriven'::text, 'quarantined'::text]))),
    CONSTRAINT dlq_redrive_redrive_id_check CHECK ((octet_length(redrive_id) = 32)),
    CONSTRAINT dlq_redrive_status_check CHECK ((status = ANY (ARRAY['reserved'::text, 'produced'::text, 'refused'::text]))),
    CONSTRAINT dlq_redrive_target_check CHECK ((target <> ''::text)),
    CONSTRAINT dlq_redrive_value_sha256_check CHECK ((octet_length(value_sha256) = 32))
);

COMMENT ON TABLE public.dlq_redrive IS 'The ledger of what was sent back: written before it is produced, settled when Kafka has answered. A line that stays reserved is produced again, byte for byte.';

COMMENT ON COLUMN public.dlq_redrive.redrive_id IS 'SHA-256 of topic, topic id, partition, offset and attempt; the header dlq.redrive_id.';

COMMENT ON COLUMN public.dlq_redrive."position" IS 'The order of production within the run, from 1.';

COMMENT ON COLUMN public.dlq_redrive.attempt IS 'Which try this is; the header dlq.attempt.';

COMMENT ON COLUMN public.dlq_redrive.status IS 'reserved: perhaps in Kafka; produced: acknowledged; refused: never in Kafka.';

COMMENT ON COLUMN public.dlq_redrive.record_value IS 'Key, value and headers to produce; null once settled, then value_sha256 tells of the value.';

CREATE TABLE public.dlq_redrive_run (
    run_id bigint NOT NULL,
    feed_session bigint NOT NULL,
    who text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    selection jsonb NOT NULL,
    transform text,
    transform_sha256 bytea,
    started_at timestamp with time zone NOT NULL,
    CONSTRAINT dlq_redrive_run_check CHECK (((transform IS NULL) = (transform_sha256 IS NULL))),
    CONSTRAINT dlq_redrive_run_transform_sha256_check CHECK ((octet_length(transform_sha256) = 32)),
    CONSTRAINT dlq_redrive_run_who_check CHECK ((who <> ''::text))
);

COMMENT ON TABLE public.dlq_redrive_run IS 'One call of redrive that was to write, and what it was told.';

COMMENT ON COLUMN public.dlq_redrive_run.feed_session IS 'The feed session under which this run publishes ticks: with their own numbers, readers would take them for repeats of what they have seen.';

COMMENT ON COLUMN public.dlq_redrive_run.selection IS 'Which failures were asked for.';

COMMENT ON COLUMN public.dlq_redrive_run.transform IS 'The function, or the changes, applied to each.';

COMMENT ON COLUMN public.dlq_redrive_run.transform_sha256 IS 'Of the source of the transform.';

ALTER TABLE public.dlq_redrive_run ALTER COLUMN run_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.dlq_redrive_run_run_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.instrument_batch (
    batch_id bigint NOT NULL,
    source text NOT NULL COLLATE pg_catalog."C",
    exchanges text[] NOT NULL COLLATE pg_catalog."C",
    observed_on date NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    content_sha256 bytea NOT NULL,
    file_name text,
    rows_read integer NOT NULL,
    rows_good integer NOT NULL,
    rows_refused integer NOT NULL,
    added integer NOT NULL,
    changed integer NOT NULL,
    removed integer NOT NULL,
    expired integer NOT NULL,
    unchanged integer NOT NULL,
    parameters jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT instrument_batch_added_check CHECK ((added >= 0)),
    CONSTRAINT instrument_batch_changed_check CHECK ((changed >= 0)),
    CONSTRAINT instrument_batch_check CHECK ((rows_read = (rows_good + rows_refused))),
    CONSTRAINT instrument_batch_check1 CHECK ((rows_good = ((added + changed) + unchanged))),
    CONSTRAINT instrument_batch_content_sha256_check CHECK ((octet_length(content_sha256) = 32)),
    CONSTRAINT instrument_batch_exchanges_check CHECK ((cardinality(exchanges) > 0)),
    CONSTRAINT instrument_batch_expired_check CHECK ((expired >= 0)),
    CONSTRAINT instrument_batch_removed_check CHECK ((removed >= 0)),
    CONSTRAINT instrument_batch_rows_refused_check CHECK ((rows_refused >= 0)),
    CONSTRAINT instrument_batch_source_check CHECK ((source <> ''::text)),
    CONSTRAINT instrument_batch_unchanged_check CHECK ((unchanged >= 0))
);

COMMENT ON TABLE public.instrument_batch IS 'One instrument dump that was recorded; append-only. A dump that brought no change is here, too.';

COMMENT ON COLUMN public.instrument_batch.source IS 'Whose master it is, such as kite; histories of two sources are apart.';

COMMENT ON COLUMN public.instrument_batch.exchanges IS 'What the dump covers, sorted: a symbol of these that it lacks is no longer listed.';

COMMENT ON COLUMN public.instrument_batch.observed_on IS 'The IST day for which the dump holds; of several on one day the last recorded counts.';

COMMENT ON COLUMN public.instrument_batch.recorded_at IS 'When it was written, rising with batch_id; reads as of a time of knowledge compare with it.';

COMMENT ON COLUMN public.instrument_batch.content_sha256 IS 'Of the dump''s bytes, unpacked.';

COMMENT ON COLUMN public.instrument_batch.file_name IS 'The file it came from; null for a download.';

COMMENT ON COLUMN public.instrument_batch.rows_refused IS 'Rows that broke the Instrument contract.';

COMMENT ON COLUMN public.instrument_batch.added IS 'Symbols that the dump before had not.';

COMMENT ON COLUMN public.instrument_batch.changed IS 'Symbols with another token, lot size or the like.';

COMMENT ON COLUMN public.instrument_batch.removed IS 'Symbols that are gone before their expiry.';

COMMENT ON COLUMN public.instrument_batch.expired IS 'Symbols that are gone after their expiry.';

COMMENT ON COLUMN public.instrument_batch.parameters IS 'How it was obtained, for people.';

ALTER TABLE public.instrument_batch ALTER COLUMN batch_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.instrument_batch_batch_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.instrument_validity (
    source text NOT NULL COLLATE pg_catalog."C",
    exchange text NOT NULL COLLATE pg_catalog."C",
    tradingsymbol text NOT NULL COLLATE pg_catalog."C",
    valid_from date NOT NULL,
    valid_to date,
    batch_id bigint NOT NULL,
    instrument_token bigint NOT NULL,
    exchange_token bigint NOT NULL,
    name text,
    expiry date,
    strike bigint,
    price_scale smallint NOT NULL,
    tick_size bigint NOT NULL,
    lot_size integer NOT NULL,
    instrument_type text NOT NULL COLLATE pg_catalog."C",
    segment text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT instrument_validity_check CHECK ((valid_from < valid_to))
);

COMMENT ON TABLE public.instrument_validity IS 'Projection of instrument_observation, which can be rebuilt: what a symbol was, from when to when.';

COMMENT ON COLUMN public.instrument_validity.valid_from IS 'First day (IST), inclusive.';

COMMENT ON COLUMN public.instrument_validity.valid_to IS 'Day after the last, exclusive: that of the dump which says otherwise, at the latest the day after expiry; null while neither is known.';

COMMENT ON COLUMN public.instrument_validity.batch_id IS 'The dump that opened the range.';

COMMENT ON COLUMN public.instrument_validity.strike IS 'Times 10^price_scale.';

COMMENT ON COLUMN public.instrument_validity.price_scale IS 'Decimals of strike and tick_size.';

COMMENT ON COLUMN public.instrument_validity.tick_size IS 'Smallest price step, times 10^price_scale.';

CREATE VIEW public.instrument_current AS
 SELECT source,
    exchange,
    tradingsymbol,
    valid_from,
    valid_to,
    batch_id,
    instrument_token,
    exchange_token,
    name,
    expiry,
    strike,
    price_scale,
    tick_size,
    lot_size,
    instrument_type,
    segment
   FROM public.instrument_validity
  WHERE ((valid_from <= ((now() AT TIME ZONE 'Asia/Kolkata'::text))::date) AND ((valid_to IS NULL) OR (valid_to > ((now() AT TIME ZONE 'Asia/Kolkata'::text))::date)));

COMMENT ON VIEW public.instrument_current IS 'What can be traded today (IST), by the newest dump.';

CREATE TABLE public.instrument_observation (
    exchange text NOT NULL COLLATE pg_catalog."C",
    tradingsymbol text NOT NULL COLLATE pg_catalog."C",
    observed_on date NOT NULL,
    batch_id bigint NOT NULL,
    stated_by bigint NOT NULL,
    listed boolean NOT NULL,
    instrument_token bigint,
    exchange_token bigint,
    name text,
    expiry date,
    strike bigint,
    price_scale smallint,
    tick_size bigint,
    lot_size integer,
    instrument_type text COLLATE pg_catalog."C",
    segment text COLLATE pg_catalog."C",
    CONSTRAINT instrument_observation_check CHECK ((listed = (num_nulls(instrument_token, exchange_token, price_scale, tick_size, lot_size, instrument_type, segment) = 0))),
    CONSTRAINT instrument_observation_check1 CHECK ((listed OR (num_nonnulls(instrument_token, exchange_token, name, expiry, strike, price_scale, tick_size, lot_size, instrument_type, segment) = 0))),
    CONSTRAINT instrument_observation_check2 CHECK ((stated_by >= batch_id))
);

COMMENT ON TABLE public.instrument_observation IS 'Append-only: what a dump said of a symbol, where the dump before it had said otherwise. A dump without a row for a symbol says what the dump before it said.';

COMMENT ON COLUMN public.instrument_observation.observed_on IS 'The day of the batch.';

COMMENT ON COLUMN public.instrument_observation.batch_id IS 'The dump that says so.';

COMMENT ON COLUMN public.instrument_observation.stated_by IS 'The dump whose recording wrote the row: batch_id itself, or an older dump that arrived later and before which this dump needed no row.';

COMMENT ON COLUMN public.instrument_observation.listed IS 'False: the dump has the symbol no longer, and the columns that follow are null.';

COMMENT ON COLUMN public.instrument_observation.strike IS 'Times 10^price_scale.';

COMMENT ON COLUMN public.instrument_observation.price_scale IS 'Decimals of strike and tick_size.';

COMMENT ON COLUMN public.instrument_observation.tick_size IS 'Smallest price step, times 10^price_scale.';

CREATE TABLE public.instrument_publication (
    batch_id bigint NOT NULL,
    topic text NOT NULL,
    records integer NOT NULL,
    published_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT instrument_publication_records_check CHECK ((records >= 0)),
    CONSTRAINT instrument_publication_topic_check CHECK ((topic <> ''::text))
);

COMMENT ON TABLE public.instrument_publication IS 'Which batches Kafka has; what is not here is published again, which a compacted topic bears.';

COMMENT ON COLUMN public.instrument_publication.records IS 'Records sent in that publication, which may have served several batches.';

ALTER TABLE ONLY public.dlq_event
    ADD CONSTRAINT dlq_event_pkey PRIMARY KEY (event_id);

ALTER TABLE ONLY public.dlq_failure
    ADD CONSTRAINT dlq_failure_pkey PRIMARY KEY (failure_id);

ALTER TABLE ONLY public.dlq_failure
    ADD CONSTRAINT dlq_failure_topic_partition_id_record_offset_topic_id_key UNIQUE (topic, partition_id, record_offset, topic_id);

ALTER TABLE ONLY public.dlq_group
    ADD CONSTRAINT dlq_group_pkey PRIMARY KEY (fingerprint);

ALTER TABLE ONLY public.dlq_redrive
    ADD CONSTRAINT dlq_redrive_pkey PRIMARY KEY (redrive_id);

ALTER TABLE ONLY public.dlq_redrive_run
    ADD CONSTRAINT dlq_redrive_run_feed_session_key UNIQUE (feed_session);

ALTER TABLE ONLY public.dlq_redrive
    ADD CONSTRAINT dlq_redrive_run_id_position_key UNIQUE (run_id, "position");

ALTER TABLE ONLY public.dlq_redrive_run
    ADD CONSTRAINT dlq_redrive_run_pkey PRIMARY KEY (run_id);

ALTER TABLE ONLY public.dlq_state
    ADD CONSTRAINT dlq_state_pkey PRIMARY KEY (failure_id);

ALTER TABLE ONLY public.instrument_batch
    ADD CONSTRAINT instrument_batch_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY public.instrument_observation
    ADD CONSTRAINT instrument_observation_pkey PRIMARY KEY (exchange, tradingsymbol, observed_on, batch_id);

ALTER TABLE ONLY public.instrument_publication
    ADD CONSTRAINT instrument_publication_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY public.instrument_validity
    ADD CONSTRAINT instrument_validity_pkey PRIMARY KEY (tradingsymbol, exchange, valid_from, source);

CREATE INDEX dlq_event_failure ON public.dlq_event USING btree (failure_id, event_id);

CREATE INDEX dlq_failure_origin ON public.dlq_failure USING btree (origin_topic, origin_partition, origin_offset) WHERE (origin_topic IS NOT NULL);

CREATE INDEX dlq_redrive_failure ON public.dlq_redrive USING btree (failure_id);

CREATE INDEX dlq_redrive_reserved ON public.dlq_redrive USING btree (run_id, "position") WHERE (status = 'reserved'::text);

CREATE INDEX dlq_state_assigned ON public.dlq_state USING btree (fingerprint, assignee) WHERE (assignee <> ''::text);

CREATE INDEX dlq_state_group ON public.dlq_state USING btree (fingerprint, failure_id);

CREATE INDEX dlq_state_unresolved ON public.dlq_state USING btree (seen_at) WHERE (status = 'open'::text);

CREATE INDEX instrument_batch_day ON public.instrument_batch USING btree (source, observed_on, batch_id);

CREATE INDEX instrument_validity_end ON public.instrument_validity USING btree (valid_to);

CREATE INDEX instrument_validity_token ON public.instrument_validity USING btree (instrument_token);

CREATE TRIGGER dlq_event_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.dlq_event FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER dlq_failure_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.dlq_failure FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER instrument_batch_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.instrument_batch FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER instrument_observation_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.instrument_observation FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

ALTER TABLE ONLY public.dlq_event
    ADD CONSTRAINT dlq_event_failure_id_fkey FOREIGN KEY (failure_id) REFERENCES public.dlq_failure(failure_id);

ALTER TABLE ONLY public.dlq_redrive
    ADD CONSTRAINT dlq_redrive_failure_id_fkey FOREIGN KEY (failure_id) REFERENCES public.dlq_failure(failure_id);

ALTER TABLE ONLY public.dlq_redrive
    ADD CONSTRAINT dlq_redrive_run_id_fkey FOREIGN KEY (run_id) REFERENCES public.dlq_redrive_run(run_id);

ALTER TABLE ONLY public.instrument_observation
    ADD CONSTRAINT instrument_observation_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES public.instrument_batch(batch_id);

ALTER TABLE ONLY public.instrument_observation
    ADD CONSTRAINT instrument_observation_stated_by_fkey FOREIGN KEY (stated_by) REFERENCES public.instrument_batch(batch_id);

ALTER TABLE ONLY public.instrument_publication
    ADD CONSTRAINT instrument_publication_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES public.instrument_batch(batch_id);
