"""Make the README's pictures of a finished default suite: its page, and the figure of the main finding.

    snakemake --cores all reproduce && python docs/pictures.py

The page is photographed in the Chromium or Chrome that is installed. A picture has at most 256 colours, so that it
stays small.
"""

import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

REPOSITORY = Path(__file__).parents[1]
PICTURES = REPOSITORY / "docs" / "pictures"

#: A window of the page, in pixels, and the figure that shows what the parts of the model gain on a real benchmark.
WINDOW = {"width": 1280, "height": 800}
FINDING = "contrasts"

#: A figure is no wider, in pixels.
WIDEST = 1280

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def photograph(page: Path) -> Image.Image:
    """The first screen of a page."""
    browsers = [path for path in map(shutil.which, BROWSERS) if path]
    if not browsers:
        sys.exit("Error: no Chromium or Chrome is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browsers[0])
        window = browser.new_page(viewport=WINDOW, color_scheme="light")
        window.goto(page.resolve().as_uri())
        taken = window.screenshot()
        browser.close()
    return Image.open(io.BytesIO(taken))


def save(image: Image.Image, name: str) -> None:
    """Write a picture as a PNG of few colours."""
    image = image.convert("RGB")
    image.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{name}.png"
    image.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.relative_to(REPOSITORY)}: {image.width} x {image.height}, {path.stat().st_size / 1e3:,.0f} kB")


def main(reports: Path = REPOSITORY / "reports" / "default") -> None:
    save(photograph(reports / "index.html"), "page")
    save(Image.open(reports / "figures" / f"{FINDING}.png"), "finding")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
