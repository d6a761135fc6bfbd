"""How many examples a property is tried with: fewer in a quick run, many more in a thorough one."""

from __future__ import annotations

from hypothesis import settings

_NORMAL = 100
"""Examples of a property that does not say how many."""
_STEPS = 50
"""The most steps of a course through a state machine."""


def register_profiles() -> None:
    """`default`, `quick` and `thorough`. No example has a time limit: a busy machine must not fail what holds."""
    for name, factor in (("default", 1.0), ("quick", 0.2), ("thorough", 20.0)):
        steps = _STEPS if name != "quick" else _STEPS // 2
        settings.register_profile(
            name, deadline=None, max_examples=int(_NORMAL * factor), stateful_step_count=steps
        )


def examples(count: int) -> settings:
    """So many in a normal run."""
    profile = settings.get_current_profile_name()
    return settings(max_examples=count * settings.get_profile(profile).max_examples // _NORMAL)
