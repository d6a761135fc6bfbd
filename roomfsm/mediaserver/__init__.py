"""The embedded media server: a program of its own that speaks Kurento's protocol."""
