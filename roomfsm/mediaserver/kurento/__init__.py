"""The server's side of Kurento's protocol."""
