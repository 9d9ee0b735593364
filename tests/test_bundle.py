"""A bundle is opened only when its signature, limits and content are right; each refusal says what to do."""

import json
import random
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import bundle as bundle_file
from edge.bundle import MAGIC, KeyRing, key_id, load_keys, read_bundle, write_bundle
from edge.errors import BundleError, JournalError
from tests import mutations
from tests.bundles import KEY, MODEL, OTHER_KEY, PICTURES, a_bundle, a_manifest, png, store_key
from tests.mutations import DAMAGE, HEADER, zipped

KEYS = KeyRing({key_id(KEY.public_key()): KEY.public_key()})


def sign(path, body):
    path.write_bytes(mutations.signed(body, KEY))
    return path


def entries_of(path):
    return mutations.entries_of(path.read_bytes())


def resigned(tmp_path, **changes):
    """A bundle whose entries were changed (None: left out) by somebody who has the key."""
    contents = entries_of(a_bundle(tmp_path / "x.bundle")) | changes
    return sign(tmp_path / "x.bundle", zipped([(n, d) for n, d in contents.items() if d is not None]))


def with_manifest(tmp_path, **changes):
    text = json.loads(entries_of(a_bundle(tmp_path / "m.bundle"))["manifest.json"])
    return resigned(tmp_path, **{"manifest.json": json.dumps(text | changes).encode()})


def refusal(path, keys=KEYS):
    with pytest.raises(BundleError) as refused:
        read_bundle(path, keys)
    return str(refused.value)


def test_what_was_written_is_read(tmp_path):
    bundle = read_bundle(a_bundle(tmp_path / "x.bundle"), KEYS)
    assert bundle.manifest == a_manifest()
    assert bundle.model(bundle.manifest.entry("ort")) == b"a student"
    assert bundle.report() == "<p>report</p>"
    first, second = bundle.acceptance()
    assert (first.name, first.label, second.name, second.label) == ("ok/1.png", "ok", "検品/ä 2.png", "scratch")
    assert (second.image.shape, second.image.dtype) == ((16, 24, 3), np.uint8)
    assert np.all(second.image == 200)


def test_the_same_input_and_key_give_the_same_bytes(tmp_path):
    first, second = a_bundle(tmp_path / "1"), a_bundle(tmp_path / "2")
    assert first.read_bytes() == second.read_bytes()
    assert read_bundle(first, KEYS).sha256 == read_bundle(second, KEYS).sha256


def test_a_mono_picture_comes_back_in_three_channels(tmp_path):
    import cv2

    mono = cv2.imencode(".png", np.full((4, 6), 9, np.uint8))[1].tobytes()
    write_bundle(tmp_path / "x", a_manifest(), {MODEL: b"a student"}, {"m.png": ("ok", mono)}, "", KEY)
    assert read_bundle(tmp_path / "x", KEYS).acceptance()[0].image.shape == (4, 6, 3)


def test_the_first_matching_model_is_the_preferred_one():
    entry = a_manifest().models[0]
    both = a_manifest(models=(replace(entry, precision="int8"), entry))
    assert (both.entry("ort").precision, both.entry("ort", "fp32").precision) == ("int8", "fp32")
    with pytest.raises(BundleError, match=r"no model for trt, only ort int8, ort fp32; choose another"):
        both.entry("trt")


# --- signatures -------------------------------------------------------------------------------------------------


def test_a_changed_byte_is_refused(tmp_path):
    path = a_bundle(tmp_path / "x")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert "damaged or was changed after it was signed; copy it again" in refusal(path)


@pytest.mark.parametrize(
    ("size", "words"), [(0, "unsigned"), (40, "truncated"), (80, "truncated"), (300, "truncated")]
)
def test_a_truncated_bundle_is_refused(tmp_path, size, words):
    path = a_bundle(tmp_path / "x")
    path.write_bytes(path.read_bytes()[:size])
    assert words in refusal(path)


