"""The front door: connections and their requests, until a websocket or the application takes over."""
