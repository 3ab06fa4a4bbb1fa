"""Values of the wire: the envelope of answers, errors, page tokens and signatures."""
