"""A calibration set covers lots, classes and light, holds no exposure twice, and says what it is short of."""

import json
from collections import Counter
from pathlib import Path

import cv2
import pytest

from calibration import cli
from calibration.choice import Light, choose, light_of, look_over
from calibration.leaks import set_hash
from calibration.sample import sample
from edge.capture.appraisal import Look
from edge.picture_set import Picture, read_image, read_set
from edge.set_writer import PictureSetWriter
from tests.calibration.test_copies import jpeg, part
from tests.compile.belts import draw, run


def shot(writer, seed, light=1.0, label="ok", lot="lot-0", image=None):
    """A part of a series in some light."""
    image = cv2.convertScaleAbs(part(seed), alpha=light) if image is None else image
    return writer.add(image, f"{lot}-{seed:03d}-{label}", label, lot)


@pytest.fixture
def known(tmp_path):
    """Three lots of 8 good parts and 4 defects each, one of them in dim light too."""
    writer = PictureSetWriter(tmp_path / "set")
    for seed in range(36):
        shot(writer, seed, 0.6 if seed % 9 == 0 else 1.0, "dent" if seed % 3 == 0 else "ok", f"lot-{seed // 12}")
    return tmp_path / "set"


def chosen_of(folder, most=300, seed=1):
    pictures = read_set(folder)
    return choose(look_over(pictures, pictures), most, seed)


