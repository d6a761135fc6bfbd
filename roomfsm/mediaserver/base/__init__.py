"""What all layers of the media server share."""
