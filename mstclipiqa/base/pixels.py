"""The one rule for pixels: which image files are opened, and which refused. All that reads images opens them here."""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from mstclipiqa.base.errors import InputError
from mstclipiqa.base.names import IMAGE_FORMATS

#: Pillow knows other formats too: its EPS reader starts Ghostscript, and others of its readers raise whatever they
#: like.
FORMATS = tuple(dict.fromkeys(IMAGE_FORMATS.values()))

#: How many times longer than wide an image may be. CLIP resizes the short side to 224 pixels and keeps the ratio: at
#: this one, to 5 million pixels.
MOST_RATIO = 100

#: Filters of warnings are one for all threads.
_FILTERS = threading.Lock()


@contextlib.contextmanager
def opened(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """An image file, open and not yet decoded: `image.convert("RGB")` decodes it whole. The first frame, not turned.
    Where its `content` is given, as of a file in an archive, `path` only names it.

    Raises InputError, here and for what the block meets in the image, where the file may not be read; is no image of
    FORMATS; has more pixels than Pillow's MAX_IMAGE_PIXELS, or a ratio beyond MOST_RATIO; has more than 8 bits of grey,
    which Pillow would cut off at 255; and where it does not decode. FileNotFoundError is left to the caller.
    """
    try:
        image = _open(path if content is None else io.BytesIO(content))
    except FileNotFoundError:
        raise
    except Exception as error:
        size = path.stat().st_size if content is None else len(content)
        what = f"not a readable image of {size} bytes" if size else "the file is empty"
        raise _refusal(path, f"{what} ({type(error).__name__})", error) from None
    with image:
        check_pixels(path, image)
        try:
            yield image
        except InputError:
            raise
        except Exception as error:
            raise _refusal(path, f"does not decode ({' '.join(str(error).split())})", error) from None


def _open(file: Path | io.BytesIO) -> Image.Image:
    """The image, of which the header is read."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file, formats=FORMATS)


def check_pixels(path: Path | str, image: Image.Image) -> None:
    """Raises InputError, which calls the image `path`, for more than 8 bits of grey and a ratio beyond MOST_RATIO."""
    if image.mode[0] in "IF":
        raise InputError(f"{path}: more than 8 bits of grey (mode {image.mode}); save it with 8 bits")
    short, long = sorted(image.size)
    if long > MOST_RATIO * short:
        raise InputError(
            f"{path}: {image.width} x {image.height} pixels; no image whose one side is over {MOST_RATIO} times the "
            "other is read, since CLIP would enlarge it beyond any memory; crop it"
        )


def _refusal(path: Path, what: str, error: Exception) -> InputError:
    """The one line for whatever Pillow raises: on damaged files it has no narrower class than Exception."""
    if isinstance(error, PermissionError):
        return InputError(f"{path}: may not be read; give yourself the right to")
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        what = f"too large an image ({type(error).__name__}: {error})".replace(".)", ")")
    return InputError(f"{path}: {what}; replace it from the source")
