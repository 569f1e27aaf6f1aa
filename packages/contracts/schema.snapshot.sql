CREATE FUNCTION public.bar_groups(length integer, since timestamp with time zone DEFAULT '-infinity'::timestamp with time zone, until timestamp with time zone DEFAULT 'infinity'::timestamp with time zone) RETURNS TABLE(ts_open timestamp with time zone, instrument_id integer, open bigint, high bigint, low bigint, close bigint, volume bigint, oi bigint, price_scale smallint, minutes smallint, conflicts smallint, flags integer, first_batch_id bigint, last_batch_id bigint)
    LANGUAGE sql STABLE
    AS $$
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
            count(*) FILTER (WHERE b.verdict IN (8, 9, 10, 11))::smallint AS conflicts,
            bit_or(b.flags) AS flags,
            min(b.batch_id) AS first_batch_id,
            max(b.batch_id) AS last_batch_id
        FROM bars_1m b, LATERAL (SELECT (10 ^ (9 - b.price_scale))::bigint AS factor) s
        WHERE b.ts_open >= since AND b.ts_open < until
        GROUP BY 1, 2
    ) g, LATERAL (SELECT (10 ^ (9 - g.price_scale))::bigint AS factor) f
$$;

COMMENT ON FUNCTION public.bar_groups(length integer, since timestamp with time zone, until timestamp with time zone) IS 'Golden bars of so many minutes, counted from the opening of the day, made from the minutes of a span: give it whole days. minutes tells of how many each is made, conflicts in how many of them the sources differ.';

