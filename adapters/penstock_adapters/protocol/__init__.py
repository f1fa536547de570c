"""The Open Inference Protocol v2 as values and pure codecs: no sockets, no clock, no framework."""
