"""Where it runs: settings, the command line, the local stack."""
