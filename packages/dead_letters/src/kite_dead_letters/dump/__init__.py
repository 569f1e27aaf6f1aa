"""Dead letters as JSON lines, with a summary."""
