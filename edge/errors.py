"""The errors Kenpin raises, sorted by who must act.

    KenpinError
    |-- ConfigError     fix station.toml, labels.csv or the command line      exit 78
    |-- BundleError     rebuild or re-sign the bundle                         exit 65
    |-- SealError       a signed report was changed, or is another device's   exit 65
    |-- DeviceError     check hardware, cables, power                         exit 69
    |   |-- CameraError
    |   |-- InputError
    |   |-- OutputError
    |   |-- EngineError
    |   `-- PlcError
    |-- ControlError    the running station cannot be asked, or refuses         exit 69
    |   `-- RefusedError
    |-- ChallengeError  the guided reject test was not passed                 exit 69
    |-- JournalError    disk full, read-only or failing                       exit 74
    `-- StationStop     a limit stopped the station; acknowledge to go on     exit 75

Every message ends with what to do next. An exception outside this tree is a defect in Kenpin (exit 1).
"""


class KenpinError(Exception):
    """Root of the errors that a person can act on; `exit_code` is what the commands end with."""

    exit_code = 1


class ConfigError(KenpinError):
    """The station file, a picture set or an argument is wrong: fix the file."""

    exit_code = 78


class BundleError(KenpinError):
    """The bundle is unsigned, damaged, expired or unfit: rebuild or re-sign it."""

    exit_code = 65


class SealError(KenpinError):
    """A signed report cannot be trusted: ask for the original, and for the device's own public key."""

    exit_code = 65


class DeviceError(KenpinError):
    """A device is absent, refused or answered wrong: check the hardware."""

    exit_code = 69


class CameraError(DeviceError):
    """A camera cannot be opened or stopped delivering."""


class InputError(DeviceError):
    """A trigger, encoder or sensor cannot be read."""


class OutputError(DeviceError):
    """The gate or the line permit cannot be written, or was not confirmed."""


class EngineError(DeviceError):
    """The inference engine cannot be loaded or failed on an image."""


class PlcError(DeviceError):
    """A PLC link refused, answered wrong or went silent."""


class ControlError(KenpinError):
    """The running station cannot be asked: is it up, and may you?"""

    exit_code = 69


class RefusedError(ControlError):
    """The running station did not do what was asked, and says why."""


class ChallengeError(KenpinError):
    """The guided reject test was not passed: mend the station before it produces."""

    exit_code = 69


class JournalError(KenpinError):
    """A record could not be made durable: check the disk."""

    exit_code = 74


class StationStop(KenpinError):  # noqa: N818 - a state, not an error
    """A limit stopped the station: look at the line, then acknowledge."""

    exit_code = 75
