"""Images of a row lie below the media folder, or below folders that the user named; nowhere else."""

import os

import pytest

from virgo_factory.datasets.media import ROOTS_VARIABLE, BadMedia, resolve_image


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Make media/ (a.png, sub/b.png, links), other/ and secret/ (a picture each); return their parent."""
    monkeypatch.delenv(ROOTS_VARIABLE, raising=False)
    for name in ("media/a.png", "media/sub/b.png", "media/ü 图.png", "other/c.png", "secret/d.png", "mediaeval/e.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"a picture")

    media = tmp_path / "media"
    (media / "inside.png").symlink_to(media / "sub" / "b.png")
    (media / "out.png").symlink_to(tmp_path / "secret" / "d.png")
    (media / "out").symlink_to(tmp_path / "secret")
    (media / "other.png").symlink_to(tmp_path / "other" / "c.png")
    (media / "loop.png").symlink_to(media / "loop.png")
    (media / "broken.png").symlink_to(media / "gone.png")
    (tmp_path / "media_link").symlink_to(media)
    return tmp_path


ALLOWED = [
    # (image, media_dir, roots); {} stands for the folder above all
    ("a.png", "{}/media", ""),
    ("sub/b.png", "{}/media", ""),
    ("./sub/../a.png", "{}/media", ""),
    ("sub/../../media/a.png", "{}/media", ""),
    ("ü 图.png", "{}/media", ""),
    ("inside.png", "{}/media", ""),
    ("a.png", "{}/media_link", ""),
    ("{}/media/a.png", "{}/media", ""),
    ("{}/media/a.png", "{}/media_link", ""),
    ("{}/media_link/a.png", "{}/media", ""),
    ("{}/other/c.png", "{}/media", "{}/other"),
    ("{}/other/c.png", "{}/media", "{}/nowhere:{}/other:"),
    ("other.png", "{}/media", "{}/other"),
    ("../other/c.png", "{}/media", "{}/other"),
]


@pytest.mark.parametrize(("image", "media_dir", "roots"), ALLOWED)
def test_allowed(folders, monkeypatch, image, media_dir, roots):
    image, media_dir, roots = (text.replace("{}", str(folders)) for text in (image, media_dir, roots))
    if roots:
        monkeypatch.setenv(ROOTS_VARIABLE, roots)

    found = resolve_image(image, media_dir)
    assert os.path.isabs(found)
    assert os.path.samefile(found, os.path.join(media_dir, image))


REFUSED = [
    # (name, image, part of the message)
    ("above", "../secret/d.png", "leads out of media_dir"),
    ("above, in the middle", "sub/../../secret/d.png", "leads out of media_dir"),
    ("above, through a link", "out/../other/c.png", "leads out of media_dir"),
    ("a link to a file outside", "out.png", "leads out of media_dir"),
    ("a link to a folder outside", "out/d.png", "leads out of media_dir"),
    ("a link to a root that was not named", "other.png", "leads out of media_dir"),
    ("absolute", "{}/secret/d.png", "is outside media_dir {}/media. If it is to be read, set media_dir: {}/secret or"),
    ("absolute, names begin alike", "{}/mediaeval/e.png", f"{ROOTS_VARIABLE}={{}}/mediaeval"),
    ("absolute, through above", "{}/media/../secret/d.png", "is outside media_dir"),
    ("absolute, of the system", "/etc/passwd", "is outside media_dir"),
    ("missing", "gone.png", "no file {}/media/gone.png"),
    ("missing outside tells nothing", "../secret/gone.png", "leads out of media_dir"),
    ("empty", "", "no file"),
    ("a folder", "sub", "no file"),
    ("a folder below a file", "a.png/b.png", "no file"),
    ("a link to nothing", "broken.png", "no file"),
    ("a link to itself", "loop.png", ""),
    ("a NUL byte", "a.png\0", "NUL"),
    ("half a surrogate pair", "\ud83d.png", "not valid Unicode: '\\ud83d.png'"),
    ("an escaped byte", "\udc80.png", "not valid Unicode"),
    ("a name too long", "a" * 300 + ".png", "name too long"),
    ("a path too long", "a/" * 5000 + "a.png", "name too long"),
    ("an address", "https://example.org/a.png", "no file"),
    ("a file address", "file:///etc/passwd", "no file"),
    ("home", "~/a.png", "no file"),
]


@pytest.mark.parametrize(("image", "message"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_refused(folders, image, message):
    with pytest.raises(BadMedia) as caught:
        resolve_image(image.replace("{}", str(folders)), str(folders / "media"))

    assert message.replace("{}", str(folders)).lower() in str(caught.value).lower()


def test_a_relative_media_dir_gives_absolute_paths(folders, monkeypatch):
    monkeypatch.chdir(folders)
    assert resolve_image("sub/b.png", "media") == str(folders / "media" / "sub" / "b.png")
    with pytest.raises(BadMedia, match="leads out"):
        resolve_image("../secret/d.png", "media")


def test_roots_do_not_widen_beyond_what_is_named(folders, monkeypatch):
    monkeypatch.setenv(ROOTS_VARIABLE, f"{folders}/other")
    for image in ("../secret/d.png", f"{folders}/secret/d.png", f"{folders}/other/../secret/d.png"):
        with pytest.raises(BadMedia):
            resolve_image(image, str(folders / "media"))