def test_a_plain_zip_is_refused_as_unsigned(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(zipped([("manifest.json", b"{}")]))
    assert "unsigned or no bundle at all; sign it" in refusal(path)


def test_another_key_behind_a_known_id_is_refused(tmp_path):
    path = tmp_path / "x"
    body = a_bundle(path).read_bytes()[HEADER:]
    path.write_bytes(MAGIC + key_id(KEY.public_key()) + OTHER_KEY.sign(body) + body)
    assert "changed after it was signed" in refusal(path)


def test_an_unknown_key_is_named(tmp_path):
    words = refusal(a_bundle(tmp_path / "x", key=OTHER_KEY))
    assert f"unknown key {key_id(OTHER_KEY.public_key()).hex()}; copy its .pub" in words


def test_a_revoked_key_is_refused_as_such(tmp_path):
    keys = store_key(tmp_path / "keys")
    store_key(keys, OTHER_KEY, "other")
    own = key_id(KEY.public_key())
    (keys / "revoked.txt").write_text(f"# lost in May\n{own.hex().upper()}  # laptop\n\n")
    assert set(load_keys(keys)) == {key_id(OTHER_KEY.public_key())}
    assert f"revoked key {own.hex()}; sign it with another" in refusal(a_bundle(tmp_path / "x"), load_keys(keys))


def test_keys_that_cannot_be_understood_are_named(tmp_path):
    with pytest.raises(BundleError, match=r"holds no \*\.pub key; copy"):
        load_keys(tmp_path)
    (tmp_path / "a.pub").write_bytes(b"-----BEGIN nonsense")
    with pytest.raises(BundleError, match=r"a\.pub is no public key in PEM form; replace"):
        load_keys(tmp_path)
    curve = generate_private_key(SECP256R1()).public_key()
    (tmp_path / "a.pub").write_bytes(curve.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(BundleError, match=r"is no Ed25519 key; replace"):
        load_keys(tmp_path)
    store_key(tmp_path, name="a")
    assert len(load_keys(tmp_path)) == 1
    (tmp_path / "revoked.txt").write_text("not-hex")
    with pytest.raises(BundleError, match="'not-hex' is no key id; write 16 hex digits"):
        load_keys(tmp_path)


def test_a_missing_or_oversized_file_is_refused(tmp_path, monkeypatch):
    assert "cannot read" in refusal(tmp_path / "none")
    path = a_bundle(tmp_path / "x")
    monkeypatch.setattr(bundle_file, "MAX_BYTES", 500)
    assert "over the limit of 500" in refusal(path)
    with pytest.raises(BundleError, match="over the limit of 500 bytes; use fewer acceptance pictures"):
        a_bundle(tmp_path / "y")


# --- content that was signed, but is not right -------------------------------------------------------------------


@given(data=st.binary(max_size=400))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_signed_rubbish_is_one_clear_error(tmp_path_factory, data):
    assert "compile" in refusal(sign(tmp_path_factory.mktemp("x") / "x", data))


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_zip_that_was_signed_is_one_clear_error_or_whole(tmp_path, seed):
    body = a_bundle(tmp_path / "x").read_bytes()[HEADER:]
    for number in range(50):
        rng = random.Random(seed * 50 + number)
        path = sign(tmp_path / "x", rng.choice(DAMAGE)(rng, body))
        try:
            bundle = read_bundle(path, KEYS)
            assert bundle.model(bundle.manifest.models[0]) == b"a student"
            bundle.acceptance()
        except BundleError as error:
            assert ";" in str(error)


@pytest.mark.parametrize(
    "name",
    ["../escape", "/etc/passwd", "models/../../x.onnx", "models/x.py", "acceptance/../x.png", "acceptance//x",
     "acceptance/a\\b.png", "other/x", "models/", "x", "acceptance/\x07.png"],
)  # fmt: skip
def test_names_without_a_place_in_a_bundle_are_refused(tmp_path, name):
    assert "a name with no place" in refusal(resigned(tmp_path, **{name: b"x"}))


def test_a_zip_bomb_is_refused_without_unpacking(tmp_path):
    contents = list(entries_of(a_bundle(tmp_path / "x")).items())
    bomb = zipped([*contents, ("models/bomb.onnx", bytes(50_000_000))], zipfile.ZIP_DEFLATED)
    assert len(bomb) < 100_000
    assert "compressed or encrypted" in refusal(sign(tmp_path / "x", bomb))


def test_entries_that_overlap_are_refused(tmp_path):
    """Many directory entries that share the same data claim more than the file has."""
    contents = list(entries_of(a_bundle(tmp_path / "x")).items())
    body = bytearray(zipped([*contents, ("models/b.onnx", bytes(5_000))]))
    end = body.rindex(b"PK\x05\x06")
    start = int.from_bytes(body[end + 16 : end + 20], "little")
    last = body.rindex(b"PK\x01\x02")
    extra = b"".join(bytes(body[last:end]).replace(b"models/b.onnx", b"models/%c.onnx" % c) for c in b"cdefg")
    tail = bytearray(body[end:])
    count = int.from_bytes(tail[8:10], "little") + 5
    tail[8:10] = tail[10:12] = count.to_bytes(2, "little")
    tail[12:16] = (end - start + len(extra)).to_bytes(4, "little")
    assert "claims more content than the file has" in refusal(
        sign(tmp_path / "x", bytes(body[:end]) + extra + tail)
    )


def test_a_name_that_stands_twice_is_refused(tmp_path):
    contents = list(entries_of(a_bundle(tmp_path / "x")).items())
    with pytest.warns(UserWarning, match="Duplicate name"):
        body = zipped([*contents, contents[0]])
    assert "a name twice" in refusal(sign(tmp_path / "x", body))


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    path = a_bundle(tmp_path / "x")
    monkeypatch.setattr(bundle_file, "MAX_ENTRIES", 5)
    assert "over the limit of 5; use fewer pictures" in refusal(path)


@pytest.mark.parametrize("name", ["manifest.json", "report.html", "acceptance/acceptance.csv"])
def test_a_part_that_is_missing_is_named(tmp_path, name):
    assert f"lacks {name}" in refusal(resigned(tmp_path, **{name: None}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"surprise": 1}, "surprise: unknown key"),
        ({"product": "../x"}, "product: "),
        ({"product": ".."}, "product: "),
        ({"product": "x" * 41}, "product: "),
        ({"version": 0}, "version: "),
        ({"version": "3"}, "version: "),
        ({"version": True}, "version: "),
        ({"models": []}, "models: "),
        ({"input": {"width": 64, "height": 64, "more": 1}}, "input: input spec has unknown keys more"),
        ({"input": {"width": 65, "height": 64}}, "input: input width 65"),
        ({"created": "yesterday"}, "yesterday"),
        ({"created": "2026-01-01T00:00:00"}, "lacks a time zone"),
        ({"expires": 5}, "expires: "),
        ({"min_runtime": "new"}, "min_runtime: "),
        ({"min_runtime": "99.0.0"}, "needs Kenpin 99.0.0 or newer, this is .*; update Kenpin"),
        ({"provenance": {"a": 1}}, "provenance.a: "),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_key(tmp_path, changes, words):
    with pytest.raises(BundleError, match=words):
        read_bundle(with_manifest(tmp_path, **changes), KEYS)


@pytest.mark.parametrize(
    ("key", "value"),
    [("threshold", 1.5), ("threshold", float("nan")), ("sha256", "0"), ("file", "models/../x.onnx"), ("more", 1),
     ("evidence", {"defects": 1}), ("proven", 1)],
)  # fmt: skip
def test_a_wrong_model_entry_is_refused_with_the_key(tmp_path, key, value):
    text = json.loads(entries_of(a_bundle(tmp_path / "m"))["manifest.json"])
    with pytest.raises(BundleError, match=rf"models\.0\.{key}"):
        read_bundle(with_manifest(tmp_path, models=[text["models"][0] | {key: value}]), KEYS)


def test_evidence_that_cannot_be_is_refused(tmp_path):
    text = json.loads(entries_of(a_bundle(tmp_path / "m"))["manifest.json"])
    text["models"][0]["evidence"]["missed"] = 61
    assert "more pictures misjudged" in refusal(with_manifest(tmp_path, models=text["models"]))


def test_a_manifest_that_is_no_json_or_too_long_is_refused(tmp_path, monkeypatch):
    assert "wrong manifest" in refusal(resigned(tmp_path, **{"manifest.json": b"[" * 100_000}))
    assert "wrong manifest" in refusal(resigned(tmp_path, **{"manifest.json": b"\xff\xfe"}))
    path = a_bundle(tmp_path / "x")
    monkeypatch.setattr(bundle_file, "MAX_MANIFEST", 100)
    assert "manifest is over 100 bytes" in refusal(path)


def test_models_and_manifest_must_agree(tmp_path):
    assert "not the model of the manifest" in refusal(resigned(tmp_path, **{MODEL: b"another student"}))
    assert "disagree about models/extra.onnx" in refusal(resigned(tmp_path, **{"models/extra.onnx": b"x"}))
    assert f"disagree about {MODEL}" in refusal(resigned(tmp_path, **{MODEL: None}))


def test_pictures_and_their_table_must_agree(tmp_path):
    table = "acceptance/acceptance.csv"
    assert "disagree about acceptance/ok/1.png" in refusal(resigned(tmp_path, **{"acceptance/ok/1.png": None}))
    assert "disagree about acceptance/new.png" in refusal(resigned(tmp_path, **{"acceptance/new.png": png(1)}))
    for rows in (b"name,label\n", b"file,label\nok/1.png\n", b"file,label\nok/1.png,\n", b"", b"\xff",
                 b"file,label\nok/1.png,ok\nok/1.png,ok\n"):  # fmt: skip
        assert "acceptance.csv" in refusal(resigned(tmp_path, **{table: rows}))


def test_a_picture_that_is_none_is_refused_when_it_is_opened(tmp_path):
    broken = png(1)[:40]
    giant = png(1)[:16] + (60_000).to_bytes(4, "big") * 2 + png(1)[24:]
    for data, words in ((b"GIF89a", "is no PNG"), (broken, "damaged picture"), (giant, "at most 16384 pixels")):
        bundle = read_bundle(resigned(tmp_path, **{"acceptance/ok/1.png": data}), KEYS)
        with pytest.raises(BundleError, match=words):
            bundle.acceptance()


def test_a_model_with_weights_in_another_file_is_refused(tmp_path):
    onnx = pytest.importorskip("onnx")
    weights = onnx.numpy_helper.from_array(np.ones((4, 400), np.float32), "w")
    node = onnx.helper.make_node("MatMul", ["x", "w"], ["y"], name="relocation", doc_string="its location")
    ends = [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", (1, 4)), ("y", (1, 400)))]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", ends[:1], ends[1:], [weights]))
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    read_bundle(a_bundle(tmp_path / "x", model=path.read_bytes()), KEYS)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(BundleError, match="keeps weights in another file; export it as one file"):
        a_bundle(tmp_path / "y", model=path.read_bytes())
    for spelled in (b"\x88\x00location", b"\x88\x80\x00location"):  # the same length, written longer
        longer = path.read_bytes().replace(b"\x08location", spelled)
        with pytest.raises(BundleError, match="keeps weights in another file"):
            a_bundle(tmp_path / "y", model=longer)


def test_a_file_that_changes_after_it_was_verified_is_not_used(tmp_path):
    path = a_bundle(tmp_path / "x")
    bundle = read_bundle(path, KEYS)
    path.write_bytes(path.read_bytes().replace(b"a student", b"A STUDENT"))
    with pytest.raises(BundleError, match="changed since it was verified; install"):
        bundle.model(bundle.manifest.entry("ort"))
    path.unlink()
    with pytest.raises(BundleError, match="cannot read"):
        bundle.report()


# --- writing ----------------------------------------------------------------------------------------------------


def test_what_would_be_refused_is_not_written(tmp_path):
    path = tmp_path / "x"
    for manifest, models, pictures in (
        (a_manifest(version=0), {MODEL: b"a student"}, PICTURES),
        (a_manifest(), {MODEL: b"another"}, PICTURES),
        (a_manifest(), {}, PICTURES),
        (a_manifest(), {MODEL: b"a student"}, {"../x.png": ("ok", png(1))}),
        (a_manifest(), {MODEL: b"a student"}, {"x.png": ("", png(1))}),
    ):
        with pytest.raises(BundleError):
            write_bundle(path, manifest, models, pictures, "", KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_disk_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="free disk space or check the rights"):
        a_bundle(tmp_path / "file" / "x")
