-- Bars: what each source said of a minute or a day (append-only), the golden series made from it
-- (which can be rebuilt), and the gaps of the live feed.

CREATE TABLE bar_instrument (
    instrument_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    exchange      text COLLATE "C" NOT NULL CHECK (exchange <> ''),
    tradingsymbol text COLLATE "C" NOT NULL CHECK (tradingsymbol <> ''),
    UNIQUE (tradingsymbol, exchange)
);
COMMENT ON TABLE bar_instrument IS
    'Append-only: the number that stands for an exchange''s symbol in the tables of bars. Which '
    'contract the symbol was on a day is in instrument_validity.';

CREATE TABLE bar_source (
    source_id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source    text COLLATE "C" NOT NULL UNIQUE CHECK (source <> '')
);
COMMENT ON TABLE bar_source IS
    'Append-only: the number that stands for a source, such as kite or a vendor''s name.';

CREATE TABLE bar_rules (
    rules_sha256 bytea PRIMARY KEY CHECK (octet_length(rules_sha256) = 32),
    rules        jsonb NOT NULL,
    first_used   timestamptz NOT NULL
);
COMMENT ON TABLE bar_rules IS 'Append-only: every set of merge rules that was ever used.';
COMMENT ON COLUMN bar_rules.rules_sha256 IS 'Of the rules as canonical JSON.';

CREATE TABLE bar_verdict (
    verdict smallint PRIMARY KEY,
    name    text COLLATE "C" NOT NULL UNIQUE,
    meaning text NOT NULL
);
COMMENT ON TABLE bar_verdict IS 'Append-only: what the numbers in the column verdict mean.';
INSERT INTO bar_verdict VALUES
    (1, 'AGREED', 'both sources say the same'),
    (2, 'WITHIN_TOLERANCE', 'they differ by no more than the rules allow'),
    (3, 'AGREED_NO_TRADE', 'one source pads the minute flat without volume; the other has no bar '
        'in it, but some before and after'),
    (4, 'HEALED', 'fetched to close a gap; no other source has it'),
    (5, 'BROKER_ONLY', 'only the broker has it'),
    (6, 'VENDOR_ONLY', 'only a vendor has it'),
    (7, 'LIVE_ONLY', 'only the live feed has it'),
    (8, 'CONFLICT_BROKER_WON', 'they differ by more than the rules allow; the broker precedes'),
    (9, 'CONFLICT_VENDOR_WON', 'they differ by more than the rules allow; the vendor precedes'),
    (10, 'CONFLICT_LIVE_WON', 'they differ by more than the rules allow; the live feed precedes');

