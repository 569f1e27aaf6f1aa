-- Takes back 0001_instruments.up.sql, with all data.

DROP TABLE instrument_publication;
DROP VIEW instrument_current;
DROP TABLE instrument_validity;
DROP TABLE instrument_observation;
DROP TABLE instrument_batch;
DROP FUNCTION refuse_rewrite();
