"""What Binderless decides: pure code, without sockets, clock, environment or SDK."""
