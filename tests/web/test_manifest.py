"""The page can be installed: its web manifest, and the icons that this names."""

from __future__ import annotations

import json
import re
import struct
from urllib.parse import urljoin

from tests.serving import serving
from tests.web.http import get


async def test_the_page_names_a_manifest_whose_icons_have_the_sizes_that_it_says(media_server: str) -> None:
    async with serving(media_server) as server:
        page = (await get(server, "/r/blue")).body.decode()
        found = re.search(r'<link rel="manifest" href="([^"]+)"', page)
        assert found is not None
        reply = await get(server, found[1])
        assert reply.headers["content-type"].startswith("application/manifest+json")
        manifest = json.loads(reply.body)
        assert (urljoin(found[1], manifest["start_url"]), urljoin(found[1], manifest["scope"])) == ("/", "/")
        sizes = set()
        for icon in manifest["icons"]:
            reply = await get(server, urljoin(found[1], icon["src"]))
            assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (200, icon["type"])
            if icon["type"] == "image/png":
                # PNG (RFC 2083 section 4.1.1): the size follows the signature and the head of the first chunk.
                width, height = struct.unpack(">II", reply.body[16:24])
                assert icon["sizes"] == f"{width}x{height}"
                sizes.add((width, icon.get("purpose", "any")))
        # Chromium offers to install the page with these two; systems that cut icons want the third.
        assert sizes >= {(192, "any"), (512, "any"), (512, "maskable")}
        touch = re.search(r'<link rel="apple-touch-icon" href="([^"]+)"', page)
        assert touch is not None
        assert (await get(server, touch[1])).status == 200
