"""Images of a row lie below the media folder, or below folders that the user named; nowhere else."""

import io
import os

import pytest

from virgo_factory.data.read.media import (
    ROOTS_VARIABLE,
    BadMedia,
    find_image,
    outside_remedy,
    resolve_image,
    store_image,
)


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
    ("in capitals", "A.PNG", "no file {}/media/A.PNG; is a.png beside it meant?"),
    ("out of the folder, as in an address", "..%2F..%2Fsecret%2Fd.png", "no file"),
    ("a letter that is two in capitals", "\u00df" * 120 + ".png", "no file"),
    ("as in an address", "%61.png", "no file {}/media/%61.png; is a.png beside it meant?"),
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


FORMS = [
    # (what a row gives, what is found: a file of the folder, bytes, or the reason)
    ("a.png", "media/a.png"),
    ({"path": "a.png"}, "media/a.png"),
    ({"path": "a.png", "bytes": None}, "media/a.png"),
    ({"path": "gone.png", "bytes": b"x"}, b"x"),
    (b"x", b"x"),
    (bytearray(b"x"), b"x"),
    ("data:image/png;base64,eA==", b"x"),
    ("DATA:;BASE64,eA==", b"x"),
    ("data:image/png,x", "image not understood"),
    ("data:image/png;base64,e", "image unreadable"),
    ("data:image/png;base64,é", "image unreadable"),
    ("https://example.org/a.png", "image is a URL"),
    ("s3://bucket/a.png", "image is a URL"),
    ("file:///etc/passwd", "image outside media_dir"),
    ("file://host/a.png", "image is a URL"),
    ("gone.png", "image missing"),
    ("{}/secret/d.png", "image outside media_dir"),
    ("../secret/d.png", "image outside media_dir"),
    ("out.png", "image outside media_dir"),
    ({"path": "out.png", "bytes": None}, "image outside media_dir"),
    ("iVBORw0KGgo" * 500, "image not understood"),
    ({}, "image not understood"),
    ({"url": "a.png"}, "image not understood"),
    ({"bytes": "eA=="}, "image not understood"),
    ({"bytes": [1, 2]}, "image not understood"),
    (None, "image not understood"),
    (7, "image not understood"),
    (["a.png"], "image not understood"),
]


@pytest.mark.parametrize(("image", "found"), FORMS)
def test_every_form_of_an_image(folders, image, found):
    image = image.replace("{}", str(folders)) if isinstance(image, str) else image
    media = str(folders / "media")
    if isinstance(found, bytes):
        assert find_image(image, media) == found
    elif found.startswith("image "):
        with pytest.raises(BadMedia) as caught:
            find_image(image, media)

        assert caught.value.reason == found
        assert len(str(caught.value).replace(str(folders), "")) < 400, "a message, not the image"
    else:
        assert find_image(image, media) == str(folders / found)


def test_a_url_names_the_command_that_fetches(folders):
    with pytest.raises(BadMedia, match="no network. Download the images and .*virgo-factory data materialize"):
        find_image("https://example.org/a.png", str(folders))


def test_stored_bytes_are_one_whole_file(tmp_path):
    first, again, other = (store_image(content, "PNG", tmp_path) for content in (b"x", b"x", b"y"))
    assert first == again != other
    assert sorted(str(path) for path in tmp_path.rglob("*") if path.is_file()) == sorted([first, other])
    with open(first, "rb") as file:
        assert file.read() == b"x"


def test_the_remedy_for_absolute_paths(folders):
    images = [f"{folders}/{name}" for name in ("media/a.png", "media/sub/b.png", "other/c.png")]
    assert outside_remedy(images, "m").endswith(f"{ROOTS_VARIABLE}={folders}. To read only them: media_dir: {folders}")
    assert outside_remedy(images[:2], "m").startswith(f"2 images below {folders}/media, ")
    assert outside_remedy(images[1:2], "m").startswith(f"1 image below {folders}/media/sub, ")
    assert "which does not exist on this machine" in outside_remedy(["/nowhere/a.png"], "m")
    assert "media_dir: /." not in outside_remedy(["/nowhere/a.png", "/else/b.png"], "m")
    assert outside_remedy(["../a.png"], "m") is None


LEADING_OUT = ["out/d.png", "out.png", "other.png", "../secret/d.png", "{}/secret/d.png", "out/../other/c.png"]


@pytest.mark.parametrize("image", LEADING_OUT)
def test_the_remedy_that_is_printed_works(folders, monkeypatch, image):
    """Each alone, with the line in its own message; and a folder set before stays readable."""
    image, media = image.replace("{}", str(folders)), str(folders / "media")
    monkeypatch.setenv(ROOTS_VARIABLE, str(folders / "mediaeval"))
    with pytest.raises(BadMedia) as caught:
        resolve_image(image, media)

    line = outside_remedy([str(caught.value)], media).rpartition(f"{ROOTS_VARIABLE}=")[2].split(". To read only")[0]
    monkeypatch.setenv(ROOTS_VARIABLE, line)
    assert os.path.samefile(resolve_image(image, media), os.path.join(media, image))


def test_the_remedy_for_all_of_them_works_at_once(folders, monkeypatch):
    images, media = [image.replace("{}", str(folders)) for image in LEADING_OUT], str(folders / "media")
    told = []
    for image in images:
        with pytest.raises(BadMedia) as caught:
            resolve_image(image, media)

        told.append(str(caught.value))

    remedy = outside_remedy(told, media)
    assert remedy.startswith(f"6 images lead out of media_dir {media}")
    monkeypatch.setenv(ROOTS_VARIABLE, remedy.rpartition(f"{ROOTS_VARIABLE}=")[2])
    assert all(os.path.isabs(resolve_image(image, media)) for image in images)


def test_a_linked_folder_is_named_whole(folders):
    """One line for all pictures behind it, however deep they lie."""
    (folders / "secret" / "deep").mkdir()
    with pytest.raises(BadMedia, match=f"{ROOTS_VARIABLE}={folders}/secret$"):
        resolve_image("out/deep/d.png", str(folders / "media"))


def test_a_pillow_image_is_its_pixels():
    from PIL import Image

    for mode in ("RGB", "RGBA", "L", "I;16", "F", "CMYK"):
        picture = Image.new(mode, (3, 2))
        with Image.open(io.BytesIO(find_image(picture, "."))) as opened:
            assert (opened.mode, opened.size, opened.tobytes()) == (mode, (3, 2), picture.tobytes())
