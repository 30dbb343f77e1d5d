"""Scenes: time and memory of reading COCO's layout for a million pictures; which questions boxes contradict.

    PYTHONPATH=tools python benchmarks/synthesis_scenes.py --scenes 1000000 --folder DIR
    PYTHONPATH=tools python benchmarks/synthesis_scenes.py --claims 400
    PYTHONPATH=tools python benchmarks/synthesis_scenes.py --wordings

The files are written first (kept for a second run); pictures are hard links to a thousand drawn ones. Five captions and
seven boxes a picture, boxes in another order than pictures, some crowds and some boxes outside. TMPDIR must have room.
"""

import argparse
import json
import os
import random
import resource
import time
from collections import Counter, defaultdict
from pathlib import Path

from PIL import Image

from demo_scenes.scenes import HEIGHT, WIDTH, drawn_scene
from virgo_factory.synthesis.scenes.claims import contradiction
from virgo_factory.synthesis.scenes.read import read_scenes, tagged
from virgo_factory.synthesis.scenes.source import SceneSource
from virgo_factory.synthesis.words import Question, Scene, SceneObject


DRAWN = 1000
CAPTIONS, BOXES = 5, 7
SIZE = (160, 120)
NAMES = [f"thing {number}" for number in range(1, 81)]


def file_name(number: int) -> str:
    return f"{number // 1000:04}/{number:012}.jpg"


def write_pictures(folder: Path, count: int) -> None:
    rng = random.Random(1)
    drawn = folder / "drawn"
    drawn.mkdir(parents=True, exist_ok=True)
    for number in range(min(DRAWN, count)):
        noise = Image.frombytes("RGB", (16, 12), rng.randbytes(16 * 12 * 3))
        noise.resize(SIZE).save(drawn / f"{number}.jpg", quality=80)

    for number in range(count):
        path = folder / "pictures" / file_name(number)
        if not number % 1000:
            path.parent.mkdir(parents=True, exist_ok=True)

        if not path.exists():
            os.link(drawn / f"{number % DRAWN}.jpg", path)


def write_files(folder: Path, count: int) -> None:
    def listed(file, name: str, rows, last: bool = False) -> None:
        file.write(f'"{name}": [')
        for number, row in enumerate(rows):
            file.write((", " if number else "") + json.dumps(row))

        file.write("]" if last else "], ")

    def images():
        for number in range(count):
            yield {"id": number, "file_name": file_name(number), "width": SIZE[0], "height": SIZE[1], "license": 1}

    def captions():
        for one in range(CAPTIONS * count):
            number = one * 7919 % count  # another order than that of the pictures
            yield {
                "id": one,
                "image_id": number,
                "caption": f"Sentence {one} says what picture {number} shows of its things.",
            }

    def boxes():
        rng = random.Random(2)
        polygons = [[round(rng.uniform(0, 160), 2) for _ in range(20)] for _ in range(64)]
        for one in range(BOXES * count):
            number = one * 104_729 % count
            box = [one % 121, one % 91, 5 + one % 46, 5 + one % 37]  # some reach out of the picture
            yield {"id": one, "image_id": number, "category_id": one % 80 + 1, "bbox": box, "segmentation": [polygons[one % 64]],
                   "area": 100.5, "iscrowd": int(one % 100 == 0)}  # fmt: skip

    with (folder / "captions.json").open("w") as file:
        file.write('{"info": {"year": 2017}, ')
        listed(file, "images", images())
        listed(file, "annotations", captions(), last=True)
        file.write("}")

    with (folder / "instances.json").open("w") as file:
        file.write("{")
        listed(file, "annotations", boxes())
        categories = ({"id": number, "name": name} for number, name in enumerate(NAMES, start=1))
        listed(file, "categories", categories, last=True)
        file.write("}")


def judge_claims(scenes: int) -> None:
    """Print, by kind of question, how many true ones are dropped, and how many with a wrong answer are found."""
    rng, told, start, asked = random.Random(1), defaultdict(Counter), time.process_time(), 0
    for number in range(scenes):
        drawn = drawn_scene(number)
        scene = Scene(drawn.id, number, drawn.image, "", WIDTH, HEIGHT, drawn.captions, drawn.objects)
        for fact in drawn.facts():
            options = [fact.answer, *fact.wrong]
            rng.shuffle(options)
            for name, answer in (("right", fact.answer), ("wrong", rng.choice(fact.wrong))):
                letter = "ABCD"[options.index(answer)]
                found = contradiction(Question("q", scene.id, fact.question, tuple(options), letter), scene)
                told[fact.kind][name, bool(found)] += 1
                asked += 1

    print("| kind | true | of these dropped | with a wrong answer | of these dropped |\n|---|---|---|---|---|")
    for kind, counts in told.items():
        right, wrong = (counts[name, False] + counts[name, True] for name in ("right", "wrong"))
        print(f"| {kind} | {right:,} | {counts['right', True]:,} | {wrong:,} | {counts['wrong', True]:,} |")

    print(f"{(time.process_time() - start) / asked * 1e3:.2f} ms of processor a question, drawing included")


