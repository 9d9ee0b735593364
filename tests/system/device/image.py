"""Builds the device's system disk, in a cache folder and again only when its inputs change.

    python -m tests.system.device.image

Takes root (debootstrap, chroot), Debian 12 and what tests/system/device/install-packages installs.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.system.device.cache import built, call
from tests.system.device.kernel import IN_INITRD, MODULES, kernel, version

ROOT = Path(__file__).parents[3]
PYTHON = "3.11"  # Debian 12's
VENV = "opt/kenpin"
APP = "/app"  # where the disk with Kenpin itself is mounted
_PACKAGES = (
    *("systemd-sysv", "udev", "dbus", "kmod", "procps", "util-linux", "iproute2"),
    *("python3", "python3-venv", "dmsetup", "e2fsprogs", "sqlite3"),
)
# what a camera needs of GStreamer. Unpacked, not installed: as packages they depend on half a desktop
_GSTREAMER = (
    *("python3-gi", "gir1.2-glib-2.0", "gir1.2-gstreamer-1.0", "gir1.2-gst-plugins-base-1.0"),
    *("libgirepository-1.0-1", "libglib2.0-0", "libgstreamer1.0-0", "libgstreamer-plugins-base1.0-0"),
    *("gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good", "libv4l-0", "libv4lconvert0", "libjpeg62-turbo"),
    *("libgudev-1.0-0", "liborc-0.4-0", "libunwind8", "libdw1"),
)
_PLUGINS = ("coreelements", "app", "videoconvertscale", "videotestsrc", "video4linux2")
_SYSTEM_PYTHON = "/usr/lib/python3/dist-packages"  # where PyGObject is
# beside the device's lock: the extras of a small station, and what runs the device's tests in the guest
_TEST_TOOLS = (
    "gpiod",
    "fastapi",
    "jinja2",
    "uvicorn",
    "paho-mqtt",
    "hypothesis",
    "onnx",
    "pytest",
    "pytest-timeout",
)
_QUIET_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "fstrim.timer",
    "e2scrub_all.timer",
)

_INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in /modules/*.ko; do /bin/busybox insmod $module; done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.05; done
/bin/busybox mount -t ext4 -o ro /dev/vda /lower
/bin/busybox mount -t tmpfs -o size=256m tmpfs /upper
/bin/busybox mkdir /upper/files /upper/work
/bin/busybox mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay /root
exec /bin/busybox switch_root /root /sbin/init
"""
_AGENT = f"""\
[Unit]
Description=does what the tests ask for on the second serial port
DefaultDependencies=no
After=systemd-udevd.service app.mount
Requires=app.mount
[Service]
WorkingDirectory={APP}
ExecStart=/{VENV}/bin/python -m tests.system.guest.agent /dev/ttyS1
StandardInput=null
[Install]
WantedBy=sysinit.target
"""
_MOUNT = f"""\
[Unit]
DefaultDependencies=no
[Mount]
What=/dev/disk/by-id/virtio-app
Where={APP}
Type=ext4
Options=ro
"""


@dataclass(frozen=True)
class Image:
    """The files an emulator boots from; none of them is written to."""

    vmlinuz: Path
    initrd: Path
    disk: Path


@functools.cache
def image() -> Image:
    """The device's image, built if needed (some minutes)."""
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise RuntimeError("building the device takes root and tests/system/device/install-packages")
    parts = [kernel(), debian(), _gstreamer(), wheels()]
    folder = built("disk", [Path(__file__), *(part.name for part in parts)], lambda into: _disk(into, *parts))
    return Image(parts[0] / "vmlinuz", folder / "initrd", folder / "root.img")


# --- the parts ----------------------------------------------------------------------------------------------------


def debian() -> Path:
    """A folder with Debian itself in `files`."""

    def build(folder: Path) -> None:
        include = f"--include={','.join(_PACKAGES)}"
        call("debootstrap", "--variant=minbase", include, "bookworm", folder / "files")
        shutil.rmtree(folder / "files" / "var" / "cache" / "apt")

    return built("debian", list(_PACKAGES), build)


def _gstreamer() -> Path:
    def build(folder: Path) -> None:
        call("apt-get", "download", *_GSTREAMER, cwd=folder)
        for package in folder.glob("*.deb"):
            call("dpkg-deb", "-x", package, folder / "files")
            package.unlink()
        for plugin in (folder / "files").glob("usr/lib/*/gstreamer-1.0/*.so"):
            if plugin.stem.removeprefix("libgst") not in _PLUGINS:
                plugin.unlink()

    return built("gstreamer", [*_GSTREAMER, *_PLUGINS], build)


def _locked() -> list[str]:
    """What is installed: the device's lock, and of the tests' lock what runs tests."""
    device = pins("device.txt")
    tools = {re.split("=", pin)[0]: pin for pin in pins("ci.txt")}
    return device + [tools[name] for name in _TEST_TOOLS]


