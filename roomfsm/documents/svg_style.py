"""The stylesheet of the diagrams, for light and dark pages. The diagrams are also clear without colour."""

from __future__ import annotations

SCOPE = "roomfsm-diagram"
"""The class of the diagrams' root element. Every rule of the stylesheet applies only inside it."""

MONO_SIZE = 12
SMALL_SIZE = 11
NAME_SIZE = 15
HEADING_SIZE = 17
WORDS_SIZE = 12.5


def css() -> str:
    """The stylesheet, for a `<style>` element or for a file. Every rule is below `svg.roomfsm-diagram`."""
    return _CSS


_CSS = f"""\
svg.{SCOPE} {{
  --rd-paper: #fbfaf7;
  --rd-box: #ffffff;
  --rd-bar: #ecebe5;
  --rd-ink: #1d2124;
  --rd-soft: #566065;
  --rd-rule: #d3d1c9;
  --rd-edge: #6f787c;
  --rd-now: #0b5952;
  --rd-now-ink: #ffffff;
  max-width: 100%;
  height: auto;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}}
@media (prefers-color-scheme: dark) {{
  svg.{SCOPE} {{
    --rd-paper: #14171a;
    --rd-box: #1d2225;
    --rd-bar: #2b3237;
    --rd-ink: #e9eaea;
    --rd-soft: #a9b2b7;
    --rd-rule: #3a4248;
    --rd-edge: #8d979c;
    --rd-now: #7fdccf;
    --rd-now-ink: #08211e;
  }}
}}
@media (forced-colors: active) {{
  svg.{SCOPE} {{
    --rd-paper: Canvas;
    --rd-box: Canvas;
    --rd-bar: Canvas;
    --rd-ink: CanvasText;
    --rd-soft: CanvasText;
    --rd-rule: CanvasText;
    --rd-edge: CanvasText;
    --rd-now: Highlight;
    --rd-now-ink: HighlightText;
  }}
  svg.{SCOPE} text {{ forced-color-adjust: none; }}
}}
svg.{SCOPE} .paper {{ fill: var(--rd-paper); }}
svg.{SCOPE} text {{ fill: var(--rd-ink); font-size: {WORDS_SIZE}px; }}
svg.{SCOPE} .heading {{ font-size: {HEADING_SIZE}px; font-weight: 700; }}
svg.{SCOPE} .name {{ font-size: {NAME_SIZE}px; font-weight: 700; }}
svg.{SCOPE} .owns, svg.{SCOPE} .refused, svg.{SCOPE} .legend {{ fill: var(--rd-soft); }}
svg.{SCOPE} .stay, svg.{SCOPE} .label, svg.{SCOPE} .dwell, svg.{SCOPE} .count, svg.{SCOPE} .code {{
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: {MONO_SIZE}px;
}}
svg.{SCOPE} .dwell, svg.{SCOPE} .count {{ font-size: {SMALL_SIZE}px; fill: var(--rd-soft); }}
svg.{SCOPE} .trigger {{ font-style: italic; }}
svg.{SCOPE} .trigger.message {{ font-style: normal; font-weight: 700; }}
svg.{SCOPE} .guard {{ fill: var(--rd-soft); }}
svg.{SCOPE} .box {{ fill: var(--rd-box); stroke: var(--rd-edge); stroke-width: 1.5; }}
svg.{SCOPE} .inner {{ fill: none; stroke: var(--rd-edge); stroke-width: 1.5; }}
svg.{SCOPE} .bar {{ fill: var(--rd-bar); }}
svg.{SCOPE} .rule {{ fill: none; stroke: var(--rd-rule); stroke-width: 1; }}
svg.{SCOPE} .line {{ fill: none; stroke: var(--rd-edge); stroke-width: 1.5; }}
svg.{SCOPE} .head, svg.{SCOPE} .initial {{ fill: var(--rd-edge); }}
svg.{SCOPE} .now {{ display: none; }}
svg.{SCOPE} .current .now {{ display: inline; }}
svg.{SCOPE} .current .now path {{ fill: var(--rd-now-ink); }}
svg.{SCOPE} .current .now text {{ fill: var(--rd-now-ink); font-weight: 700; }}
svg.{SCOPE} .current .box {{ stroke: var(--rd-now); stroke-width: 4; }}
svg.{SCOPE} .current .inner {{ stroke: var(--rd-now); }}
svg.{SCOPE} .current .bar {{ fill: var(--rd-now); }}
svg.{SCOPE} .current .name, svg.{SCOPE} .current .dwell {{ fill: var(--rd-now-ink); }}
"""
