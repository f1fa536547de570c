"""A concern is a layer: each file wraps a Service in one policy. The order they are stacked in stands in `entries.py`."""
