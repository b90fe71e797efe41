"""What operators learn: how launches ended, the metrics, and whether a launch would work."""
