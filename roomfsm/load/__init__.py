"""`roomfsm load`: many simulated people enter a server's rooms, and it is measured how that goes."""