CREATE FUNCTION public.make_bar_month(month date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    first timestamptz := date_trunc('month', month::timestamp) AT TIME ZONE 'Asia/Kolkata';
    next timestamptz :=
        (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'Asia/Kolkata';
    suffix text := to_char(month, '"_"YYYY"_"MM');
    parent text;
BEGIN
    IF month NOT BETWEEN date '1990-01-01' AND date '2100-12-31' THEN
        RAISE EXCEPTION 'no bars are kept for %', month USING ERRCODE = 'check_violation';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('make_bar_month', 0));
    IF to_regclass('bar_observation' || suffix) IS NOT NULL THEN
        RETURN false;
    END IF;
    FOREACH parent IN ARRAY ARRAY['bar_observation', 'bars_1m'] LOOP
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', parent || suffix, parent);
        EXECUTE format(
            'ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            parent, parent || suffix, first, next
        );
    END LOOP;
    EXECUTE format(
        'CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
        'FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite()',
        'bar_observation' || suffix
    );
    RETURN true;
END
$$;

COMMENT ON FUNCTION public.make_bar_month(month date) IS 'Makes the partitions of a month (IST) of bar_observation and bars_1m; false when they are there. Runs as the owner of the tables, so that who may insert needs no right to create.';

CREATE FUNCTION public.refuse_rewrite() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

COMMENT ON FUNCTION public.refuse_rewrite() IS 'Trigger of tables that hold the truth: what was observed stays as it was written.';

CREATE TABLE public.bar_batch (
    batch_id bigint NOT NULL,
    source_id smallint NOT NULL,
    minutes smallint NOT NULL,
    month date NOT NULL,
    purpose text NOT NULL COLLATE pg_catalog."C",
    first_instrument integer NOT NULL,
    last_instrument integer NOT NULL,
    first_open timestamp with time zone NOT NULL,
    last_open timestamp with time zone NOT NULL,
    started_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    content_sha256 bytea NOT NULL,
    file_sha256 bytea,
    file_name text,
    rules_sha256 bytea NOT NULL,
    rows_good integer NOT NULL,
    rows_refused integer NOT NULL,
    added integer NOT NULL,
    revised integer NOT NULL,
    unchanged integer NOT NULL,
    parameters jsonb DEFAULT '{}'::jsonb NOT NULL,
    CONSTRAINT bar_batch_added_check CHECK ((added >= 0)),
    CONSTRAINT bar_batch_check CHECK ((last_instrument >= first_instrument)),
    CONSTRAINT bar_batch_check1 CHECK ((last_open >= first_open)),
    CONSTRAINT bar_batch_check2 CHECK ((rows_good = ((added + revised) + unchanged))),
    CONSTRAINT bar_batch_content_sha256_check CHECK ((octet_length(content_sha256) = 32)),
    CONSTRAINT bar_batch_file_sha256_check CHECK ((octet_length(file_sha256) = 32)),
    CONSTRAINT bar_batch_minutes_check CHECK ((minutes = ANY (ARRAY[1, 1440]))),
    CONSTRAINT bar_batch_month_check CHECK ((EXTRACT(day FROM month) = (1)::numeric)),
    CONSTRAINT bar_batch_purpose_check CHECK ((purpose = ANY (ARRAY['history'::text, 'heal'::text, 'live'::text]))),
    CONSTRAINT bar_batch_revised_check CHECK ((revised >= 0)),
    CONSTRAINT bar_batch_rows_refused_check CHECK ((rows_refused >= 0)),
    CONSTRAINT bar_batch_unchanged_check CHECK ((unchanged >= 0))
);

COMMENT ON TABLE public.bar_batch IS 'Append-only: bars of one source, interval and month that were recorded in one transaction. A batch that confirmed all it brought is here, too.';

COMMENT ON COLUMN public.bar_batch.minutes IS 'Length of its bars: 1, or 1440 for days.';

COMMENT ON COLUMN public.bar_batch.month IS 'First day (IST) of the month of its bars.';

COMMENT ON COLUMN public.bar_batch.purpose IS 'history; heal: fetched to close a gap of the feed; live: built from the feed''s bars.';

COMMENT ON COLUMN public.bar_batch.first_instrument IS 'Lowest instrument_id of its bars: the same bars again are known by content_sha256, unless a later batch that overlaps in instruments and time has said otherwise.';

COMMENT ON COLUMN public.bar_batch.recorded_at IS 'When it was written, rising in the order of COMMIT; reads as of a time compare with it.';

COMMENT ON COLUMN public.bar_batch.content_sha256 IS 'Of its instruments and columns, sorted.';

COMMENT ON COLUMN public.bar_batch.file_sha256 IS 'Of the file it came from; null for a download.';

COMMENT ON COLUMN public.bar_batch.rules_sha256 IS 'The rules it was merged with.';

COMMENT ON COLUMN public.bar_batch.rows_refused IS 'Bars of the same chunk that were bad input.';

COMMENT ON COLUMN public.bar_batch.added IS 'Bars of which the source had said nothing before.';

COMMENT ON COLUMN public.bar_batch.revised IS 'Bars that differ from the source''s last word.';

COMMENT ON COLUMN public.bar_batch.unchanged IS 'Bars that repeat the source''s last word; not kept again.';

COMMENT ON COLUMN public.bar_batch.parameters IS 'How it was obtained, for people.';

ALTER TABLE public.bar_batch ALTER COLUMN batch_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.bar_batch_batch_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.bar_decision (
    decision_id bigint NOT NULL,
    batch_id bigint NOT NULL,
    instrument_id integer NOT NULL,
    accepted boolean NOT NULL,
    who text NOT NULL,
    note text DEFAULT ''::text NOT NULL,
    decided_at timestamp with time zone NOT NULL,
    CONSTRAINT bar_decision_who_check CHECK ((who <> ''::text))
);

COMMENT ON TABLE public.bar_decision IS 'Append-only: whether a revision counts, by whom and when; the last decision holds.';

ALTER TABLE public.bar_decision ALTER COLUMN decision_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.bar_decision_decision_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.bar_instrument (
    instrument_id integer NOT NULL,
    exchange text NOT NULL COLLATE pg_catalog."C",
    tradingsymbol text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT bar_instrument_exchange_check CHECK ((exchange <> ''::text)),
    CONSTRAINT bar_instrument_tradingsymbol_check CHECK ((tradingsymbol <> ''::text))
);

COMMENT ON TABLE public.bar_instrument IS 'Append-only: the number that stands for an exchange''s symbol in the tables of bars. Which contract the symbol was on a day is in instrument_validity.';

ALTER TABLE public.bar_instrument ALTER COLUMN instrument_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.bar_instrument_instrument_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.bar_observation (
    ts_open timestamp with time zone NOT NULL,
    batch_id bigint NOT NULL,
    open bigint NOT NULL,
    high bigint NOT NULL,
    low bigint NOT NULL,
    close bigint NOT NULL,
    volume bigint NOT NULL,
    oi bigint,
    instrument_id integer NOT NULL,
    tick_size integer NOT NULL,
    minutes smallint NOT NULL,
    source_id smallint NOT NULL,
    price_scale smallint NOT NULL,
    CONSTRAINT bar_observation_check CHECK (((low <= LEAST(open, close)) AND (high >= GREATEST(open, close)) AND (volume >= 0)))
)
PARTITION BY RANGE (ts_open);

COMMENT ON TABLE public.bar_observation IS 'Append-only: what a source said of a bar, where it differs from what the source said of it before. Partitions by month are made by make_bar_month.';

COMMENT ON COLUMN public.bar_observation.ts_open IS 'Start of the bar; for a day midnight in India.';

COMMENT ON COLUMN public.bar_observation.batch_id IS 'The batch of bar_batch that says so; without a foreign key, which would cost more than the row.';

COMMENT ON COLUMN public.bar_observation.open IS 'Prices are times 10^price_scale.';

COMMENT ON COLUMN public.bar_observation.oi IS 'Open interest at the end of the bar; null where none.';

COMMENT ON COLUMN public.bar_observation.tick_size IS 'Smallest price step of the instrument on that day, times 10^price_scale; 0 when not known. Not a word of the source, but what its word is judged by.';

COMMENT ON COLUMN public.bar_observation.minutes IS 'Length of the bar: 1, or 1440 for a day.';

CREATE TABLE public.bar_projection (
    minutes smallint NOT NULL,
    month date NOT NULL,
    rules_sha256 bytea NOT NULL,
    made_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE public.bar_projection IS 'Which months of golden bars are whole, and the rules they were made by. A month that is not here, or was made by other rules, is made anew by the next merge into it.';

CREATE TABLE public.bar_revision (
    batch_id bigint NOT NULL,
    instrument_id integer NOT NULL,
    source_id smallint NOT NULL,
    minutes smallint NOT NULL,
    first_open timestamp with time zone NOT NULL,
    last_open timestamp with time zone NOT NULL,
    bars integer NOT NULL,
    ratio numeric NOT NULL,
    CONSTRAINT bar_revision_bars_check CHECK ((bars > 0)),
    CONSTRAINT bar_revision_check CHECK ((last_open >= first_open)),
    CONSTRAINT bar_revision_ratio_check CHECK ((ratio > (0)::numeric))
);

COMMENT ON TABLE public.bar_revision IS 'Append-only: a stretch that a source restated by one ratio, as after a bonus or a split. Its bars of that batch and of later ones do not count until a person accepts the revision.';

COMMENT ON COLUMN public.bar_revision.bars IS 'How many bars of the stretch differ.';

COMMENT ON COLUMN public.bar_revision.ratio IS 'New prices divided by those before.';

CREATE TABLE public.bar_rules (
    rules_sha256 bytea NOT NULL,
    rules jsonb NOT NULL,
    first_used timestamp with time zone NOT NULL,
    CONSTRAINT bar_rules_rules_sha256_check CHECK ((octet_length(rules_sha256) = 32))
);

COMMENT ON TABLE public.bar_rules IS 'Append-only: every set of merge rules that was ever used.';

COMMENT ON COLUMN public.bar_rules.rules_sha256 IS 'Of the rules as canonical JSON.';

CREATE TABLE public.bar_source (
    source_id smallint NOT NULL,
    source text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT bar_source_source_check CHECK ((source <> ''::text))
);

COMMENT ON TABLE public.bar_source IS 'Append-only: the number that stands for a source, such as kite or a vendor''s name.';

ALTER TABLE public.bar_source ALTER COLUMN source_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.bar_source_source_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.bar_verdict (
    verdict smallint NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    meaning text NOT NULL
);

COMMENT ON TABLE public.bar_verdict IS 'Append-only: what the numbers in the column verdict mean.';

CREATE VIEW public.bars_15m AS
 SELECT ts_open,
    instrument_id,
    open,
    high,
    low,
    close,
    volume,
    oi,
    price_scale,
    minutes,
    conflicts,
    flags,
    first_batch_id,
    last_batch_id
   FROM public.bar_groups(15) bar_groups(ts_open, instrument_id, open, high, low, close, volume, oi, price_scale, minutes, conflicts, flags, first_batch_id, last_batch_id);

COMMENT ON VIEW public.bars_15m IS 'Golden bars of 15 minutes; name the instrument, or use bar_groups.';

CREATE TABLE public.bars_1d (
    ts_open timestamp with time zone CONSTRAINT bars_1m_ts_open_not_null NOT NULL,
    batch_id bigint CONSTRAINT bars_1m_batch_id_not_null NOT NULL,
    other_batch_id bigint,
    open bigint CONSTRAINT bars_1m_open_not_null NOT NULL,
    high bigint CONSTRAINT bars_1m_high_not_null NOT NULL,
    low bigint CONSTRAINT bars_1m_low_not_null NOT NULL,
    close bigint CONSTRAINT bars_1m_close_not_null NOT NULL,
    volume bigint CONSTRAINT bars_1m_volume_not_null NOT NULL,
    oi bigint,
    instrument_id integer CONSTRAINT bars_1m_instrument_id_not_null NOT NULL,
    flags integer CONSTRAINT bars_1m_flags_not_null NOT NULL,
    price_scale smallint CONSTRAINT bars_1m_price_scale_not_null NOT NULL,
    verdict smallint CONSTRAINT bars_1m_verdict_not_null NOT NULL,
    differs smallint CONSTRAINT bars_1m_differs_not_null NOT NULL,
    from_other smallint CONSTRAINT bars_1m_from_other_not_null NOT NULL,
    session_minute smallint CONSTRAINT bars_1m_session_minute_not_null NOT NULL
);

COMMENT ON TABLE public.bars_1d IS 'Projection of bar_observation, which can be rebuilt: the golden bar of each day from what the sources say of days, not from minutes: a day''s close is no last trade. Columns as in bars_1m.';

COMMENT ON COLUMN public.bars_1d.ts_open IS 'Midnight in India.';

CREATE TABLE public.bars_1m (
    ts_open timestamp with time zone NOT NULL,
    batch_id bigint NOT NULL,
    other_batch_id bigint,
    open bigint NOT NULL,
    high bigint NOT NULL,
    low bigint NOT NULL,
    close bigint NOT NULL,
    volume bigint NOT NULL,
    oi bigint,
    instrument_id integer NOT NULL,
    flags integer NOT NULL,
    price_scale smallint NOT NULL,
    verdict smallint NOT NULL,
    differs smallint NOT NULL,
    from_other smallint NOT NULL,
    session_minute smallint NOT NULL
)
PARTITION BY RANGE (ts_open);

COMMENT ON TABLE public.bars_1m IS 'Projection of bar_observation, which can be rebuilt: the golden bar of each minute, why it is so, and the two observations it was made from. Partitions by month.';

COMMENT ON COLUMN public.bars_1m.ts_open IS 'Start of the bar, which covers one minute.';

COMMENT ON COLUMN public.bars_1m.batch_id IS 'The batch whose observation of this bar won.';

COMMENT ON COLUMN public.bars_1m.other_batch_id IS 'The batch whose observation it was compared with; null where no other source has the bar.';

COMMENT ON COLUMN public.bars_1m.open IS 'Prices are times 10^price_scale.';

COMMENT ON COLUMN public.bars_1m.flags IS 'Bits: 1 off the tick grid, 2 implausible jump, 4 volume looks cumulative, 8 flat without volume, 16 the source restated it by a ratio and nobody has accepted that.';

COMMENT ON COLUMN public.bars_1m.verdict IS 'See bar_verdict.';

COMMENT ON COLUMN public.bars_1m.differs IS 'What the two observations say otherwise, in bits: 1 open, 2 high, 4 low, 8 close, 16 volume, 32 open interest.';

COMMENT ON COLUMN public.bars_1m.from_other IS 'Which of these were taken from the other observation.';

COMMENT ON COLUMN public.bars_1m.session_minute IS 'Minutes since the day''s continuous trading opened; since midnight where that is not known. Longer bars are grouped by it.';

CREATE VIEW public.bars_5m AS
 SELECT ts_open,
    instrument_id,
    open,
    high,
    low,
    close,
    volume,
    oi,
    price_scale,
    minutes,
    conflicts,
    flags,
    first_batch_id,
    last_batch_id
   FROM public.bar_groups(5) bar_groups(ts_open, instrument_id, open, high, low, close, volume, oi, price_scale, minutes, conflicts, flags, first_batch_id, last_batch_id);

COMMENT ON VIEW public.bars_5m IS 'Golden bars of 5 minutes; name the instrument, or use bar_groups.';

CREATE VIEW public.bars_60m AS
 SELECT ts_open,
    instrument_id,
    open,
    high,
    low,
    close,
    volume,
    oi,
    price_scale,
    minutes,
    conflicts,
    flags,
    first_batch_id,
    last_batch_id
   FROM public.bar_groups(60) bar_groups(ts_open, instrument_id, open, high, low, close, volume, oi, price_scale, minutes, conflicts, flags, first_batch_id, last_batch_id);

COMMENT ON VIEW public.bars_60m IS 'Golden bars of 60 minutes from the opening of the day (09:15, 10:15 …), as the exchange''s charts have them; name the instrument, or use bar_groups.';

CREATE VIEW public.bars_named AS
 SELECT i.exchange,
    i.tradingsymbol,
    b.ts_open,
    round(((b.open)::numeric / ((10)::numeric ^ (b.price_scale)::numeric)), (b.price_scale)::integer) AS open,
    round(((b.high)::numeric / ((10)::numeric ^ (b.price_scale)::numeric)), (b.price_scale)::integer) AS high,
    round(((b.low)::numeric / ((10)::numeric ^ (b.price_scale)::numeric)), (b.price_scale)::integer) AS low,
    round(((b.close)::numeric / ((10)::numeric ^ (b.price_scale)::numeric)), (b.price_scale)::integer) AS close,
    b.volume,
    b.oi,
    v.name AS verdict,
    b.flags,
    b.differs,
    b.from_other,
    b.batch_id,
    b.other_batch_id
   FROM ((public.bars_1m b
     JOIN public.bar_instrument i USING (instrument_id))
     JOIN public.bar_verdict v USING (verdict));

COMMENT ON VIEW public.bars_named IS 'bars_1m for people: symbols, decimal prices, the verdict in words.';

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

COMMENT ON COLUMN public.dlq_failure.reason IS 'A code of kite_contracts.reasons, such as SEMANTIC_RANGE.';

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

CREATE TABLE public.feed_gap (
    gap_id text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL COLLATE pg_catalog."C",
    feed text NOT NULL COLLATE pg_catalog."C",
    shard smallint NOT NULL,
    tokens bigint[] NOT NULL,
    from_ts timestamp with time zone NOT NULL,
    to_ts timestamp with time zone,
    cause text DEFAULT ''::text NOT NULL,
    happened_at timestamp with time zone NOT NULL,
    recorded_at timestamp with time zone NOT NULL,
    batch_ids bigint[] DEFAULT '{}'::bigint[] NOT NULL,
    CONSTRAINT feed_gap_check CHECK ((to_ts >= from_ts)),
    CONSTRAINT feed_gap_check1 CHECK (((to_ts IS NULL) = (state = 'opened'::text))),
    CONSTRAINT feed_gap_feed_check CHECK ((feed <> ''::text)),
    CONSTRAINT feed_gap_gap_id_check CHECK ((gap_id <> ''::text)),
    CONSTRAINT feed_gap_shard_check CHECK ((shard >= 0)),
    CONSTRAINT feed_gap_state_check CHECK ((state = ANY (ARRAY['opened'::text, 'closed'::text, 'healed'::text])))
);

COMMENT ON TABLE public.feed_gap IS 'Append-only: silences of the live feed, a row when one opens, when the feed is back, and when the bars of the silence were fetched.';

COMMENT ON COLUMN public.feed_gap.gap_id IS 'That of the feed''s events.';

COMMENT ON COLUMN public.feed_gap.tokens IS 'Instruments that it concerns, as numbered on that day; empty for all of the shard.';

COMMENT ON COLUMN public.feed_gap.batch_ids IS 'healed: the batches with the bars.';

CREATE VIEW public.feed_gap_open AS
 SELECT DISTINCT ON (gap_id) gap_id,
    state,
    feed,
    shard,
    tokens,
    from_ts,
    to_ts,
    cause,
    happened_at,
    recorded_at,
    batch_ids
   FROM public.feed_gap g
  WHERE (NOT (EXISTS ( SELECT
           FROM public.feed_gap h
          WHERE ((h.gap_id = g.gap_id) AND (h.state = 'healed'::text)))))
  ORDER BY gap_id, state;

COMMENT ON VIEW public.feed_gap_open IS 'Gaps whose bars were not fetched; closed is the state of one that has ended.';

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

ALTER TABLE ONLY public.bar_batch
    ADD CONSTRAINT bar_batch_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY public.bar_decision
    ADD CONSTRAINT bar_decision_pkey PRIMARY KEY (decision_id);

ALTER TABLE ONLY public.bar_instrument
    ADD CONSTRAINT bar_instrument_pkey PRIMARY KEY (instrument_id);

ALTER TABLE ONLY public.bar_instrument
    ADD CONSTRAINT bar_instrument_tradingsymbol_exchange_key UNIQUE (tradingsymbol, exchange);

ALTER TABLE ONLY public.bar_observation
    ADD CONSTRAINT bar_observation_pkey PRIMARY KEY (instrument_id, minutes, ts_open, source_id, batch_id);

ALTER TABLE ONLY public.bar_projection
    ADD CONSTRAINT bar_projection_pkey PRIMARY KEY (minutes, month);

ALTER TABLE ONLY public.bar_revision
    ADD CONSTRAINT bar_revision_pkey PRIMARY KEY (batch_id, instrument_id);

ALTER TABLE ONLY public.bar_rules
    ADD CONSTRAINT bar_rules_pkey PRIMARY KEY (rules_sha256);

ALTER TABLE ONLY public.bar_source
    ADD CONSTRAINT bar_source_pkey PRIMARY KEY (source_id);

ALTER TABLE ONLY public.bar_source
    ADD CONSTRAINT bar_source_source_key UNIQUE (source);

ALTER TABLE ONLY public.bar_verdict
    ADD CONSTRAINT bar_verdict_name_key UNIQUE (name);

ALTER TABLE ONLY public.bar_verdict
    ADD CONSTRAINT bar_verdict_pkey PRIMARY KEY (verdict);

ALTER TABLE ONLY public.bars_1d
    ADD CONSTRAINT bars_1d_pkey PRIMARY KEY (instrument_id, ts_open);

ALTER TABLE ONLY public.bars_1m
    ADD CONSTRAINT bars_1m_pkey PRIMARY KEY (instrument_id, ts_open);

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

ALTER TABLE ONLY public.feed_gap
    ADD CONSTRAINT feed_gap_pkey PRIMARY KEY (gap_id, state);

ALTER TABLE ONLY public.instrument_batch
    ADD CONSTRAINT instrument_batch_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY public.instrument_observation
    ADD CONSTRAINT instrument_observation_pkey PRIMARY KEY (exchange, tradingsymbol, observed_on, batch_id);

ALTER TABLE ONLY public.instrument_publication
    ADD CONSTRAINT instrument_publication_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY public.instrument_validity
    ADD CONSTRAINT instrument_validity_pkey PRIMARY KEY (tradingsymbol, exchange, valid_from, source);

CREATE INDEX bar_batch_content ON public.bar_batch USING btree (source_id, minutes, month, content_sha256);

CREATE INDEX bar_batch_recorded ON public.bar_batch USING btree (recorded_at);

CREATE INDEX bar_decision_revision ON public.bar_decision USING btree (batch_id, instrument_id, decision_id);

CREATE INDEX bar_revision_instrument ON public.bar_revision USING btree (instrument_id, minutes);

CREATE INDEX dlq_event_failure ON public.dlq_event USING btree (failure_id, event_id);

CREATE INDEX dlq_redrive_failure ON public.dlq_redrive USING btree (failure_id);

CREATE INDEX dlq_redrive_reserved ON public.dlq_redrive USING btree (run_id, "position") WHERE (status = 'reserved'::text);

CREATE INDEX dlq_state_assigned ON public.dlq_state USING btree (fingerprint, assignee) WHERE (assignee <> ''::text);

CREATE INDEX dlq_state_group ON public.dlq_state USING btree (fingerprint, failure_id);

CREATE INDEX dlq_state_unresolved ON public.dlq_state USING btree (seen_at) WHERE (status = 'open'::text);

CREATE INDEX instrument_batch_day ON public.instrument_batch USING btree (source, observed_on, batch_id);

CREATE INDEX instrument_validity_end ON public.instrument_validity USING btree (valid_to);

CREATE INDEX instrument_validity_token ON public.instrument_validity USING btree (instrument_token);

CREATE TRIGGER bar_batch_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.bar_batch FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER bar_decision_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.bar_decision FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER bar_instrument_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.bar_instrument FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER bar_observation_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.bar_observation FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER bar_revision_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.bar_revision FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER bar_rules_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.bar_rules FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER bar_source_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.bar_source FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER bar_verdict_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.bar_verdict FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER dlq_event_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.dlq_event FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER dlq_failure_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.dlq_failure FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER feed_gap_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.feed_gap FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER instrument_batch_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.instrument_batch FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER instrument_observation_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.instrument_observation FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

ALTER TABLE ONLY public.bar_batch
    ADD CONSTRAINT bar_batch_rules_sha256_fkey FOREIGN KEY (rules_sha256) REFERENCES public.bar_rules(rules_sha256);

ALTER TABLE ONLY public.bar_batch
    ADD CONSTRAINT bar_batch_source_id_fkey FOREIGN KEY (source_id) REFERENCES public.bar_source(source_id);

ALTER TABLE ONLY public.bar_decision
    ADD CONSTRAINT bar_decision_batch_id_instrument_id_fkey FOREIGN KEY (batch_id, instrument_id) REFERENCES public.bar_revision(batch_id, instrument_id);

ALTER TABLE ONLY public.bar_projection
    ADD CONSTRAINT bar_projection_rules_sha256_fkey FOREIGN KEY (rules_sha256) REFERENCES public.bar_rules(rules_sha256);

ALTER TABLE ONLY public.bar_revision
    ADD CONSTRAINT bar_revision_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES public.bar_batch(batch_id);

ALTER TABLE ONLY public.bar_revision
    ADD CONSTRAINT bar_revision_instrument_id_fkey FOREIGN KEY (instrument_id) REFERENCES public.bar_instrument(instrument_id);

ALTER TABLE ONLY public.bar_revision
    ADD CONSTRAINT bar_revision_source_id_fkey FOREIGN KEY (source_id) REFERENCES public.bar_source(source_id);

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
