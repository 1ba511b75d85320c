"""Where tasks wait, and where their ends are decided: one protocol, and the brokers that keep it."""
