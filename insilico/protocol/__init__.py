"""A protocol file -> jobs: reading with line numbers, presets, regions one by one, the plan."""
