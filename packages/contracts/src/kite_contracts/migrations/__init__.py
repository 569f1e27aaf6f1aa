"""The tables in Postgres, as a chain of migrations; `runner` applies them, `cli` is `migrate`."""
