"""What every command line of this repository does the same way."""
