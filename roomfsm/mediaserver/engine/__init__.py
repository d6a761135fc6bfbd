"""One process's loop: sockets, transports, peers."""
