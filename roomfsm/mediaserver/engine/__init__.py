"""The loop of one process: sockets, transports and peers."""
