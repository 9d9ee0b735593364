"""Whether an ONNX model keeps weights outside itself, told from its bytes without a parser."""

from __future__ import annotations

import re

# Every tensor with external data names its file under the key "location". Engines that are given bytes would look for
# that file in the working folder or wherever it says; so such a model is refused: the key's letters after their length
# (in every spelling of the length that protobuf allows) do not stand in a model otherwise.
_EXTERNAL = b"location"
_ITS_LENGTH = re.compile(rb"(?:\x08|\x88\x80{0,8}\x00)\Z")


def keeps_weights_elsewhere(data: bytes, start: int = 0, end: int | None = None) -> bool:
    """Whether the model at [start, end) of `data` names a file with weights."""
    end = len(data) if end is None else end
    at = data.find(_EXTERNAL, start, end)
    while at >= 0:
        if _ITS_LENGTH.search(data, max(start, at - 10), at):
            return True
        at = data.find(_EXTERNAL, at + 1, end)
    return False
