"""The engine of historical bars: sources, vendor files, merge runs, healing, backfill."""
