"""`python -m unet_helpers`: train and write predictions, on twelve tiny images."""

import io
import json
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from unet_helpers import __main__, datasets, inference
from unet_helpers.__main__ import main
from unet_helpers.datasets import folder as folder_dataset


@pytest.fixture
def policy():
    """The command line chooses the precision of this machine; put it back afterwards."""
    before = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture
def streets(tmp_path, rng):
    """Recordings dataA, dataD and dataE with four frames each, in CARLA's layout."""
    for name in ("dataA", "dataD", "dataE"):
        for kind in ("CameraRGB", "CameraSeg"):
            folder = tmp_path / "streets" / name / name / kind
            folder.mkdir(parents=True)
            for i in range(4):
                top = 13 if kind == "CameraSeg" else 256
                image = rng.integers(0, top, (20, 20, 3)).astype(np.uint8)
                Image.fromarray(image).save(folder / f"{i}.png")
    return tmp_path / "streets"


def test_main_job_writes_its_results(streets, tmp_path, capsys, policy):
    out = tmp_path / "out"
    arguments = ["--data", str(streets), "--size", "16", "16", "--filters", "2", "--out", str(out)]
    keras.config.set_image_data_format("channels_first")  # as a keras.json may have it
    assert main([*arguments, "--epochs", "1"]) == 0
    said = capsys.readouterr().out
    assert "out holds model.keras, masks, predictions.png, epochs.gif." in said
    assert "mean IoU" in said
    assert "TrafficSigns" in said
    masks = datasets.image_files(out / "masks")
    assert [file.name for file in masks] == ["0.png", "1.png", "2.png", "3.png"]
    mask = np.asarray(Image.open(masks[0]))
    assert (mask.shape, mask.dtype) == ((20, 20), np.uint8)
    assert mask.max() <= 12
    assert inference.load_model(out / "model.keras").output_shape == (None, 16, 16, 13)
    for name in ("predictions.png", "epochs.gif"):
        Image.open(out / name).verify()
    # what a second call needs to go on
    assert len(json.loads((out / "history.json").read_text())["history"]["loss"]) == 1
    assert (out / "epoch-1.weights.h5").is_file()
    (out / "epochs.gif").unlink()
    assert main([*arguments, "--epochs", "1"]) == 0
    said = capsys.readouterr().out
    assert "nothing is left to train" in said
    assert "out holds model.keras, masks, predictions.png." in said
    assert datasets.image_files(out / "masks") == masks
    (out / "masks" / "0009.png").write_bytes(masks[0].read_bytes())
    assert main([*arguments, "--epochs", "1"]) == 1
    assert "holds 0009.png, which an earlier prediction did not write" in capsys.readouterr().err


def test_main_job_trains_on_a_folder_of_your_own(tmp_path, capsys, policy, rng):
    root, out = tmp_path / "mine", tmp_path / "out"
    colours = np.array([(128, 64, 128), (0, 0, 142)], np.uint8)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    (root / "labels.csv").write_text("name,colour\nroad,#804080\ncar,#00008e\n")
    for i in range(8):
        mask = rng.integers(0, 2, (20, 24))
        image = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8)
        Image.fromarray(image).save(root / "images" / f"{i}.jpg")
        Image.fromarray(colours[mask]).save(root / "masks" / f"{i}.png")
    arguments = ["--dataset", "folder", "--data", str(root), "--out", str(out), "--filters", "2"]
    assert main([*arguments, "--size", "16", "16", "--epochs", "1"]) == 0
    said = capsys.readouterr().out
    assert "8 pairs (train 6, val 1, test 1)" in said  # what check_pairs says
    assert "road          IoU" in said
    # the mask has the image's name and size, and is read as the masks of the folder are
    [(image, _)] = folder_dataset.find_pairs("test", root)
    [mask] = datasets.image_files(out / "masks")
    assert mask.stem == image.stem
    mask = folder_dataset.read_classes(mask, folder_dataset.read_label_map(root))
    assert mask.shape == (20, 24) and mask.max() <= 1
    (root / "labels.csv").write_text("name,colour\ncar,#00008e\nroad,#804080\n")
    assert main([*arguments, "--size", "16", "16", "--epochs", "1"]) == 1
    assert "differs from this one in its training masks, val" in capsys.readouterr().err
    (root / "labels.csv").write_text("name,colour\nroad,#804080\n")
    assert main(arguments) == 1
    assert "holds a colour that the palette does not have" in capsys.readouterr().err
    assert main(["--dataset", "folder"]) == 1
    assert "pass the path of your folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--size", "100", "130"],
            "100x130 is not divisible by 16; the next size that is: 112x",
        ),
        (["--size", "-16", "-16"], "the next size that is: 16x16"),
        (["--out", "streets"], "Results in streets would mix with the data in streets"),
        (["--out", "."], "would mix with the data in"),
        (["--out", "other"], "masks holds 1.png, which an earlier prediction did not write"),
        (["--out", "file"], "Nothing can be written to file (File exists)"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_written(
    streets, tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other" / "masks").mkdir(parents=True)
    (tmp_path / "other" / "masks" / "1.png").write_text("")
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    assert main(["--data", "streets", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments", [("--epochs", "0"), ("--batch-size", "-1"), ("--filters", "x")]
)
def test_numbers_are_one_or_more(arguments, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert f"{arguments[1]!r} is not a whole number of 1 or more" in capsys.readouterr().err


def test_an_empty_data_argument_is_not_the_working_folder(capsys):
    with pytest.raises(SystemExit):
        main(["--data", ""])
    assert "--data is empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (KeyboardInterrupt(), 130, "Stopped by Ctrl-C. The same line resumes"),
        (ModuleNotFoundError("No module named 'torch'"), 1, "'torch'\nInstall it. .*KERAS_BACKEND"),
        (OSError(28, "No space left on device", "a.png"), 1, "No space left on device: 'a.png'"),
    ],
)
def test_main_ends_with_a_sentence(monkeypatch, capsys, error, status, message):
    def run(options):
        raise error

    monkeypatch.setattr(__main__, "run", run)
    assert main([]) == status
    assert re.search(message, capsys.readouterr().err)


def test_keras_is_imported_where_main_explains_what_is_missing():
    code = "import sys, unet_helpers.__main__; print({'keras', 'tensorflow'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


def test_a_terminal_without_the_letter_of_a_class_shows_its_number(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(__main__, "run", lambda options: print("straße"))
    assert main([]) == 0
    terminal.flush()
    assert terminal.buffer.getvalue() == b"stra\\xdfe\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--processes", "2"], "more than one need the address of process 0"),
        (["--address", "127.0.0.1:1", "--processes", "2"], "several processes need JAX"),
    ],
)
def test_several_processes_need_an_address_and_jax(capsys, arguments, message):
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_main_job_stops_with_a_sentence(tmp_path, capsys, policy):
    assert main(["--data", str(tmp_path / "gone"), "--out", str(tmp_path / "out")]) == 1
    printed = capsys.readouterr().err
    assert "Stopped: There is no folder" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "out").exists()
