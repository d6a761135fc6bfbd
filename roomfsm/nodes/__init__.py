"""Several servers with one set of rooms, over one Redis: where rooms are, and what nodes tell each other."""
