"""The page for people: what failed and why, in a browser; decisions and redrives with a token."""
