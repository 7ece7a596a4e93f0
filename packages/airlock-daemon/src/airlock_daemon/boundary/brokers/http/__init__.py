"""The brokers' own HTTP: by which way, whom it believes, requests and answers of bounded size."""
