"""Reports that travel: static sites of networks, made from rows and figures of the tables."""
