CREATE FUNCTION public.refuse_rewrite() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'table % is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

COMMENT ON FUNCTION public.refuse_rewrite() IS 'Trigger of tables that hold the truth: what was observed stays as it was written.';

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

ALTER TABLE ONLY public.instrument_batch
    ADD CONSTRAINT instrument_batch_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY public.instrument_observation
    ADD CONSTRAINT instrument_observation_pkey PRIMARY KEY (exchange, tradingsymbol, observed_on, batch_id);

ALTER TABLE ONLY public.instrument_publication
    ADD CONSTRAINT instrument_publication_pkey PRIMARY KEY (batch_id);

ALTER TABLE ONLY public.instrument_validity
    ADD CONSTRAINT instrument_validity_pkey PRIMARY KEY (tradingsymbol, exchange, valid_from, source);

CREATE INDEX instrument_batch_day ON public.instrument_batch USING btree (source, observed_on, batch_id);

CREATE INDEX instrument_validity_end ON public.instrument_validity USING btree (valid_to);

CREATE INDEX instrument_validity_token ON public.instrument_validity USING btree (instrument_token);

CREATE TRIGGER instrument_batch_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.instrument_batch FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

CREATE TRIGGER instrument_observation_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.instrument_observation FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewrite();

ALTER TABLE ONLY public.instrument_observation
    ADD CONSTRAINT instrument_observation_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES public.instrument_batch(batch_id);

ALTER TABLE ONLY public.instrument_observation
    ADD CONSTRAINT instrument_observation_stated_by_fkey FOREIGN KEY (stated_by) REFERENCES public.instrument_batch(batch_id);

ALTER TABLE ONLY public.instrument_publication
    ADD CONSTRAINT instrument_publication_batch_id_fkey FOREIGN KEY (batch_id) REFERENCES public.instrument_batch(batch_id);
