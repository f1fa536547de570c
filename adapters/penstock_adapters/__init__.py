"""Everything that talks to a model server, and the protocol they all share."""
