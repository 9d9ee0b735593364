"""`edge-compile` turns a student into a bundle that the device opens, or says why not."""

import json
import re

import numpy as np
import pytest

from calibration import cli as calibrate
from calibration.judging import embeddings, judge_pictures
from compile import build, cli, search
from compile.keys import make_keys
from edge.acceptance import accept
from edge.bundle import load_keys, read_bundle
from edge.clock import SystemClock
from edge.eye.student import load
from edge.options import OrtEngine, TrtEngine
from edge.picture_set import read_set
from edge.records import Kind
from tests.compile.belts import SPOT, choose_threshold, draw, run
from tests.compile.students import spoiling, student
from tests.infer.simulated_gpu import Machine, simulated


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    draw(folder / "trained", 12, 12, 1, lot="train")
    draw(folder / "locked", 40, 62, 2, lot="locked")
    make_keys(folder / "acme")
    return folder


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """A folder with a student and its threshold; INT8 counts as twice as fast, whatever this machine does."""
    monkeypatch.setattr(build, "median_ms", lambda models, image: ([2.0, 1.0] * len(models))[: len(models)])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    return with_student(monkeypatch, tmp_path, student())


def with_student(monkeypatch, folder, model):
    (folder / "student.onnx").write_bytes(model)
    choose_threshold(monkeypatch, folder)
    return folder


def compile_it(monkeypatch, bench, sets, *words, **changed):
    given = {
        "calibration": sets / "trained",
        "acceptance": sets / "locked",
        "threshold": bench / "threshold.json",
        "product": "cap",
        "version": 1,
        "key": sets / "acme.key",
        "out": bench / "cap-1.bundle",
    } | changed
    options = [word for name, value in given.items() for word in (f"--{name}", value)]
    return run(monkeypatch, cli.main, bench / "student.onnx", *options, *words)


def opened(bench, sets, name="cap-1.bundle"):
    return read_bundle(bench / name, load_keys(sets))


def test_a_bundle_holds_both_models_with_evidence_and_what_a_device_needs(monkeypatch, capsys, bench, sets):
    assert compile_it(monkeypatch, bench, sets) == 0
    bundle = opened(bench, sets)
    manifest = bundle.manifest
    assert [(entry.precision, entry.proven) for entry in manifest.models] == [("int8", True), ("fp32", True)]
    assert (manifest.product, manifest.version, manifest.created) == ("cap", 1, "2023-11-14T22:13:20Z")
    evidence = manifest.entry("ort").evidence
    assert (evidence.defects, evidence.missed, evidence.goods, evidence.groups) == (62, 0, 40, 6)
    assert bundle.model(manifest.entry("ort", "fp32")) == student()
    for entry in manifest.models:
        judged = bundle.judged(entry)
        assert len(judged.scores) == 102 and judged.at(1.0, entry.evidence).missed == 62
    labels = [picture.label for picture in bundle.acceptance()]
    assert (len(labels), set(labels)) == (12, {"ok", "spot"})
    told = capsys.readouterr().out
    assert "On 62 held-out defects from 6 groups, 0 missed: escape rate <= 4.7%" in told


def test_each_model_says_what_its_embeddings_were_like(monkeypatch, bench, sets):
    compile_it(monkeypatch, bench, sets)
    bundle = opened(bench, sets)
    for entry in bundle.manifest.models:
        outside = entry.coverage.outside()
        seen = embeddings(bundle.model(entry), read_set(sets / "locked"))
        assert 0.01 < np.mean([outside.in_limits(one) > 1 for one in seen]) <= 0.06
        assert outside.in_limits(-seen[0]) > 1
    known = load(bundle, OrtEngine(kind="ort", precision="fp32"), SystemClock()).outside
    assert known.limit == bundle.manifest.entry("ort", "fp32").coverage.limit, "the eye has it"


