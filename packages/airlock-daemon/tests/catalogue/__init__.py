"""Every message that a person can meet: `messages.txt` lists them, a test holds them to rules."""
