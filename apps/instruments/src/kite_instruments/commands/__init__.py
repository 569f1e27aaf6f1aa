"""One module a command; each has its options, calls the work, prints what came of it."""
