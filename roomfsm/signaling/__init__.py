"""What a browser talks to: the front door, the websocket, and the session behind it."""
