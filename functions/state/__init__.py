"""What is kept between requests: typed records in the store, and what an instance may forget."""