def test_each_target_is_proven_on_its_own_engine(monkeypatch, capsys, bench, sets):
    pytest.importorskip("edge.infer.ov")
    assert compile_it(monkeypatch, bench, sets, "--target", "ort", "--target", "ov") == 0
    manifest = opened(bench, sets).manifest
    assert [(entry.target, entry.precision) for entry in manifest.models] == [
        ("ort", "int8"),
        ("ort", "fp32"),
        ("ov", "int8"),
        ("ov", "fp32"),
    ]
    assert len({entry.file for entry in manifest.models}) == 2, "both engines run the same files"
    assert all(entry.evidence.defects == 62 and entry.proven for entry in manifest.models)
    told = " ".join(capsys.readouterr().out.split())
    for precision in ("INT8", "FP32"):
        found = re.search(
            rf"{precision} scores differ by at most ([\d.]+) between ort and ov, within the tol", told
        )
        assert found and float(found[1]) < 0.02
    words = ("--target", "ort", "--target", "ov", "--tolerance", 0)
    assert compile_it(monkeypatch, bench, sets, *words, out=bench / "strict.bundle") == 0
    assert "by more than the tolerance of 0 (" in opened(bench, sets, "strict.bundle").report()
    assert compile_it(monkeypatch, bench, sets, "--target", "tpu", out=bench / "x.bundle") == 78


def test_a_gpu_gets_models_of_its_own_which_it_must_accept_itself(monkeypatch, capsys, bench, sets):
    assert compile_it(monkeypatch, bench, sets, "--target", "ort", "--target", "trt") == 0
    bundle = opened(bench, sets)
    of_gpu = [entry for entry in bundle.manifest.models if entry.target == "trt"]
    assert [(entry.precision, entry.file, entry.proven) for entry in of_gpu] == [
        ("fp16", "models/fp16-trt.onnx", True),
        ("int8", "models/int8-trt.onnx", True),
        ("fp32", "models/fp32.onnx", True),
    ]
    assert "it accepts those itself" in capsys.readouterr().out
    with simulated(Machine()) as machine:
        for precision in ("fp16", "int8", "fp32"):
            options = TrtEngine(kind="trt", precision=precision, engines_dir=bench / "engines")
            assert accept(bundle, options, SystemClock()).precision == precision
        assert machine.builds == 3


def test_the_stored_pictures_get_on_the_device_the_verdicts_they_had(monkeypatch, bench, sets):
    compile_it(monkeypatch, bench, sets)
    bundle = opened(bench, sets)
    locked = {picture.path.stem: picture for picture in read_set(sets / "locked")}
    for stored in bundle.acceptance():
        before = locked[stored.name[3:-4]]
        judged = judge_pictures(bundle.model(bundle.manifest.models[0]), [before], 0.5)[0]
        assert judged.kind is (Kind.PASS if stored.label == "ok" else Kind.REJECT)


def test_the_bundle_states_the_scores_that_a_device_must_find_too(monkeypatch, bench, sets):
    compile_it(monkeypatch, bench, sets, "--tolerance", 0.02)
    bundle = opened(bench, sets)
    for precision in ("int8", "fp32"):
        entry = bundle.manifest.entry("ort", precision)
        assert (set(entry.scores), entry.tolerance) == ({one.name for one in bundle.acceptance()}, 0.02)
        accepted = accept(bundle, OrtEngine(kind="ort", precision=precision), SystemClock())
        assert (accepted.difference, accepted.changed) == (pytest.approx(0, abs=1e-6), ())


def test_the_report_stands_alone_and_tells_the_evidence(monkeypatch, bench, sets):
    compile_it(monkeypatch, bench, sets)
    report = opened(bench, sets).report()
    assert "escape rate &lt;= 4.7% with 95% confidence" in report
    assert report.count("<svg") == 2
    assert "INT8 on ort: 4 of 6 convolutions and matrix products in INT8" in report
    assert "no changed verdicts of 102" in report
    assert "no operator or shape that a target, INT8 or TensorRT would not like" in report
    assert "<script" not in report
    assert "http" not in report
    assert opened(bench, sets).manifest.models[0].sha256 in report


def test_the_same_work_gives_the_same_bytes(monkeypatch, bench, sets):
    compile_it(monkeypatch, bench, sets)
    first = (bench / "cap-1.bundle").read_bytes()
    compile_it(monkeypatch, bench, sets, out=bench / "again.bundle")
    assert (bench / "again.bundle").read_bytes() == first
    compile_it(monkeypatch, bench, sets, "--seed", 2, calibration=sets / "trained", out=bench / "other.bundle")
    assert opened(bench, sets, "other.bundle").manifest.models[1] == opened(bench, sets).manifest.models[1]


