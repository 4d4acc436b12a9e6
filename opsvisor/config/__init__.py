"""READS. Files become a `Loaded`: the plan, the daemon's own settings, and what was odd."""
