"""The operator panel: a web page in its own process, which asks the eye and reads the journal; it opens no device."""

TABLE = {"page": "edge.panel.serve:Server"}
