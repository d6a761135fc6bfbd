"""What is read off the tables and messages: diagrams, the specification, documents. Pure: text from tables."""
