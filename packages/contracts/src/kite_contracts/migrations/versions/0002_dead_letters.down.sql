-- Takes back 0002_dead_letters.up.sql, with all data.

DROP VIEW dlq_open;
DROP TABLE dlq_redrive;
DROP TABLE dlq_redrive_run;
DROP TABLE dlq_group;
DROP TABLE dlq_state;
DROP TABLE dlq_event;
DROP TABLE dlq_failure;
