"""Whatever rows are made of changes their fingerprint."""

import shutil

import virgo_factory.io.fingerprint as fingerprint


def test_a_folder_is_as_its_files(tmp_path):
    (tmp_path / "a.jsonl").write_text("1")
    before = fingerprint.content_hash(tmp_path)
    assert before == fingerprint.content_hash(tmp_path)
    (tmp_path / "a.jsonl").write_text("2")
    edited = fingerprint.content_hash(tmp_path)
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    assert len({before, edited, fingerprint.content_hash(tmp_path)}) == 3


def test_code_templates_and_version_count(tmp_path, monkeypatch):
    package, templates = tmp_path / "package", tmp_path / "templates"
    shutil.copytree(fingerprint.PACKAGE, package, ignore=shutil.ignore_patterns("bundle", "__pycache__"))
    shutil.copytree(fingerprint.TEMPLATES, templates)
    monkeypatch.setattr(fingerprint, "PACKAGE", package)
    monkeypatch.setattr(fingerprint, "TEMPLATES", templates)
    fresh = fingerprint.code_hash.__wrapped__
    seen = [fresh()]
    assert fresh() == seen[0]
    for file in (
        package / "formats" / "families" / "virgo_dt.py",
        templates / "virgo.prefix.txt",
        templates / "virgo.jinja",
    ):
        file.write_text(file.read_text() + " ")
        seen.append(fresh())

    monkeypatch.setattr(fingerprint, "__version__", "99")
    seen.append(fresh())
    assert len(set(seen)) == 5
