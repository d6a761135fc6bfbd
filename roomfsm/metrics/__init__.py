"""What an operator sees of the server by numbers: the page `/metrics`, in the format of Prometheus."""