def pins(name: str, python: str = PYTHON, processor: str = "x86_64") -> list[str]:
    """The lines of a lock that hold for a device with this Python, without their markers."""
    from packaging.requirements import Requirement

    device = {"python_full_version": f"{python}.2", "python_version": python, "sys_platform": "linux"}
    device["platform_machine"] = processor
    lines = [line for line in (ROOT / "requirements" / name).read_text().splitlines() if line[:1] not in ("#", "")]
    wanted = [Requirement(line) for line in lines]
    return [f"{pin.name}{pin.specifier}" for pin in wanted if pin.marker is None or pin.marker.evaluate(device)]


def wheels_for(python: str = PYTHON, processor: str = "x86_64", glibc: int = 36) -> list[str]:
    """The words by which pip takes wheels for this Python on a processor with glibc 2.`glibc`."""
    words = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    for abi in (f"cp{python.replace('.', '')}", "abi3", "none"):
        words += ["--abi", abi]
    for minor in range(glibc, 16, -1):
        words += ["--platform", f"manylinux_2_{minor}_{processor}"]
    return [*words, "--platform", f"manylinux2014_{processor}"]


def wheels() -> Path:
    """A folder with the wheels of the device's lock and of what tests it."""

    def build(folder: Path) -> None:
        tested = folder.with_name("pins.txt")  # what the extras themselves need comes as it is tested, too
        tested.write_text("\n".join(pins("ci.txt")))
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--constraint", tested)
        call(*pip, *wheels_for(), "-d", folder, *_locked())

    return built("wheels", pins("ci.txt"), build)


# --- the disk -----------------------------------------------------------------------------------------------------


def _disk(folder: Path, kernel_files: Path, debian: Path, gstreamer: Path, wheels: Path) -> None:
    files = folder / "files"
    call("cp", "-a", debian / "files", files)
    call("cp", "-a", f"{gstreamer}/files/usr/.", files / "usr")
    call("chroot", files, "ldconfig")
    _install_python(files, wheels)
    modules = _install_modules(files, kernel_files)
    _configure(files)
    _pack_initrd(folder, files, modules)
    size_mb = int(call("du", "-sm", files).split()[0]) * 5 // 4 + 64
    call(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-m",
        "0",
        "-O",
        "^has_journal",
        "-d",
        files,
        folder / "root.img",
        f"{size_mb}M",
    )
    shutil.rmtree(files)


def _install_python(files: Path, wheels: Path) -> None:
    packed = files / "tmp" / "wheels"
    shutil.copytree(wheels, packed)
    call("chroot", files, "python3", "-m", "venv", f"/{VENV}")
    pip = ["chroot", files, f"/{VENV}/bin/python", "-m", "pip", "install", "--quiet", "--no-index"]
    call(*pip, "--find-links", "/tmp/wheels", *_locked())
    shutil.rmtree(packed)
    packages = files / VENV / "lib" / f"python{PYTHON}" / "site-packages"
    (packages / "kenpin.pth").write_text(f"{APP}/site\n{_SYSTEM_PYTHON}\n")


def _install_modules(files: Path, kernel_files: Path) -> list[str]:
    """Copy what MODULES need into the files; the paths of those that the initrd loads, in order."""
    place = files / "lib" / "modules" / version()
    shutil.copytree(kernel_files / "lib" / "modules" / version(), place)
    call("chroot", files, "depmod", version())
    wanted = _with_needs(files, (*MODULES, "gpio-sim"))
    for module in place.rglob("*.ko"):
        if f"/{module.relative_to(files)}" not in wanted:
            module.unlink()
    call("chroot", files, "depmod", version())
    return _with_needs(files, IN_INITRD)


def _with_needs(files: Path, modules: tuple[str, ...]) -> list[str]:
    """The files of these modules and of those that they need, in the order of loading."""
    found: dict[str, None] = {}
    for module in modules:
        for line in call("chroot", files, "modprobe", "--show-depends", "-S", version(), module).splitlines():
            if line.startswith("insmod "):
                found[line.split()[1]] = None
    return list(found)


def _configure(files: Path) -> None:
    units = files / "etc" / "systemd" / "system"
    (units / "agent.service").write_text(_AGENT)
    (units / "app.mount").write_text(_MOUNT)
    (files / "app").mkdir()
    (files / "data").mkdir()
    (files / "etc" / "hostname").write_text("station\n")
    (files / "etc" / "modules").write_text("i6300esb\n")
    call("chroot", files, "systemctl", "enable", "--quiet", "agent.service")
    call("chroot", files, "systemctl", "mask", "--quiet", *_QUIET_UNITS)
    call("chroot", files, "passwd", "--delete", "root")


def _pack_initrd(folder: Path, files: Path, modules: list[str]) -> None:
    tree = folder / "initrd-files"
    for name in ("bin", "dev", "modules", "lower", "upper", "root"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin")
    for number, module in enumerate(modules):
        shutil.copy(files / module.lstrip("/"), tree / "modules" / f"{number:02d}-{Path(module).name}")
    (tree / "init").write_text(_INIT)
    (tree / "init").chmod(0o755)
    call("sh", "-c", f"find . | cpio --quiet -o -H newc | zstd -q -1 > {folder.absolute()}/initrd", cwd=tree)
    shutil.rmtree(tree)


if __name__ == "__main__":
    if platform.machine() != "x86_64":
        sys.exit("the device is built for x86-64")
    print(image())
