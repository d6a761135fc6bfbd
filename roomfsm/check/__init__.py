"""`roomfsm check` looks at a configuration as a doctor would, before or while a server runs with it."""
