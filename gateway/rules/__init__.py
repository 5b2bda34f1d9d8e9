"""Events and rules: something happens in the business, a rule waits, and the right question goes out, once."""
