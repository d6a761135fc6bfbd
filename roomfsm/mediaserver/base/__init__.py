"""Types and settings that all layers of the media server share."""
