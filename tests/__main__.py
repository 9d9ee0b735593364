"""`python -m tests`: all tests but system/ and soak/, those that only compute beside those of lines at work.

The first half gets the processors' idle time, which tests that wait for devices leave over; its output comes last.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
COMPUTING = ("training", "compile", "calibration")
LONG = ("system", "soak")
# Threads of one computation wait for each other, and the idle half seldom has two processors at once.
ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> int:
    """The worse exit code of the two."""
    pytest = (sys.executable, "-m", "pytest")
    computing = [str(HERE / name) for name in COMPUTING]
    apart = [f"--ignore={HERE / name}" for name in (*COMPUTING, *LONG)]
    with tempfile.TemporaryFile() as told:
        aside = subprocess.Popen(
            [*pytest, *computing, "-p", "no:cacheprovider"],
            stdout=told,
            stderr=subprocess.STDOUT,
            env=ALONE | dict(os.environ),
            preexec_fn=_yield_to_others,
        )
        try:
            code = subprocess.run([*pytest, str(HERE), *apart], check=False).returncode
            aside.wait()
        except BaseException:
            aside.terminate()
            aside.wait()
            raise
        print(f"\n{', '.join(COMPUTING)}:", flush=True)
        told.seek(0)
        shutil.copyfileobj(told, sys.stdout.buffer)
    return max(code, aside.returncode)


def _yield_to_others() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


if __name__ == "__main__":
    sys.exit(main())
