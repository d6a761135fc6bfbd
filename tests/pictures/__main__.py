"""Makes the pictures of the documents anew, from the real page: `uv run python -m tests.pictures [NAME…]`.

A Chromium opens the program's pages, and drawn people (people.js) take part: nobody's face is published, and the
pictures look the same each time. `--folder` writes them to another place than `docs`. The film needs Pillow, which
is one of the developers' tools.
"""

from __future__ import annotations

import argparse
import io
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect

from tests.browser.conftest import chromium, new_person
from tests.browser.crowd import Crowd
from tests.system.program import Program, running

DOCS = Path(__file__).parents[2] / "docs"
PEOPLE = (Path(__file__).parent / "people.js").read_text()
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
TOUCH: dict[str, Any] = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2}
NAMES = (
    "Grace",
    "Олена Коваль",
    "Margaret Hamilton",
    "José Ñandú",
    "Alan",
    "فاطمة الفهري",
    "Linus",
    "Priya",
    "Zoë",
    "Aylin",
    "Kim",
    "Rosa",
)
CAMERA = """{
  // The page's own camera is one of the drawn people, too, and its microphone is silent.
  const {mediaDevices} = navigator;
  const asked = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (wanted) => {
    const stream = new MediaStream();
    if (wanted.video) stream.addTrack(cameraOf(LOOK, {width: 960, height: 720}).getVideoTracks()[0]);
    const silence = new AudioContext().createMediaStreamDestination().stream;
    if (wanted.audio) stream.addTrack(silence.getAudioTracks()[0]);
    return stream;
  };
}"""


class Studio:
    """One browser and one program. Each picture has a room of its own."""

    def __init__(self, browser: Browser, program: Program, folder: Path) -> None:
        self.browser = browser
        self.address = program.address.rstrip("/")
        self.folder = folder
        self._contexts: list[BrowserContext] = []

    def crowd(self, room: str, count: int, *, screen: bool = False) -> Crowd:
        """So many people who present, and perhaps share a screen."""
        crowd = Crowd(self.browser, self.address, room, PEOPLE)
        self._contexts.append(crowd.context)
        for look, name in enumerate(NAMES[:count]):
            crowd.present(name, look=look)
        if screen:
            crowd.present("Hedy", source="screen", look=0, sound=False)
        return crowd

    def page(self, path: str, name: str = "", *, look: int = 11, **options: Any) -> Page:
        """A person's page. Without a name, it is the page of somebody who was never here."""
        script = PEOPLE + CAMERA.replace("LOOK", str(look))
        if name:
            context = new_person(self.browser, name, script, **{"viewport": DESKTOP, **options})
        else:
            context = self.browser.new_context(permissions=["camera", "microphone"], viewport=DESKTOP, **options)
            context.add_init_script(script)
        self._contexts.append(context)
        page = context.new_page()
        page.goto(self.address + path)
        return page

    def take(self, page: Page, name: str) -> None:
        """Write the picture of what the page shows, when it has come to rest."""
        page.mouse.move(0, 0)
        page.wait_for_timeout(1500)
        page.screenshot(path=self.folder / name)

    def close(self) -> None:
        for context in self._contexts:
            context.close()


def shows(page: Page, count: int) -> None:
    """So many pictures of others have come."""
    tiles = page.locator("[data-testid=tile][data-state=live]")
    expect(tiles).to_have_count(count)
    for tile in tiles.all():
        expect(tile).to_have_class(re.compile("pictured"))


def before_entering(studio: Studio) -> None:
    studio.crowd("harbour", 3)
    page = studio.page("/r/harbour", look=8)
    page.get_by_test_id("enter-name").fill("Ada")
    for toggle in ("preview-camera", "preview-microphone"):
        page.get_by_test_id(toggle).click()
    expect(page.get_by_test_id("preview")).to_be_visible()
    studio.take(page, "page-entering.png")


@contextmanager
def meeting(studio: Studio, room: str) -> Iterator[tuple[Crowd, Page]]:
    """A meeting in which a screen is shared, and the page of somebody who presents, too."""
    for other, count in (("lighthouse", 2), ("north-pier", 1)):
        studio.crowd(other, count)
    crowd = studio.crowd(room, 5, screen=True)
    page = studio.page(f"/r/{room}", "Ada", look=8)
    for what in ("start-camera", "start-mic"):
        page.get_by_test_id(what).click()
    expect(page.get_by_test_id("own-tile")).to_have_attribute("data-state", "live")
    crowd.tell(0, type="chat", text="Good morning! The numbers are on the screen.")
    crowd.tell(3, type="chat", text="July is better than we thought")
    crowd.tell(1, type="chat", text="Is that https://example.org/coast-path?")
    crowd.tell(3, type="raiseHand")
    crowd.speak(0)
    yield crowd, page


