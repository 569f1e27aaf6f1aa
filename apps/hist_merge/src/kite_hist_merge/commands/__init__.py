"""One module a command; each is the edge between the command line and `kite_bar_history`."""