def told(folder):
    return json.loads((folder / "sample.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("groups", [1, 7, 1_000])
def test_rare_kinds_take_their_turns_within_the_groups(groups):
    pictures = [Picture(Path(str(n)), "ok", f"lot-{n % groups}", None, str(n)) for n in range(1_000)]
    kinds = {str(n): "dim" if n >= 975 else f"bright-{n % 2}" for n in range(1_000)}
    found = Counter(kinds[one.name] for one in sample(pictures, 60, kinds=kinds))
    assert min(found.values()) >= 18, found
    without = Counter(kinds[one.name] for one in sample(pictures, 60))
    assert without["dim"] < 10


def test_light_is_of_another_kind_where_a_device_would_notice_it():
    def light(mean, contrast):
        return light_of(Look(0, mean, 20.0, 20.0 + contrast, 0.0, 0.0, 100.0))

    assert light(100, 90) == light(104, 98)
    assert light(100, 90) != light(111, 90)
    assert light(100, 90) != light(100, 104)
    assert light(0, 0) == Light(0, 0)
    assert light(100, 90).words == "brightness 97-107, contrast 88-101"


def test_what_is_covered_is_counted(known):
    choice = chosen_of(known, 12)
    counts = choice.counts()
    assert counts["classes"] == {"dent": (6, 12), "ok": (6, 24)}
    assert counts["groups"] == {f"lot-{lot}": (4, 12) for lot in range(3)}
    assert set(counts["light"]) == {
        "brightness 50-55, contrast 66-76",
        "brightness 55-60, contrast 66-76",
        "brightness 88-97, contrast 101-116",
        "brightness 88-97, contrast 116-133",
    }
    dim = [taken_of for words, taken_of in counts["light"].items() if words.startswith("brightness 5")]
    assert sum(taken for taken, _ in dim) == 4, "4 of 36, and each of them has its turn"
    assert "4 of 4 kinds of light are covered" in choice.sentences()
    assert any(words.startswith("2 of 3 groups are covered; none of ") for words in chosen_of(known, 2).sentences())


def test_copies_are_left_out_within_a_lot_too_but_a_part_before_and_after_it_was_scratched_stays(known):
    writer, first = PictureSetWriter(known), read_set(known)[1]
    image = read_image(first.path)
    for seed, how in ((90, jpeg(image, 95)), (91, cv2.convertScaleAbs(image, alpha=1.1))):
        shot(writer, seed, lot=first.group, image=how)
    scratched = image.copy()
    scratched[80:82, 90:110] = 255
    shot(writer, 92, label="scratch", lot=first.group, image=scratched)
    choice = chosen_of(known)
    assert [(kept.name, other.name) for kept, other in choice.left_out] == [
        (first.name, "images/lot-0-090-ok.png"),
        (first.name, "images/lot-0-091-ok.png"),
    ]
    assert len(choice.chosen) == 37 and any(one.label == "scratch" for one in choice.chosen)
    assert any(words.startswith("2 pictures are left out as copies") for words in choice.sentences())


def test_a_process_too_steady_to_tell_copies_keeps_its_pictures(tmp_path):
    folder = draw(tmp_path / "even", 30, 12, 1)
    PictureSetWriter(folder).add(read_image(read_set(folder)[0].path), "again", "ok", "lot-9")
    choice = chosen_of(folder)
    assert [(kept.name, other.name) for kept, other in choice.left_out] == [
        ("images/lot-000.png", "images/again.png")
    ]
    assert len(choice.chosen) == 42
    assert any("only the same pixels are left out" in words for words in choice.sentences())


def test_too_few_are_told_with_what_they_cost_and_how_many_would_do(known, tmp_path):
    few = chosen_of(known).sentences()
    assert (
        "12 defects are few: in any one tensor about 1 in 13 new ones goes beyond all of these, and INT8 clips it "
        "there; 49 make that 1 in 50"
    ) in few
    assert any(words.startswith("24 other pictures are few") for words in few)
    writer = PictureSetWriter(tmp_path / "good")
    shot(writer, 1)
    assert (
        chosen_of(tmp_path / "good")
        .sentences()[-1]
        .startswith("no defect is among them: ranges of good parts clip")
    )


def test_the_record_proves_the_choice(monkeypatch, capsys, known, tmp_path):
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        words = ("--pictures", 12, "--seed", seed, "-o", tmp_path / name)
        assert run(monkeypatch, cli.main, "sample", known, *words) == 0
    one = told(tmp_path / "one")
    assert one == told(tmp_path / "again")
    assert one["sha256"] != told(tmp_path / "other")["sha256"]
    assert one["sha256"] == set_hash(read_set(tmp_path / "one")), "the copied pictures are those that were chosen"
    assert (one["seed"], one["pictures"], one["of"], one["acceptance_sha256"]) == (1, 12, 36, None)
    assert one["of_sha256"] == set_hash(read_set(known))
    by_name = {picture.name: picture for picture in read_set(known)}
    assert set_hash(by_name[name] for name in one["chosen"]) == one["sha256"]
    shown = capsys.readouterr().out
    assert one["sha256"] in shown
    assert "Not compared with an acceptance set" in shown


def test_a_folder_that_holds_something_is_not_added_to(monkeypatch, capsys, known, tmp_path):
    assert run(monkeypatch, cli.main, "sample", known, "-o", tmp_path / "s") == 0
    assert run(monkeypatch, cli.main, "sample", known, "--seed", 2, "-o", tmp_path / "s") == 78
    assert "holds something already: give a new folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lot", "image", "message"),
    [
        ("lot-1", part(200), "lot-1 of the acceptance set were used for calibration too"),
        ("held-0", part(5), "1 acceptance pictures were used for calibration too"),
        (
            "held-0",
            jpeg(part(5), 80),
            "1 acceptance pictures are copies of pictures that were used for calibration",
        ),
    ],
)
def test_nothing_of_the_acceptance_set_gets_into_it(monkeypatch, capsys, known, tmp_path, lot, image, message):
    writer = PictureSetWriter(tmp_path / "held")
    for seed in range(60, 80):
        shot(writer, seed, lot="held-1")
    words = ("--acceptance", tmp_path / "held")
    assert run(monkeypatch, cli.main, "sample", known, *words, "-o", tmp_path / "fine") == 0
    assert told(tmp_path / "fine")["acceptance_sha256"] == set_hash(read_set(tmp_path / "held"))
    shot(writer, 99, lot=lot, image=image)
    assert run(monkeypatch, cli.main, "sample", known, *words, "-o", tmp_path / "s") == 78
    assert message in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
