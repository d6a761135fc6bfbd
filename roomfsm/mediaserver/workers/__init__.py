"""Several processes that share the media."""
