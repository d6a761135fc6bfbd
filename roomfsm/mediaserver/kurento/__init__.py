"""The server side of Kurento's protocol."""
