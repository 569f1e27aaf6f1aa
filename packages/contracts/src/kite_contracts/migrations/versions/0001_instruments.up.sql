-- Instrument master: what each dump said (append-only), and the validity ranges made from it.

CREATE FUNCTION refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;
COMMENT ON FUNCTION refuse_rewrite() IS
    'Trigger of tables that hold the truth: what was observed stays as it was written.';

CREATE TABLE instrument_batch (
    batch_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source         text COLLATE "C" NOT NULL CHECK (source <> ''),
    exchanges      text[] COLLATE "C" NOT NULL CHECK (cardinality(exchanges) > 0),
    observed_on    date NOT NULL,
    recorded_at    timestamptz NOT NULL,
    content_sha256 bytea NOT NULL CHECK (octet_length(content_sha256) = 32),
    file_name      text,
    rows_read      integer NOT NULL CHECK (rows_read = rows_good + rows_refused),
    rows_good      integer NOT NULL CHECK (rows_good = added + changed + unchanged),
    rows_refused   integer NOT NULL CHECK (rows_refused >= 0),
    added          integer NOT NULL CHECK (added >= 0),
    changed        integer NOT NULL CHECK (changed >= 0),
    removed        integer NOT NULL CHECK (removed >= 0),
    expired        integer NOT NULL CHECK (expired >= 0),
    unchanged      integer NOT NULL CHECK (unchanged >= 0),
    parameters     jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX instrument_batch_day ON instrument_batch (source, observed_on, batch_id);

COMMENT ON TABLE instrument_batch IS
    'One instrument dump that was recorded; append-only. A dump that brought no change is here, too.';
COMMENT ON COLUMN instrument_batch.source IS
    'Whose master it is, such as kite; histories of two sources are apart.';
COMMENT ON COLUMN instrument_batch.exchanges IS
    'What the dump covers, sorted: a symbol of these that it lacks is no longer listed.';
COMMENT ON COLUMN instrument_batch.observed_on IS
    'The IST day for which the dump holds; of several on one day the last recorded counts.';
COMMENT ON COLUMN instrument_batch.recorded_at IS
    'When it was written, rising with batch_id; reads as of a time of knowledge compare with it.';
COMMENT ON COLUMN instrument_batch.content_sha256 IS 'Of the dump''s bytes, unpacked.';
COMMENT ON COLUMN instrument_batch.file_name IS 'The file it came from; null for a download.';
COMMENT ON COLUMN instrument_batch.rows_refused IS 'Rows that broke the Instrument contract.';
COMMENT ON COLUMN instrument_batch.added IS 'Symbols that the dump before had not.';
COMMENT ON COLUMN instrument_batch.changed IS 'Symbols with another token, lot size or the like.';
COMMENT ON COLUMN instrument_batch.removed IS 'Symbols that are gone before their expiry.';
COMMENT ON COLUMN instrument_batch.expired IS 'Symbols that are gone after their expiry.';
COMMENT ON COLUMN instrument_batch.parameters IS 'How it was obtained, for people.';

CREATE TABLE instrument_observation (
    exchange         text COLLATE "C" NOT NULL,
    tradingsymbol    text COLLATE "C" NOT NULL,
    observed_on      date NOT NULL,
    batch_id         bigint NOT NULL REFERENCES instrument_batch,
    stated_by        bigint NOT NULL REFERENCES instrument_batch,
    listed           boolean NOT NULL,
    instrument_token bigint,
    exchange_token   bigint,
    name             text,
    expiry           date,
    strike           bigint,
    price_scale      smallint,
    tick_size        bigint,
    lot_size         integer,
    instrument_type  text COLLATE "C",
    segment          text COLLATE "C",
    PRIMARY KEY (exchange, tradingsymbol, observed_on, batch_id),
    CHECK (listed = (num_nulls(instrument_token, exchange_token, price_scale, tick_size, lot_size,
                               instrument_type, segment) = 0)),
    CHECK (listed OR num_nonnulls(instrument_token, exchange_token, name, expiry, strike,
                                  price_scale, tick_size, lot_size, instrument_type,
                                  segment) = 0),
    CHECK (stated_by >= batch_id)
);

COMMENT ON TABLE instrument_observation IS
    'Append-only: what a dump said of a symbol, where the dump before it had said otherwise. '
    'A dump without a row for a symbol says what the dump before it said.';
COMMENT ON COLUMN instrument_observation.observed_on IS 'The day of the batch.';
COMMENT ON COLUMN instrument_observation.batch_id IS 'The dump that says so.';
COMMENT ON COLUMN instrument_observation.stated_by IS
    'The dump whose recording wrote the row: batch_id itself, or an older dump that arrived later '
    'and before which this dump needed no row.';
COMMENT ON COLUMN instrument_observation.listed IS
    'False: the dump has the symbol no longer, and the columns that follow are null.';
COMMENT ON COLUMN instrument_observation.strike IS 'Times 10^price_scale.';
COMMENT ON COLUMN instrument_observation.price_scale IS 'Decimals of strike and tick_size.';
COMMENT ON COLUMN instrument_observation.tick_size IS 'Smallest price step, times 10^price_scale.';

CREATE TABLE instrument_validity (
    source           text COLLATE "C" NOT NULL,
    exchange         text COLLATE "C" NOT NULL,
    tradingsymbol    text COLLATE "C" NOT NULL,
    valid_from       date NOT NULL,
    valid_to         date,
    batch_id         bigint NOT NULL,
    instrument_token bigint NOT NULL,
    exchange_token   bigint NOT NULL,
    name             text,
    expiry           date,
    strike           bigint,
    price_scale      smallint NOT NULL,
    tick_size        bigint NOT NULL,
    lot_size         integer NOT NULL,
    instrument_type  text COLLATE "C" NOT NULL,
    segment          text COLLATE "C" NOT NULL,
    PRIMARY KEY (tradingsymbol, exchange, valid_from, source),
    CHECK (valid_from < valid_to)
);
CREATE INDEX instrument_validity_token ON instrument_validity (instrument_token);
CREATE INDEX instrument_validity_end ON instrument_validity (valid_to);

COMMENT ON TABLE instrument_validity IS
    'Projection of instrument_observation, which can be rebuilt: what a symbol was, from when to '
    'when.';
COMMENT ON COLUMN instrument_validity.valid_from IS 'First day (IST), inclusive.';
COMMENT ON COLUMN instrument_validity.valid_to IS
    'Day after the last, exclusive: that of the dump which says otherwise, at the latest the day '
    'after expiry; null while neither is known.';
COMMENT ON COLUMN instrument_validity.batch_id IS 'The dump that opened the range.';
COMMENT ON COLUMN instrument_validity.strike IS 'Times 10^price_scale.';
COMMENT ON COLUMN instrument_validity.price_scale IS 'Decimals of strike and tick_size.';
COMMENT ON COLUMN instrument_validity.tick_size IS 'Smallest price step, times 10^price_scale.';

CREATE VIEW instrument_current AS
SELECT *
FROM instrument_validity
WHERE valid_from <= (now() AT TIME ZONE 'Asia/Kolkata')::date
  AND (valid_to IS NULL OR valid_to > (now() AT TIME ZONE 'Asia/Kolkata')::date);
COMMENT ON VIEW instrument_current IS 'What can be traded today (IST), by the newest dump.';

CREATE TABLE instrument_publication (
    batch_id     bigint PRIMARY KEY REFERENCES instrument_batch,
    topic        text NOT NULL CHECK (topic <> ''),
    records      integer NOT NULL CHECK (records >= 0),
    published_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE instrument_publication IS
    'Which batches Kafka has; what is not here is published again, which a compacted topic bears.';
COMMENT ON COLUMN instrument_publication.records IS
    'Records sent in that publication, which may have served several batches.';

CREATE TRIGGER instrument_batch_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON instrument_batch
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
CREATE TRIGGER instrument_observation_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON instrument_observation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite();
