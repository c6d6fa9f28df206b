"""A job's log: read from its control plane or from the archive, cut, filtered, merged, resumed."""
