-- Takes back 0003_bars.up.sql, with all data.

DROP VIEW feed_gap_open;
DROP TABLE feed_gap;
DROP VIEW bars_named;
DROP VIEW bars_60m;
DROP VIEW bars_15m;
DROP VIEW bars_5m;
DROP FUNCTION bar_groups(integer, timestamptz, timestamptz);
DROP TABLE bar_projection;
DROP TABLE bars_1d;
DROP TABLE bars_1m;
DROP TABLE bar_decision;
DROP TABLE bar_revision;
DROP TABLE bar_observation;
DROP TABLE bar_batch;
DROP TABLE bar_rules;
DROP TABLE bar_verdict;
DROP TABLE bar_source;
DROP TABLE bar_instrument;
DROP FUNCTION make_bar_month(date);
