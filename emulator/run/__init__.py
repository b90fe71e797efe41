"""Cloud Run on one machine: the serverless runtime of the functions, and the public gateway before it."""
