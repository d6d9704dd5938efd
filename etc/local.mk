# unit file, conflists, defaults
