"""The one room that asks which operating system this is."""
