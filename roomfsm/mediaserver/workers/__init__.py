"""Several processes that share the work of forwarding media."""
