"""The edge: one class for each service that Binderless talks to."""
