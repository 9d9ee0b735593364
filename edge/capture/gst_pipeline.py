"""Writes the GStreamer pipeline of a camera that is given by a URI: what it is and what this machine has; pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from edge.errors import ConfigError
from edge.options import GstCamera

SINK = "frames"
APPSINK = f"appsink name={SINK}"

# Encoded as -> how RTP carries it, and the decoders of which the first that is there is taken.
_CARRIERS = {"h264": "rtph264depay", "h265": "rtph265depay", "jpeg": "rtpjpegdepay"}
_DECODERS = {
    "h264": ("nvv4l2decoder enable-max-performance=true", "avdec_h264 thread-type=slice", "openh264dec"),
    "h265": ("nvv4l2decoder enable-max-performance=true", "avdec_h265 thread-type=slice", "libde265dec"),
    "jpeg": ("nvv4l2decoder mjpeg=true enable-max-performance=true", "jpegdec", "avdec_mjpeg"),
}
_CAMERA_CAPS = {"raw": "video/x-raw", "jpeg": "image/jpeg", "h264": "video/x-h264", "h265": "video/x-h265"}
_PACKAGES = {
    "avdec_h264": "gstreamer1.0-libav",
    "avdec_h265": "gstreamer1.0-libav",
    "jpegdec": "gstreamer1.0-plugins-good",
}
# Pictures that Jetson's decoders and cameras hand over lie in the memory of its video hardware.
_NVMM = "video/x-raw(memory:NVMM)"

Has = Callable[[str], bool]


def pipeline_text(options: GstCamera, has: Has) -> str:
    """The pipeline that the options give, or the one of their URI; `has` says whether GStreamer knows an element.

    Raises ConfigError for an element that nothing here can take the place of.
    """
    if options.pipeline:
        return options.pipeline
    scheme, _, place = options.uri.partition("://")
    stages = {"v4l2": _v4l2, "csi": _csi, "rtsp": _rtsp, "rtsps": _rtsp, "file": _file, "gige": _gige}[scheme]
    return " ! ".join([*stages(place, options, has), APPSINK])


def shown(pipeline: str) -> str:
    """The pipeline without the password that a URI may hold."""
    return re.sub(r"(://[^:/@\"\s]*:)[^@/\"\s]*@", r"\1***@", pipeline)


def _v4l2(place: str, options: GstCamera, has: Has) -> list[str]:
    encoding = options.encoding or "raw"
    stages = [f"v4l2src device={_quoted(place)}", _caps(_CAMERA_CAPS[encoding], options, rate=True)]
    if encoding == "raw":
        return [*stages, *_on_the_cpu(options, has)]
    return [*stages, *_decoded(encoding, options, has)]


def _csi(place: str, options: GstCamera, has: Has) -> list[str]:
    _need(
        "nvarguscamerasrc", has, "csi:// is for the camera connector of a Jetson with NVIDIA's GStreamer elements"
    )
    return [
        f"nvarguscamerasrc sensor-id={place}",
        _caps(f"{_NVMM}, format=NV12", options, rate=True),
        *_from_nvmm(options, has),
    ]


def _rtsp(place: str, options: GstCamera, has: Has) -> list[str]:
    encoding = options.encoding or "h264"
    limit_us = round(options.timeout_ms * 1_000)
    source = (
        f"rtspsrc location={_quoted(options.uri)} protocols={options.transport} latency={round(options.latency_ms)} "
        f"drop-on-latency=true tcp-timeout={limit_us} timeout={0 if options.transport == 'tcp' else limit_us}"
    )
    del place
    return [source, _CARRIERS[encoding], *_decoded(encoding, options, has)]


def _file(place: str, options: GstCamera, has: Has) -> list[str]:
    return [f"filesrc location={_quoted(place)}", "decodebin", *_from_nvmm_or_cpu(options, has)]


def _gige(place: str, options: GstCamera, has: Has) -> list[str]:
    _need("aravissrc", has, 'gige:// needs Aravis\' element; kind = "gige" does more and needs gir1.2-aravis-0.8')
    return [
        f"aravissrc camera-name={_quoted(place)}",
        _caps("video/x-raw", options, rate=True),
        *_on_the_cpu(options, has),
    ]


def _decoded(encoding: str, options: GstCamera, has: Has) -> list[str]:
    decoder = _first(_DECODERS[encoding], has, encoding)
    after = _from_nvmm if decoder.startswith("nv") else _on_the_cpu
    parser = f"{encoding}parse"  # hardware decoders want one; the CPU's do without
    return [*([parser] if has(parser) else []), decoder, *after(options, has)]


def _from_nvmm_or_cpu(options: GstCamera, has: Has) -> list[str]:
    return _from_nvmm(options, has) if has("nvvidconv") else _on_the_cpu(options, has)


def _from_nvmm(options: GstCamera, has: Has) -> list[str]:
    """The video hardware knows no BGR: it gives BGRx, and the CPU drops the fourth byte."""
    _need("nvvidconv", has, "NVIDIA's GStreamer elements are incomplete: apt install nvidia-l4t-gstreamer")
    if options.pixel_format == "GRAY8":
        return ["nvvidconv", _wanted(options)]
    return ["nvvidconv", "video/x-raw, format=BGRx", "videoconvert", _wanted(options)]


def _on_the_cpu(options: GstCamera, has: Has) -> list[str]:
    """Passes a buffer on as it is where the format is the wanted one already."""
    del has
    return ["videoconvert", _wanted(options)]


def _wanted(options: GstCamera) -> str:
    return _caps(f"video/x-raw, format={options.pixel_format}", options)


def _caps(media: str, options: GstCamera, rate: bool = False) -> str:
    size = [f"{name}={value}" for name, value in (("width", options.width), ("height", options.height)) if value]
    rates = [f"framerate={_fraction(options.fps)}"] if rate and options.fps else []
    return ", ".join([media, *size, *rates])


def _fraction(fps: float) -> str:
    return f"{round(fps)}/1" if fps == round(fps) else f"{round(fps * 1_000)}/1000"


def _first(decoders: Sequence[str], has: Has, encoding: str) -> str:
    for decoder in decoders:
        if has(decoder.partition(" ")[0]):
            return decoder
    names = [decoder.partition(" ")[0] for decoder in decoders]
    package = next((_PACKAGES[name] for name in names if name in _PACKAGES), "")
    raise ConfigError(f"{encoding} needs one of {', '.join(names)}: apt install {package}")


def _need(element: str, has: Has, words: str) -> None:
    if not has(element):
        raise ConfigError(f"GStreamer has no {element}: {words}")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
