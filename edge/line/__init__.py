"""The line process: triggers, part identity, reject gate and line permit; rejects whatever nobody released."""