def with_a_screen(studio: Studio) -> None:
    with meeting(studio, "harbour") as (_, page):
        expect(page.locator("[data-testid=tile][data-source=screen][data-state=live]")).to_have_count(1)
        studio.take(page, "room.png")


def grid(studio: Studio) -> None:
    crowd = studio.crowd("choir", 11)
    page = studio.page("/r/choir", "Ada", look=8, color_scheme="dark")
    page.get_by_test_id("start-camera").click()
    page.get_by_test_id("stage-options").click()
    page.get_by_test_id("stage-grid").click()
    crowd.speak(4)
    crowd.tell(6, type="media", microphone=False, camera=True)
    crowd.tell(9, type="media", microphone=True, camera=False)
    studio.take(page, "page-grid-dark.png")


def phone(studio: Studio) -> None:
    """Two screens of a phone, side by side."""
    crowd = studio.crowd("harbour", 5, screen=True)
    page = studio.page("/r/harbour", "Ada", viewport=PHONE, **TOUCH)
    crowd.tell(0, type="chat", text="Good morning! The numbers are on the screen.")
    crowd.tell(3, type="chat", text="July is better than we thought")
    crowd.tell(3, type="raiseHand")
    crowd.speak(0)
    expect(page.locator("[data-testid=tile][data-source=screen][data-state=live]")).to_have_count(1)
    with tempfile.TemporaryDirectory() as folder:
        shots = [Path(folder) / f"{number}.png" for number in range(3)]
        for shot, tab in zip(shots, (None, "chat", "people"), strict=True):
            if tab:
                page.locator(f"button[data-tab={tab}]").click()
            page.wait_for_timeout(2500)
            page.screenshot(path=shot)
        beside(shots).save(studio.folder / "page-phone.png", optimize=True)


def details(studio: Studio) -> None:
    with meeting(studio, "harbour") as (_, page):
        page.emulate_media(color_scheme="dark")
        page.get_by_test_id("stage-options").click()
        page.get_by_test_id("show-details").click()
        page.wait_for_timeout(15_000)  # The plots are of the last minute.
        studio.take(page, "page-details-dark.png")


def moderator(studio: Studio) -> None:
    """Right to left: the page in Arabic, and the menu of a person."""
    page = studio.page("/r/harbour", "Ada", look=8, locale="ar")
    expect(page.get_by_test_id("connection-state")).to_have_attribute("data-state", "connected")
    crowd = studio.crowd("harbour", 6)
    for what in ("start-camera", "start-mic"):
        page.get_by_test_id(what).click()
    crowd.tell(5, type="chat", text="صباح الخير للجميع")
    crowd.tell(0, type="chat", text="Good morning!")
    crowd.tell(2, type="raiseHand")
    crowd.speak(5)
    page.locator("[data-testid=roster-entry]", has_text="Margaret").locator("button").first.click()
    studio.take(page, "page-moderator-rtl.png")


LAPTOP: ViewportSize = {"width": 1040, "height": 650}
SCALE = 0.75
"""By this factor the two pages are made smaller in the film."""
MARGIN, LINE = 24, 52
"""The width of the border around the two pages, and the height of the caption, in pixels."""


