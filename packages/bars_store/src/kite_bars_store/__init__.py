"""What this project keeps in Postgres; import from the subpackages (README)."""
