"""What was sent against what is read back: the ledger of a run."""
