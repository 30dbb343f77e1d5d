"""Where the images of a row may lie: below the media folder, and below folders that the user named."""

import os
from pathlib import Path


ROOTS_VARIABLE = "VIRGO_FACTORY_MEDIA_ROOTS"


class BadMedia(ValueError):
    """An image path that is missing or not allowed."""


def resolve_image(image: str, media_dir: str) -> str:
    """Return the absolute path of a local image.

    Relative paths are below `media_dir`; absolute ones must be, too, or below a folder of VIRGO_FACTORY_MEDIA_ROOTS
    (separated like PATH). `..` and links that lead out are refused, since rows come from outside.

    Raises:
        BadMedia: it is none of these, or no such file.
    """
    if "\0" in image:
        raise BadMedia("an image path holds a NUL byte")

    try:
        image.encode()
    except UnicodeEncodeError:
        raise BadMedia(f"an image path is not valid Unicode: {image!a}") from None

    roots = [Path(media_dir), *(Path(root) for root in os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep) if root)]
    path = Path(media_dir, image)
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(os.path.realpath(root)) for root in roots):
        if os.path.isabs(image):
            raise BadMedia(
                f"{image} is outside media_dir {media_dir}. If it is to be read, set media_dir: {path.parent} "
                f"or {ROOTS_VARIABLE}={path.parent}"
            )

        raise BadMedia(f"{image} leads out of media_dir {media_dir}")

    try:
        found = real.is_file()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadMedia(f"{path}: {error.strerror}") from None

    if not found:
        raise BadMedia(f"no file {path}")

    return str(path.absolute())
