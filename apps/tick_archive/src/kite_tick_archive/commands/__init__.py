"""One module a command: it reads the options, calls the code behind it and prints the outcome."""
