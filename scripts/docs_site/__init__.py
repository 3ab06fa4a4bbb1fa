"""The documentation site: what is written for it from the code and from the documents."""
