"""The ground: checks of arguments, files that are whole, vectors. It knows no model."""
