"""Given a camera that is sent in layers, then each viewer gets the one that suits the size of the picture."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import OpenPage
from tests.browser.test_broadcast import broadcasts, until

pytestmark = pytest.mark.browser

SENT = """async (wanted) => {
  const deadline = performance.now() + 60000;
  for (;;) {
    const [[, peer]] = window.roomfsm.peerConnections();
    const sender = peer.getSenders().find(({track}) => track?.kind === 'video');
    const active = sender.getParameters().encodings.filter((one) => one.active).map((one) => one.rid);
    if (String(active) === wanted) return;
    if (performance.now() > deadline) throw new Error(`not ${wanted} but ${active}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}"""


def sends(page: Page, *layers: str) -> None:
    """Wait until the page sends exactly these layers."""
    page.evaluate(SENT, ",".join(layers))


def sees(page: Page, width: int) -> list[dict[str, Any]]:
    return until(page, f"videos.length === 1 && videos[0].width === {width}")


def test_a_viewer_gets_the_layer_that_fits_and_the_presenter_sends_no_other(
    open_page: OpenPage, room: str
) -> None:
    # A computer of two cores sends 640 × 480, and half of that.
    ada = open_page(room, "Ada")
    broadcasts(ada)
    zoe = open_page(room, "Zoe")
    sees(zoe, 640)
    zoe.set_viewport_size({"width": 240, "height": 640})
    sees(zoe, 320)
    sends(ada, "l")
    zoe.set_viewport_size({"width": 1280, "height": 800})
    sees(zoe, 640)
    sends(ada, "l", "m")
