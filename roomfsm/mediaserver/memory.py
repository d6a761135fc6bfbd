"""The process's memory: what stays is not looked through again and again, what is free goes back to the system."""

import ctypes
import gc
import sys


def _malloc_trim() -> "ctypes._NamedFuncPointer | None":
    """glibc's malloc_trim(3); other C libraries have none, or need none."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


_trim = _malloc_trim()


def give_back() -> None:
    """Return whole free pages to the system: glibc by itself returns only those at the heap's end.

    Takes about a millisecond, during which nothing else runs.
    """
    if _trim is not None:
        _trim(0)


def settle_start_up() -> None:
    """Give back what only the start-up needed, and let full collections, which stop all media, pass by what it has
    made: that stays anyway."""
    gc.collect()
    gc.freeze()
    give_back()
