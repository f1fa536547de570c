"""Which model a request goes to, and how: the routing table, the layers, balancing and splits."""
