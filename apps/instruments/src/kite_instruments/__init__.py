"""Reference data as history: the instrument master, the universe, the daily login, the sessions."""
