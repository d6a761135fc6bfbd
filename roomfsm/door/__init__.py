"""The front door: connections, and what is asked over them, until a websocket or the application takes over."""
