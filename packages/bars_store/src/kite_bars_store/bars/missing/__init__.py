"""Minutes without a golden bar, and why each is missing."""
