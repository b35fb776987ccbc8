"""Convolutional networks whose layers judge pictures.

Each takes the published file as it is: its modules carry the publishers' names. They are called
with pixels and the name of the layer to stop at.
"""
