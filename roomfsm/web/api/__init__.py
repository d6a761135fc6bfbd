"""The admin API below `/api/v1`: rooms, people, tokens, policies and media servers, for whoever has its token."""
