"""The same training as its peers' users would write it: one short program a peer, all with one command line."""
