"""One scheduled round: what it mends, stops and forgets."""
