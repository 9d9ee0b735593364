"""An arm64 userland of Debian 12 on any processor: its programs run by qemu's user emulation, in a user namespace.

    python -m tests.system.device.arm64

Since Linux 6.7 a user namespace has formats of executables of its own (binfmt_misc), so that nothing is registered on
this machine. Takes root, debootstrap and the network, once.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.system.device.cache import built, call

PACKAGES = ("python3", "python3-venv")
_EMULATOR = "qemu-user-static"
# As Orin's and most boards' processors: without SVE and pointer authentication, whose emulation halves the speed.
_CPU = "neoverse-n1"
_MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
# F: the emulator is opened now, so that it is found from within the userland, too
_ENTER = f"""
set -e
read -r _
mount -t proc proc /proc
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf '%s' ':arm64:M::{_MAGIC}:{_MASK}:{{emulator}}:F' > /proc/sys/fs/binfmt_misc/register
mount --bind {{root}} {{root}}
mount -t proc proc {{root}}/proc
for node in null zero full random urandom tty; do
    touch {{root}}/dev/$node && mount --bind /dev/$node {{root}}/dev/$node
done
mkdir -p {{root}}/dev/pts {{root}}/dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts {{root}}/dev/pts
ln -sfn pts/ptmx {{root}}/dev/ptmx
mount -t tmpfs tmpfs {{root}}/dev/shm
exec chroot {{root}} /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive \\
    QEMU_CPU={_CPU} sh -c "$1"
"""
_IDS = "0 0 65536\n"


def emulator() -> Path:
    """The program that runs arm64 executables on this processor."""

    def build(folder: Path) -> None:
        call("apt-get", "download", _EMULATOR, cwd=folder)
        package = next(folder.glob("*.deb"))
        call("dpkg-deb", "-x", package, folder / "files")
        package.unlink()

    return built("arm64-emulator", [_EMULATOR], build) / "files" / "usr" / "bin" / "qemu-aarch64-static"


def debian() -> Path:
    """A folder with Debian for arm64, and Debian's Python. Its packages are unpacked by this machine, not configured:
    an emulator takes an hour for that, and Python needs no more."""

    def build(folder: Path) -> None:
        root = folder / "root"
        include = f"--include={','.join(PACKAGES)}"
        call("debootstrap", "--arch=arm64", "--foreign", "--variant=minbase", include, "bookworm", root)
        proc = root / "proc"
        if proc.is_symlink():  # as debootstrap makes it within Docker
            proc.unlink()
            proc.mkdir()
        archives = root / "var" / "cache" / "apt" / "archives"
        for package in sorted(archives.glob("*.deb")):
            call("sh", "-c", f"dpkg-deb --fsys-tarfile {package} | tar -x --keep-directory-symlink -C {root}")
        shutil.rmtree(archives)
        for name in ("passwd", "group"):
            shutil.copy(root / "usr" / "share" / "base-passwd" / f"{name}.master", root / "etc" / name)

    return built("arm64-debian", [*PACKAGES, "unpacked"], build) / "root"


def run(root: Path, command: str, within_s: float = 3_600) -> subprocess.CompletedProcess[str]:
    """A shell command in the userland at `root` to its end, as its root; stdout holds all that it said."""
    enter = _ENTER.format(emulator=emulator().absolute(), root=root.absolute())
    apart = ("unshare", "--user", "--mount", "--pid", "--ipc", "--fork", "--kill-child")
    words = ["nice", "-n", "10", *apart, "sh", "-c", enter, "sh", command]
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        _be_root_there(process.pid)
        said, _ = process.communicate("go\n", timeout=within_s)
    finally:
        process.kill()
        process.wait()
    return subprocess.CompletedProcess(command, process.returncode, said)


def _be_root_there(pid: int) -> None:
    """Give the namespace the ids of a whole system, as soon as it is one of its own."""
    ours = Path("/proc/self/ns/user").readlink()
    while Path(f"/proc/{pid}/ns/user").readlink() == ours:
        if not Path(f"/proc/{pid}/exe").exists():
            raise RuntimeError("no user namespace: is this root, and may it have one?")
    for kind in ("uid_map", "gid_map"):
        Path(f"/proc/{pid}/{kind}").write_text(_IDS)


if __name__ == "__main__":
    print(debian())
