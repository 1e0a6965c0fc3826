"""The command line: a group of verbs a file. A verb parses, calls one function, and prints."""
