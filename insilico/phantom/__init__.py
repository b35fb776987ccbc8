"""The embedded world, an object of known truth: scenes, subjects, tiny networks.

Everything that comes from here says so: its source is ``phantom``.
"""
