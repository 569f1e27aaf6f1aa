"""One module a command: options, one call, print."""
