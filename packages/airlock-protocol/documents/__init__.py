"""What is made from the types of the messages: their JSON Schemas, and a section of PROTOCOL.md."""
