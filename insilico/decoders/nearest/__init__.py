"""Retrieval: the pictures of a gallery whose tokens are nearest to the decoded ones."""
