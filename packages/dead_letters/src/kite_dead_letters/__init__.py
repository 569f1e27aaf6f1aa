"""The engine of dead-letter triage: classify, store, redrive, page."""
