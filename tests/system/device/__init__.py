"""A whole device in an emulator, built from Debian packages: Debian 12 on Debian's kernel, Kenpin, real drivers.

with Device(made(folder), ...) as device: device.guest.run("uname -r")
"""