CREATE TABLE bar_batch (
    batch_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id        smallint NOT NULL REFERENCES bar_source,
    minutes          smallint NOT NULL CHECK (minutes IN (1, 1440)),
    month            date NOT NULL CHECK (extract(day FROM month) = 1),
    purpose          text COLLATE "C" NOT NULL CHECK (purpose IN ('history', 'heal', 'live')),
    first_instrument integer NOT NULL,
    last_instrument  integer NOT NULL CHECK (last_instrument >= first_instrument),
    first_open       timestamptz NOT NULL,
    last_open        timestamptz NOT NULL CHECK (last_open >= first_open),
    started_at       timestamptz NOT NULL,
    recorded_at      timestamptz NOT NULL,
    content_sha256   bytea NOT NULL CHECK (octet_length(content_sha256) = 32),
    file_sha256      bytea CHECK (octet_length(file_sha256) = 32),
    file_name        text,
    rules_sha256     bytea NOT NULL REFERENCES bar_rules,
    rows_good        integer NOT NULL CHECK (rows_good = added + revised + unchanged),
    rows_refused     integer NOT NULL CHECK (rows_refused >= 0),
    added            integer NOT NULL CHECK (added >= 0),
    revised          integer NOT NULL CHECK (revised >= 0),
    unchanged        integer NOT NULL CHECK (unchanged >= 0),
    parameters       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX bar_batch_content ON bar_batch (source_id, minutes, month, content_sha256);
CREATE INDEX bar_batch_recorded ON bar_batch (recorded_at);
COMMENT ON TABLE bar_batch IS
    'Append-only: bars of one source, interval and month that were recorded in one transaction. A '
    'batch that confirmed all it brought is here, too.';
COMMENT ON COLUMN bar_batch.minutes IS 'Length of its bars: 1, or 1440 for days.';
COMMENT ON COLUMN bar_batch.month IS 'First day (IST) of the month of its bars.';
COMMENT ON COLUMN bar_batch.purpose IS
    'history; heal: fetched to close a gap of the feed; live: built from the feed''s bars.';
COMMENT ON COLUMN bar_batch.first_instrument IS
    'Lowest instrument_id of its bars: the same bars again are known by content_sha256, unless a '
    'later batch that overlaps in instruments and time has said otherwise.';
COMMENT ON COLUMN bar_batch.recorded_at IS
    'When it was written, rising in the order of COMMIT; reads as of a time compare with it.';
COMMENT ON COLUMN bar_batch.content_sha256 IS 'Of its instruments and columns, sorted.';
COMMENT ON COLUMN bar_batch.file_sha256 IS 'Of the file it came from; null for a download.';
COMMENT ON COLUMN bar_batch.rules_sha256 IS 'The rules it was merged with.';
COMMENT ON COLUMN bar_batch.rows_refused IS 'Bars of the same chunk that were bad input.';
COMMENT ON COLUMN bar_batch.added IS 'Bars of which the source had said nothing before.';
COMMENT ON COLUMN bar_batch.revised IS 'Bars that differ from the source''s last word.';
COMMENT ON COLUMN bar_batch.unchanged IS 'Bars that repeat the source''s last word; not kept again.';
COMMENT ON COLUMN bar_batch.parameters IS 'How it was obtained, for people.';

CREATE TABLE bar_observation (
    ts_open       timestamptz NOT NULL,
    batch_id      bigint NOT NULL,
    open          bigint NOT NULL,
    high          bigint NOT NULL,
    low           bigint NOT NULL,
    close         bigint NOT NULL,
    volume        bigint NOT NULL,
    oi            bigint,
    instrument_id integer NOT NULL,
    tick_size     integer NOT NULL,
    minutes       smallint NOT NULL,
    source_id     smallint NOT NULL,
    price_scale   smallint NOT NULL,
    PRIMARY KEY (instrument_id, minutes, ts_open, source_id, batch_id),
    CHECK (low <= least(open, close) AND high >= greatest(open, close) AND volume >= 0)
) PARTITION BY RANGE (ts_open);
COMMENT ON TABLE bar_observation IS
    'Append-only: what a source said of a bar, where it differs from what the source said of it '
    'before. Partitions by month are made by make_bar_month.';
COMMENT ON COLUMN bar_observation.ts_open IS
    'Start of the bar; for a day midnight in India.';
COMMENT ON COLUMN bar_observation.batch_id IS
    'The batch of bar_batch that says so; without a foreign key, which would cost more than the row.';
COMMENT ON COLUMN bar_observation.open IS 'Prices are times 10^price_scale.';
COMMENT ON COLUMN bar_observation.oi IS 'Open interest at the end of the bar; null where none.';
COMMENT ON COLUMN bar_observation.tick_size IS
    'Smallest price step of the instrument on that day, times 10^price_scale; 0 when not known. '
    'Not a word of the source, but what its word is judged by.';
COMMENT ON COLUMN bar_observation.minutes IS 'Length of the bar: 1, or 1440 for a day.';

CREATE TABLE bar_revision (
    batch_id      bigint NOT NULL REFERENCES bar_batch,
    instrument_id integer NOT NULL REFERENCES bar_instrument,
    source_id     smallint NOT NULL REFERENCES bar_source,
    minutes       smallint NOT NULL,
    first_open    timestamptz NOT NULL,
    last_open     timestamptz NOT NULL CHECK (last_open >= first_open),
    bars          integer NOT NULL CHECK (bars > 0),
    ratio         numeric NOT NULL CHECK (ratio > 0),
    PRIMARY KEY (batch_id, instrument_id)
);
CREATE INDEX bar_revision_instrument ON bar_revision (instrument_id, minutes);
COMMENT ON TABLE bar_revision IS
    'Append-only: a stretch that a source restated by one ratio, as after a bonus or a split. Its '
    'bars of that batch and of later ones do not count until a person accepts the revision.';
COMMENT ON COLUMN bar_revision.bars IS 'How many bars of the stretch differ.';
COMMENT ON COLUMN bar_revision.ratio IS 'New prices divided by those before.';

CREATE TABLE bar_decision (
    decision_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id      bigint NOT NULL,
    instrument_id integer NOT NULL,
    accepted      boolean NOT NULL,
    who           text NOT NULL CHECK (who <> ''),
    note          text NOT NULL DEFAULT '',
    decided_at    timestamptz NOT NULL,
    FOREIGN KEY (batch_id, instrument_id) REFERENCES bar_revision
);
CREATE INDEX bar_decision_revision ON bar_decision (batch_id, instrument_id, decision_id);
COMMENT ON TABLE bar_decision IS
    'Append-only: whether a revision counts, by whom and when; the last decision holds.';

CREATE TABLE bars_1m (
    ts_open        timestamptz NOT NULL,
    batch_id       bigint NOT NULL,
    other_batch_id bigint,
    open           bigint NOT NULL,
    high           bigint NOT NULL,
    low            bigint NOT NULL,
    close          bigint NOT NULL,
    volume         bigint NOT NULL,
    oi             bigint,
    instrument_id  integer NOT NULL,
    flags          integer NOT NULL,
    price_scale    smallint NOT NULL,
    verdict        smallint NOT NULL,
    differs        smallint NOT NULL,
    from_other     smallint NOT NULL,
    session_minute smallint NOT NULL,
    PRIMARY KEY (instrument_id, ts_open)
) PARTITION BY RANGE (ts_open);
COMMENT ON TABLE bars_1m IS
    'Projection of bar_observation, which can be rebuilt: the golden bar of each minute, why it is '
    'so, and the two observations it was made from. Partitions by month.';
COMMENT ON COLUMN bars_1m.ts_open IS 'Start of the bar, which covers one minute.';
COMMENT ON COLUMN bars_1m.batch_id IS
    'The batch whose observation of this bar won.';
COMMENT ON COLUMN bars_1m.other_batch_id IS
    'The batch whose observation it was compared with; null where no other source has the bar.';
COMMENT ON COLUMN bars_1m.open IS 'Prices are times 10^price_scale.';
COMMENT ON COLUMN bars_1m.flags IS
    'Bits: 1 off the tick grid, 2 implausible jump, 4 volume looks cumulative, 8 flat without '
    'volume, 16 the source restated it by a ratio and nobody has accepted that.';
COMMENT ON COLUMN bars_1m.verdict IS 'See bar_verdict.';
COMMENT ON COLUMN bars_1m.differs IS
    'What the two observations say otherwise, in bits: 1 open, 2 high, 4 low, 8 close, 16 volume, '
    '32 open interest.';
COMMENT ON COLUMN bars_1m.from_other IS 'Which of these were taken from the other observation.';
COMMENT ON COLUMN bars_1m.session_minute IS
    'Minutes since the day''s continuous trading opened; since midnight where that is not known. '
    'Longer bars are grouped by it.';

CREATE TABLE bars_1d (LIKE bars_1m, PRIMARY KEY (instrument_id, ts_open));
COMMENT ON TABLE bars_1d IS
    'Projection of bar_observation, which can be rebuilt: the golden bar of each day from what the '
    'sources say of days, not from minutes: a day''s close is no last trade. Columns as in bars_1m.';
COMMENT ON COLUMN bars_1d.ts_open IS 'Midnight in India.';

CREATE TABLE bar_projection (
    minutes      smallint NOT NULL,
    month        date NOT NULL,
    rules_sha256 bytea NOT NULL REFERENCES bar_rules,
    made_at      timestamptz NOT NULL,
    PRIMARY KEY (minutes, month)
);
COMMENT ON TABLE bar_projection IS
    'Which months of golden bars are whole, and the rules they were made by. A month that is not '
    'here, or was made by other rules, is made anew by the next merge into it.';

CREATE FUNCTION make_bar_month(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
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
COMMENT ON FUNCTION make_bar_month(date) IS
    'Makes the partitions of a month (IST) of bar_observation and bars_1m; false when they are '
    'there. Runs as the owner of the tables, so that who may insert needs no right to create.';

CREATE FUNCTION bar_groups(
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
COMMENT ON FUNCTION bar_groups(integer, timestamptz, timestamptz) IS
    'Golden bars of so many minutes, counted from the opening of the day, made from the minutes '
    'of a span: give it whole days. minutes tells of how many each is made, conflicts in how '
    'many of them the sources differ.';

CREATE VIEW bars_5m AS SELECT * FROM bar_groups(5);
COMMENT ON VIEW bars_5m IS 'Golden bars of 5 minutes; name the instrument, or use bar_groups.';
CREATE VIEW bars_15m AS SELECT * FROM bar_groups(15);
COMMENT ON VIEW bars_15m IS 'Golden bars of 15 minutes; name the instrument, or use bar_groups.';
CREATE VIEW bars_60m AS SELECT * FROM bar_groups(60);
COMMENT ON VIEW bars_60m IS
    'Golden bars of 60 minutes from the opening of the day (09:15, 10:15 …), as the exchange''s '
    'charts have them; name the instrument, or use bar_groups.';

CREATE VIEW bars_named AS
SELECT
    i.exchange, i.tradingsymbol, b.ts_open,
    round(b.open / 10::numeric ^ b.price_scale, b.price_scale) AS open,
    round(b.high / 10::numeric ^ b.price_scale, b.price_scale) AS high,
    round(b.low / 10::numeric ^ b.price_scale, b.price_scale) AS low,
    round(b.close / 10::numeric ^ b.price_scale, b.price_scale) AS close,
    b.volume, b.oi, v.name AS verdict, b.flags, b.differs, b.from_other, b.batch_id,
    b.other_batch_id
FROM bars_1m b
JOIN bar_instrument i USING (instrument_id)
JOIN bar_verdict v USING (verdict);
COMMENT ON VIEW bars_named IS 'bars_1m for people: symbols, decimal prices, the verdict in words.';

CREATE TABLE feed_gap (
    gap_id      text COLLATE "C" NOT NULL CHECK (gap_id <> ''),
    state       text COLLATE "C" NOT NULL CHECK (state IN ('opened', 'closed', 'healed')),
    feed        text COLLATE "C" NOT NULL CHECK (feed <> ''),
    shard       smallint NOT NULL CHECK (shard >= 0),
    tokens      bigint[] NOT NULL,
    from_ts     timestamptz NOT NULL,
    to_ts       timestamptz CHECK (to_ts >= from_ts),
    cause       text NOT NULL DEFAULT '',
    happened_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    batch_ids   bigint[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (gap_id, state),
    CHECK ((to_ts IS NULL) = (state = 'opened'))
);
COMMENT ON TABLE feed_gap IS
    'Append-only: silences of the live feed, a row when one opens, when the feed is back, and when '
    'the bars of the silence were fetched.';
COMMENT ON COLUMN feed_gap.gap_id IS 'That of the feed''s events.';
COMMENT ON COLUMN feed_gap.tokens IS
    'Instruments that it concerns, as numbered on that day; empty for all of the shard.';
COMMENT ON COLUMN feed_gap.batch_ids IS 'healed: the batches with the bars.';

CREATE VIEW feed_gap_open AS
SELECT DISTINCT ON (g.gap_id) g.*
FROM feed_gap g
WHERE NOT EXISTS (SELECT FROM feed_gap h WHERE h.gap_id = g.gap_id AND h.state = 'healed')
ORDER BY g.gap_id, g.state;
COMMENT ON VIEW feed_gap_open IS
    'Gaps whose bars were not fetched; closed is the state of one that has ended.';

CREATE TRIGGER bar_instrument_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bar_instrument
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER bar_source_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bar_source
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER bar_rules_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bar_rules
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER bar_verdict_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bar_verdict
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER bar_batch_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bar_batch
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER bar_observation_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bar_observation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER bar_revision_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bar_revision
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER bar_decision_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bar_decision
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER feed_gap_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON feed_gap
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
