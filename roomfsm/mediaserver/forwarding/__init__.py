"""Forwards a publisher's packets to its viewers: numbering, repair, keyframes and pacing."""
