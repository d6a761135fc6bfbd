"""The files of the chat: their bytes on the disk, the places that are kept for them, and their life."""
