"""The PLC links: the words, the handshake, and every kind against a peer of another make."""
