"""opsvisorctl: shows and changes what opsvisord runs, from the command line."""
