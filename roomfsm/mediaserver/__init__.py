"""The embedded media server, a separate program that speaks Kurento's protocol."""
