"""The version, in one place: `captum_fv.__version__`, `captum-fv --version`, the wheel's name."""

__version__ = "0.2.0"
