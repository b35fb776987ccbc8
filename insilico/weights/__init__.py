"""Where networks lie, what published files hold, and how they are read and converted."""
