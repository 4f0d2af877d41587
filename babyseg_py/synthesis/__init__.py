"""Domain randomisation: parameters are drawn first, then applied; the digital infant."""
