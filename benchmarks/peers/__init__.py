"""Other ways to run the same network on the same pictures, each in a process of its own, in turns with Kenpin's."""
