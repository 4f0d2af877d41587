"""A viewer of the sessions of a results folder, in the browser of this machine."""
