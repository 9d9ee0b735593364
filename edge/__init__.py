"""The device: everything between camera and reject gate; imports none of the host packages."""

import os

# ONNX Runtime from 1.29 on keeps an id in the home folder and reports each session over the network unless this is set
# before it is imported; a process that is started from here inherits it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
