"""The record of attacks on each promise, and the page of evidence."""
