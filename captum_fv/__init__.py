"""Explain face verification with Captum, and measure the explanations."""