TABLES = {
    "kitchen": (
        [("cup", (40, 200, 100, 270), {"color": "red"}), ("cup", (200, 220, 260, 290), {"color": "blue"})]
        + [("cup", (420, 210, 480, 280), {"color": "red"}), ("plate", (120, 300, 220, 340)), ("plate", (340, 310, 460, 360))]
        + [("bottle", (540, 100, 590, 280)), ("bowl", (260, 380, 360, 440)), ("clock", (300, 20, 370, 90)), ("spoon", (60, 380, 150, 400))]
    ),
    "street": (
        [("person", (30, 200, 80, 380)), ("person", (150, 210, 195, 370)), ("person", (400, 220, 440, 360)), ("person", (560, 190, 610, 390))]
        + [("car", (220, 260, 370, 340), {"color": "white"}), ("car", (450, 270, 545, 330), {"color": "black"})]
        + [("dog", (100, 340, 145, 390)), ("traffic light", (380, 40, 405, 110)), ("bicycle", (250, 370, 340, 450))]
        + [("bench", (10, 390, 95, 440)), ("bird", (500, 25, 530, 55))]
    ),
}  # fmt: skip
"""Scene of synthesis_wordings.txt -> its things."""
WORDINGS = Path(__file__).parent / "synthesis_wordings.txt"


def judge_wordings() -> dict[str, Counter]:
    """Return, for each list of WORDINGS, how many wrong answers are found and right ones dropped, with and without claims."""
    scenes = {}
    for name, things in TABLES.items():
        objects = tagged([SceneObject("", of, box, attributes=dict(*looks)) for of, box, *looks in things])
        scenes[name] = Scene(name, 0, "a.png", "", 640, 480, ("A picture.",), objects)

    told: dict[str, Counter] = {}
    for line in WORDINGS.read_text(encoding="utf-8").splitlines():
        if line.startswith("= "):
            told[number := line[2:]] = Counter()
        elif line.startswith("["):
            scene = scenes[line[1:-1]]
        elif not line.startswith("#"):
            question, *options, claim = line.split(" | ")
            told[number]["asked"] += 1
            for way, stated in (("", ""), (" with claim", claim)):
                right, wrong = (
                    contradiction(Question("q", scene.id, question, tuple(options), letter, claim=stated), scene)
                    for letter in "AB"
                )
                told[number]["lost" + way] += right is not None
                told[number]["found" + way] += wrong is not None

    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--claims", type=int, help="judge claims of so many drawn scenes instead")
    parser.add_argument("--wordings", action="store_true", help="judge questions in words of their own instead")
    given = parser.parse_args()
    if given.wordings:
        for number, counts in judge_wordings().items():
            print(f"list {number}: {dict(counts)}")
    elif given.claims:
        judge_claims(given.claims)
    elif given.folder:
        read_coco(given)
    else:
        parser.error("--folder, --claims or --wordings")


def read_coco(given: argparse.Namespace) -> None:
    """Print time and memory of reading so many scenes."""
    done = given.folder / f"written-{given.scenes}"
    if not done.exists():
        start = time.monotonic()
        write_pictures(given.folder, given.scenes)
        write_files(given.folder, given.scenes)
        done.touch()
        print(f"written in {time.monotonic() - start:.0f} s", flush=True)

    for name in ("captions", "instances"):
        print(f"{name}: {(given.folder / f'{name}.json').stat().st_size / 1e6:,.0f} MB")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start, first, counts = time.monotonic(), 0.0, Counter()
    source = SceneSource(
        "coco", captions=given.folder / "captions.json", boxes=given.folder / "instances.json", pictures="pictures"
    )
    for found in read_scenes([source], given.folder):
        if isinstance(found, Scene):
            first = first or time.monotonic() - start
            counts["scenes"] += 1
            counts["objects"] += len(found.objects)
            if not counts["scenes"] % 100_000:
                peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                print(
                    f"{counts['scenes']:,} scenes, {time.monotonic() - start:,.0f} s, peak {peak:,.0f} MB", flush=True
                )
        else:
            counts[found.reason] += 1

    took, used = time.monotonic() - start, resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"first scene after {first:,.0f} s; all after {took:,.0f} s ({used.ru_utime + used.ru_stime:,.0f} s of processor)"
    )
    print(f"peak {used.ru_maxrss / 1024:,.0f} MB, {before:,.0f} before, load {os.getloadavg()[0]:.1f}")
    for name, count in counts.most_common():
        print(f"{name}: {count:,}")


if __name__ == "__main__":
    main()
