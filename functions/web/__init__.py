"""What browsers need beside the pages: who asks, other sites, old addresses; templates and static files."""
