"""The local stack: broker, jars, processes and topics on this machine."""
