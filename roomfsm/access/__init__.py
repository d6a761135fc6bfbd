"""Who may do what: policies of rooms, tokens and passwords. All of it is pure: no I/O and no clock."""