def test_a_student_that_breaks_in_int8_is_healed_by_a_float_tail_and_the_report_says_so(monkeypatch, bench, sets):
    with_student(monkeypatch, bench, student(trouble=spoiling))
    assert compile_it(monkeypatch, bench, sets) == 0
    bundle = opened(bench, sets)
    assert bundle.manifest.models[0].precision == "int8"
    assert "first and last two convolutions" in bundle.report()


def broken_twice(graph, tensor):
    """Two outliers in a row: a float tail heals only one."""
    graph.weights, kept = [], graph.weights
    first = spoiling(graph, tensor)
    for node in graph.nodes[-4:]:
        node.name = f"{node.name}_early"
    for weight in graph.weights:
        weight.name = f"{weight.name}_early"
    renames = {"huge": "huge_early", "kept": "kept_early", "kept_r": "kept_r_early"}
    for node in graph.nodes[-3:]:
        names = [renames.get(name, f"{name}_early" if name.endswith(("_w", "_b")) else name) for name in node.input]
        node.input[:] = names
        node.output[0] = renames[node.output[0]]
    graph.weights = kept + graph.weights
    return spoiling(graph, renames[first])


def test_layers_go_back_to_float_one_by_one_and_the_report_tells_what_each_costs(monkeypatch, bench, sets):
    with_student(monkeypatch, bench, student(trouble=broken_twice))
    assert compile_it(monkeypatch, bench, sets) == 0
    bundle = opened(bench, sets)
    assert [entry.precision for entry in bundle.manifest.models] == ["int8", "fp32"]
    report = bundle.report()
    assert "Attempts at INT8" in report
    assert "ranges by entropy" in report
    assert report.count("in float also n_huge_early, n_kept_early, n_huge, n_kept") >= 2
    assert "INT8 on ort: 4 of 10 convolutions and matrix products in INT8" in report


def test_a_bundle_states_the_hash_of_the_sample_that_calibrated_it(monkeypatch, bench, sets):
    assert run(monkeypatch, calibrate.main, "sample", sets / "trained", "-o", bench / "sample") == 0
    told = json.loads((bench / "sample" / "sample.json").read_text())
    assert compile_it(monkeypatch, bench, sets, "--int8-only", calibration=bench / "sample") == 0
    assert opened(bench, sets).manifest.provenance["calibration_sha256"] == told["sha256"]


def test_ranges_measured_on_good_parts_only_are_caught_by_the_gate(monkeypatch, capsys, bench, sets, tmp_path):
    good = draw(tmp_path / "good", 24, 0, 4, lot="good")
    monkeypatch.setattr(build, "draw", lambda *_: [])
    assert compile_it(monkeypatch, bench, sets, calibration=good) == 0
    assert [entry.precision for entry in opened(bench, sets).manifest.models] == ["fp32"]
    told = capsys.readouterr().out
    assert "62 defects with a clear margin turned PASS" in told
    assert "INT8 on ort cuts the peaks of 62 clear defects: of their margin 0% in the median" in told
    assert "r2 in 31 of 31 defects and 0 of 20 good ones: calibrate with more pictures of defects" in told
    assert compile_it(monkeypatch, bench, sets, "--int8-only", calibration=good, out=bench / "none.bundle") == 65
    assert "INT8 on ort cuts the peaks" in capsys.readouterr().out, "told where nothing ships too"


def test_a_student_that_cannot_be_healed_ships_in_float_only(monkeypatch, capsys, bench, sets):
    monkeypatch.setattr(search, "MOST_REVERTED", 1)
    with_student(monkeypatch, bench, student(trouble=broken_twice))
    assert compile_it(monkeypatch, bench, sets) == 0
    assert [entry.precision for entry in opened(bench, sets).manifest.models] == ["fp32"]
    told = capsys.readouterr().out
    assert "INT8 does not ship: with every recipe, calibration defects of clear margin turned PASS" in told
    assert compile_it(monkeypatch, bench, sets, "--int8-only", out=bench / "none.bundle") == 65
    assert "leave --int8-only away" in capsys.readouterr().err
    assert not (bench / "none.bundle").exists()


