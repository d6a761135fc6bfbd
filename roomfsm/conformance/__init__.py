"""The conformance kit: tests any server that speaks roomfsm.v1 from outside, and knows only the specification."""
