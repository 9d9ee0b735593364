"""Debian's kernel with the modules that the tests load, and gpio-sim, which Debian leaves out, built for it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.system.device.cache import built, call

HEADERS = Path("/usr/src")
IN_INITRD = ("virtio_pci", "virtio_blk", "ext4", "overlay")
MODULES = (
    *IN_INITRD,
    *("xhci_pci", "ftdi_sio", "i6300esb"),
    *("dm_mod", "dm_flakey", "dm_delay"),
    *("dummy_hcd", "g_serial", "usb_f_acm", "cdc_acm"),  # the function is asked for at run time
    *("configfs", "vivid", "loop"),
)
_SIMULATOR = ("drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c")
# the interrupt's descriptor is not exported to modules, its number serves as well
_INTERNAL, _EXPORTED = "handle_simple_irq(irq_to_desc(irqnum))", "generic_handle_irq_safe(irqnum)"


def version() -> str:
    """The kernel whose headers are installed: gpio-sim is built against them."""
    found = sorted(HEADERS.glob("linux-headers-*-amd64"), key=lambda path: _numbers(path.name))
    if not found:
        raise RuntimeError("no kernel headers: run tests/system/device/install-packages")
    return found[-1].name.removeprefix("linux-headers-")


def _numbers(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def kernel() -> Path:
    """A folder with `vmlinuz`, and `lib/modules/VERSION` with all of Debian's modules and gpio-sim."""
    return built("kernel", [version(), Path(__file__)], _build)


def _build(folder: Path) -> None:
    call("apt-get", "download", f"linux-image-{version()}", _source_package(), cwd=folder)
    image, source = next(folder.glob("linux-image-*.deb")), next(folder.glob("linux-source-*.deb"))
    call("dpkg-deb", "-x", image, folder / "image")
    call("dpkg-deb", "-x", source, folder / "source")
    (folder / "lib").mkdir()
    shutil.move(folder / "image" / "lib" / "modules", folder / "lib" / "modules")
    shutil.move(folder / "image" / "boot" / f"vmlinuz-{version()}", folder / "vmlinuz")
    _build_simulator(folder, next((folder / "source" / "usr" / "src").glob("linux-source-*.tar.xz")))
    for leftover in (folder / "image", folder / "source", folder / "simulator"):
        shutil.rmtree(leftover)
    image.unlink()
    source.unlink()


def _source_package() -> str:
    return "linux-source-" + ".".join(version().split(".")[:2])


def _build_simulator(folder: Path, archive: Path) -> None:
    work = folder / "simulator"
    work.mkdir()
    top = archive.name.removesuffix(".tar.xz")
    call("tar", "-xJf", archive, "-C", work, *(f"{top}/{name}" for name in _SIMULATOR))
    for name in _SIMULATOR:
        shutil.move(work / top / name, work)
    interrupts = work / "irq_sim.c"
    text = interrupts.read_text()
    if _INTERNAL not in text:
        raise RuntimeError("irq_sim.c has changed: look how it hands an interrupt on, and mend _INTERNAL")
    licence = '\n#include <linux/module.h>\nMODULE_LICENSE("GPL");\n'
    interrupts.write_text(text.replace(_INTERNAL, _EXPORTED) + licence)
    (work / "Kbuild").write_text("obj-m := irq_sim.o gpio-sim.o\n")
    call("make", "-C", HEADERS / f"linux-headers-{version()}", f"M={work.absolute()}", "modules")
    extra = folder / "lib" / "modules" / version() / "extra"
    extra.mkdir()
    for module in work.glob("*.ko"):
        shutil.move(module, extra)
