"""Dead letters: read, classified, dumped, stored, redriven."""
