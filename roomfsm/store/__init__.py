"""What outlives the process: for each room the events that it took, in order, and a snapshot from time to time."""
