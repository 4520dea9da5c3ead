"""What every test may use. Nothing here sleeps: a test awaits the thing itself."""
