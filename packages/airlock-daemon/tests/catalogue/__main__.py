"""`python -m catalogue` writes the catalogue anew, for a reviewer to see what has changed."""

from catalogue.messages import CATALOGUE, find_messages, write_catalogue

if __name__ == "__main__":
    CATALOGUE.write_text(write_catalogue(find_messages()), encoding="utf-8")