def test_missed_defects_refuse_the_bundle(monkeypatch, capsys, bench, sets, tmp_path):
    faint = draw(tmp_path / "faint", 10, 62, 3, spots=(SPOT, 10), lot="faint")
    assert compile_it(monkeypatch, bench, sets, acceptance=faint) == 65
    told = capsys.readouterr()
    assert "FP32 does not ship: 31 of 62 held-out defects missed" in told.err
    assert "Traceback" not in told.err
    assert "Missed defects: scores" in told.out
    assert "Missed defects by class" not in told.out, "there is but one"
    assert "and 11 more" in told.out
    assert not (bench / "cap-1.bundle").exists()


def test_too_few_defects_refuse_the_bundle_unless_it_says_that_it_is_unproven(monkeypatch, capsys, bench, sets):
    words = ("--acceptance-groups", "locked-0,locked-1,locked-2")
    assert compile_it(monkeypatch, bench, sets, *words) == 65
    assert "too few defects to say" in capsys.readouterr().err
    assert compile_it(monkeypatch, bench, sets, *words, "--allow-unproven") == 0
    assert [entry.proven for entry in opened(bench, sets).manifest.models] == [False, False]
    assert "Not proven" in opened(bench, sets).report()


def test_a_small_bundle_holds_int8_only(monkeypatch, bench, sets):
    assert compile_it(monkeypatch, bench, sets, "--int8-only", "--acceptance-pictures", 3) == 0
    bundle = opened(bench, sets)
    assert ([entry.precision for entry in bundle.manifest.models], len(bundle.acceptance())) == (["int8"], 3)


def test_a_threshold_of_another_student_is_refused(monkeypatch, capsys, bench, sets):
    (bench / "student.onnx").write_bytes(student(steep=21.0))
    assert compile_it(monkeypatch, bench, sets) == 78
    assert "chosen for another student" in capsys.readouterr().err


def test_an_acceptance_set_that_calibration_or_training_saw_is_refused(monkeypatch, capsys, bench, sets):
    assert compile_it(monkeypatch, bench, sets, acceptance=sets / "trained") == 78
    assert "used for training too" in capsys.readouterr().err
    assert compile_it(monkeypatch, bench, sets, calibration=sets / "locked") == 78
    assert "used for calibration too" in capsys.readouterr().err


def test_a_key_that_others_can_read_is_warned_about(monkeypatch, capsys, bench, sets):
    (bench / "open.key").write_bytes((sets / "acme.key").read_bytes())
    (bench / "open.key").chmod(0o644)
    assert compile_it(monkeypatch, bench, sets, "--int8-only", key=bench / "open.key") == 0
    assert "is readable by other users: chmod 600" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changed", "code", "message"),
    [
        ({"calibration": "none"}, 78, "is not a folder"),
        ({"key": "none.key"}, 78, "edge-compile keygen"),
        ({"threshold": "none.json"}, 78, "edge-calibrate threshold"),
        ({"version": 0}, 2, "version"),
        ({"product": "../x"}, 78, "use up to 40 letters"),
        ({"expires": "tomorrow"}, 78, "with its zone"),
        ({"expires": "2027-01-31T00:00:00"}, 78, "with its zone"),
    ],
)
def test_wrong_words_are_one_line_before_any_work(monkeypatch, capsys, bench, sets, changed, code, message):
    assert compile_it(monkeypatch, bench, sets, **changed) == code
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told


def test_the_word_bundle_may_be_written_and_help_lists_both_commands(monkeypatch, capsys):
    assert run(monkeypatch, cli.main, "--help") == 0
    told = capsys.readouterr().out
    assert "keygen" in told
    assert "bundle" in told
    assert run(monkeypatch, cli.main, "bundle", "student.onnx") == 2
    assert run(monkeypatch, cli.main, "student.onnx") == 2


def test_numbers_of_the_time_are_medians_of_this_machine():
    from compile.speed import median_ms

    picture = np.zeros((80, 80, 3), np.uint8)
    times = median_ms([("ort", student()), ("ort", student())], picture)
    assert all(0 < time < 1_000 for time in times)
