"""The rooms: their directory, the task that each room is, and the people, streams, views and chat in it."""
