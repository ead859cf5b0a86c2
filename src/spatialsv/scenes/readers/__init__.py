"""Data from outside as scenes and questions: one file a format, and what they share."""
