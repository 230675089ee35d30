"""Tests of what surrounds the program: pages, packaging, images, figures."""
