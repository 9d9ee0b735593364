"""What holds for the whole source tree: sizes, imports, packaging, the README's commands."""
