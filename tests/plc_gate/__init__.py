"""A gate that a PLC owns: the station's side against a PLC program, in virtual time and as a process of its own."""
