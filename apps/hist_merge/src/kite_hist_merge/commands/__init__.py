"""One module a command; each is the edge between a person and the modules beside this folder."""
