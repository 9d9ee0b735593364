"""OpenVINO without its reports: importing it sends one over the network where its telemetry package is found.

A station keeps everything on premises, so to OpenVINO that package is absent.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino  # noqa: E402 - after the line above

__all__ = ["openvino"]
