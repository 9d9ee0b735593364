"""Writes elpv-dataset's solar cells as a picture set: python examples/elpv_set.py FOLDER [mono|poly].

It needs `pip install kenpin[samples]`. 2,624 cells, graded 0, 1/3, 2/3 or 1 by how probable a defect is; from one half
on the label is `defect`. The set says not which cells come from one module, so every cell is a group of its own. The
1,074 cells of one crystal (mono) and the 1,550 of many (poly) look like two products. CC BY-NC-SA 4.0: for evaluation
only.
"""

from __future__ import annotations

import csv
import shutil
import sys
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path


def main(folder: Path, kind: str = "") -> None:
    """Copy the pictures, or those of one kind, into `folder` and write its labels.csv."""
    if find_spec("elpv_dataset") is None:
        sys.exit("the pictures are missing: pip install kenpin[samples]")
    if folder.exists():
        sys.exit(f"{folder} exists: give a new folder")
    (folder / "images").mkdir(parents=True)
    with as_file(files("elpv_dataset") / "data") as data:
        rows = [line.split() for line in (data / "labels.csv").read_text().splitlines()]
        rows = [row for row in rows if kind in ("", row[-1])]
        for name, *_ in rows:
            shutil.copyfile(data / name, folder / name)
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("file", "label"))
        table.writerows((name, "defect" if float(graded) >= 0.5 else "ok") for name, graded, _ in rows)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3) or sys.argv[2:] not in ([], ["mono"], ["poly"]):
        sys.exit("usage: python examples/elpv_set.py FOLDER [mono|poly]   (a new one, outside the repository)")
    main(Path(sys.argv[1]), *sys.argv[2:])
