"""Session descriptions, offers and answers (RFC 8866, 9429)."""
