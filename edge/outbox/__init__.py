"""Sends the journal's rows to an MQTT broker: a process of its own that only reads, so the line never waits for it."""

TABLE = {"mqtt": "edge.outbox.send:Outbox"}
