"""xCos: a head that compares two faces cell by cell, and how it is trained over a backbone."""
