"""The device: everything between camera and reject gate; imports none of the host packages."""

__version__ = "0.1.0"
