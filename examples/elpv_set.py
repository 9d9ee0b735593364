"""Writes elpv-dataset's solar cells as a picture set: python examples/elpv_set.py FOLDER (pip install kenpin[samples]).

2,624 cells, graded 0, 1/3, 2/3 or 1 by how probable a defect is; from one half on the label is `defect`. The set says
not which cells come from one module, so every cell is a group of its own. CC BY-NC-SA 4.0: for evaluation only.
"""

from __future__ import annotations

import csv
import shutil
import sys
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path


def main(folder: Path) -> None:
    """Copy the pictures into `folder` and write its labels.csv."""
    if find_spec("elpv_dataset") is None:
        sys.exit("the pictures are missing: pip install kenpin[samples]")
    if folder.exists():
        sys.exit(f"{folder} exists: give a new folder")
    (folder / "images").mkdir(parents=True)
    with as_file(files("elpv_dataset") / "data") as data:
        rows = [line.split() for line in (data / "labels.csv").read_text().splitlines()]
        for name, *_ in rows:
            shutil.copyfile(data / name, folder / name)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("file", "label"))
        table.writerows((name, "defect" if float(graded) >= 0.5 else "ok") for name, graded, _ in rows)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/elpv_set.py FOLDER   (a new one, outside the repository)")
    main(Path(sys.argv[1]))