@dataclass
class Film:
    """The pages of two people side by side, with a caption, as a moving picture."""

    pages: tuple[Page, Page]
    frames: list[Image.Image] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    """Milliseconds for which each frame is shown."""
    caption: str = ""

    def shoot(self, seconds: float, at: Locator | None = None) -> None:
        """Take what happens in so many seconds. A ring shows where somebody clicks next."""
        for _ in range(max(1, round(seconds * 2))):
            self.frames.append(self._frame(at))
            self.times.append(500)
            self.pages[0].wait_for_timeout(50)

    def click(self, what: Locator) -> None:
        what.scroll_into_view_if_needed()
        self.shoot(0.75, what)
        what.click()

    def write(self, field: Locator, text: str) -> None:
        field.click()
        for start in range(0, len(text), 12):
            field.press_sequentially(text[start : start + 12])
            self.shoot(0.5)

    def _frame(self, at: Locator | None) -> Image.Image:
        shots = []
        for page in self.pages:
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            ratio = SCALE / (page.evaluate("devicePixelRatio"))
            size = round(picture.width * ratio), round(picture.height * ratio)
            shots.append(picture.resize(size, Image.Resampling.LANCZOS))
        left, right = shots
        height = max(left.height, right.height)
        whole = Image.new("RGB", (left.width + right.width + 3 * MARGIN, height + 2 * MARGIN + LINE), "#e3e8ec")
        places = [(MARGIN, MARGIN), (left.width + 2 * MARGIN, MARGIN)]
        for shot, place in zip(shots, places, strict=True):
            whole.paste(shot, place)
        draw = ImageDraw.Draw(whole)
        draw.text((MARGIN, height + 1.4 * MARGIN), self.caption, "#17324d", ImageFont.load_default(26))
        if at is not None and (box := at.bounding_box()) is not None:
            page = at.page
            x, y = places[self.pages.index(page)]
            centre = x + SCALE * (box["x"] + box["width"] / 2), y + SCALE * (box["y"] + box["height"] / 2)
            draw.circle(centre, 22, outline="#d2691e", width=5)
        return whole

    def save(self, path: Path) -> None:
        first, *others = self.frames
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=self.times,
            loop=0,
            quality=55,
            method=6,
            minimize_size=True,
        )


def film(studio: Studio) -> None:
    """Somebody starts the camera, somebody else sees it, they write, and one goes to another room."""
    other = studio.crowd("north-pier", 3)
    ada = studio.page("/r/harbour", "Ada", look=8, viewport=LAPTOP)
    ben = studio.page("/r/harbour", "Ben", look=11, viewport=PHONE, **TOUCH)
    for page in (ada, ben):
        expect(page.get_by_test_id("connection-state")).to_have_attribute("data-state", "connected")
    play = Film((ada, ben))
    play.caption = "Ada on her laptop and Ben on his phone have opened the same link."
    play.shoot(2)
    play.caption = "Ada turns on her camera …"
    play.click(ada.get_by_test_id("start-camera"))
    shows(ben, 1)
    play.caption = "… and Ben sees her."
    play.shoot(2.5)
    play.caption = "He writes to her."
    play.click(ben.locator("button[data-tab=chat]"))
    play.write(ben.get_by_test_id("chat-input"), "Hello Ada! Who is at the north pier?")
    play.click(ben.get_by_test_id("chat-send"))
    expect(ada.get_by_test_id("chat-line")).to_have_count(1)
    play.shoot(2)
    play.caption = "Ben goes to another room: one tap."
    play.click(ben.locator("button[data-tab=rooms]"))
    play.shoot(0.5)
    play.click(ben.locator('[data-testid=jump-link][data-room="north-pier"]'))
    other.speak(0)
    shows(ben, 3)
    play.shoot(3)
    play.save(studio.folder / "room.webp")


def beside(shots: list[Path], gap: int = 40) -> Image.Image:
    """Pictures side by side, each with a thin frame."""
    pictures = [Image.open(shot).convert("RGB") for shot in shots]
    pictures = [
        picture.resize((picture.width * 3 // 4, picture.height * 3 // 4), Image.Resampling.LANCZOS)
        for picture in pictures
    ]
    width = sum(picture.width for picture in pictures) + gap * (len(pictures) + 1)
    whole = Image.new("RGB", (width, pictures[0].height + 2 * gap), "#dfe4e8")
    left = gap
    for picture in pictures:
        whole.paste(picture, (left, gap))
        left += picture.width + gap
    return whole


PICTURES: dict[str, Callable[[Studio], None]] = {
    "entering": before_entering,
    "room": with_a_screen,
    "grid": grid,
    "phone": phone,
    "details": details,
    "moderator": moderator,
    "film": film,
}


def main() -> None:
    """Make the pictures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; all, if none is named"
    )
    parser.add_argument("--folder", type=Path, default=DOCS, help="where they are written (default: docs)")
    options = parser.parse_args()
    with chromium() as browser:
        for name in options.names or PICTURES:
            with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as program:
                studio = Studio(browser, program, options.folder)
                PICTURES[name](studio)
                studio.close()
            print(name, flush=True)


if __name__ == "__main__":
    main()
