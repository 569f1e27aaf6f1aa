"""One module a command; each is the edge between the command line and the modules beside this folder."""
