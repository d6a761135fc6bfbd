"""The conformance kit: drives any server that speaks roomfsm.v1 from outside, knowing only the specification."""
