"""What a broker promises, by subject. A new broker is done when it passes all of it."""
