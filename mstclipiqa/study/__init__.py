"""From a configuration to the list of what is run, what that costs, and what it lacks."""
